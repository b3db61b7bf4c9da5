#!/bin/bash
# Installs mosaicd as a systemd service, upgrades it, or takes it away. `make install` and `make uninstall` call this.
# Again and again is as good as once. Settings and roster are never overwritten.
set -euo pipefail
umask 022

usage() {
    cat <<'TEXT'
usage: deploy/install.sh [--extras NAMES] [--venv FOLDER]
       deploy/install.sh --uninstall [--purge]

  --extras NAMES  optional parts as well, such as cuda
  --venv FOLDER   run what is in this virtual environment in place of one made under /opt/mosaicd
  --uninstall     take everything away but settings, secrets and state
  --purge         ... and those, and the user mosaicd

pip is used as it is set up here: /etc/pip.conf, and PIP_* of the environment (sudo -E keeps them). PYTHON names another
interpreter than /usr/bin/python3.
TEXT
}

OPT=/opt/mosaicd
LIB=/usr/local/lib
COMMAND=/usr/local/bin/mosaicd
SHARE=/usr/local/share/mosaicd
CONF=/etc/mosaicd
STATE=/var/lib/mosaicd
UNIT=mosaicd.service
SYSTEMD_PACKAGES="gcc pkg-config python3-dev libsystemd-dev"

extras='' given_venv='' action=install purge=no is_changed=no
while [ $# -gt 0 ]; do
    case $1 in
        --extras) extras=${2?--extras wants names}; shift ;;
        --venv) given_venv=${2?--venv wants a folder}; shift ;;
        --uninstall) action=uninstall ;;
        --purge) purge=yes ;;
        -h | --help) usage; exit 0 ;;
        *) usage >&2; exit 2 ;;
    esac
    shift
done

say() { echo "mosaicd: $*"; }
fail() { echo "mosaicd: $*" >&2; exit 1; }
is_booted() { [ -d /run/systemd/system ]; } # sd_booted(3)

# Installs Debian packages where that is possible; false where it is not.
add_packages() {
    command -v apt-get >/dev/null || return 1
    say "installing $*"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        >/dev/null
}

check_machine() {
    local version
    version=$(systemctl --version 2>/dev/null | awk 'NR == 1 {print $2}') || true
    [ "${version%%[!0-9]*}" -ge 252 ] 2>/dev/null || fail "needs systemd 252 or later; found ${version:-none}"
}

check_python() {
    [ -x "$python" ] || { [ "$python" = /usr/bin/python3 ] && add_packages python3 python3-venv; } ||
        fail "there is no $python; PYTHON=... names another"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "needs Python 3.11 or later; $python is $("$python" --version). PYTHON=... names another"
    case $(readlink -f "$python") in
        /root/* | /home/* | /run/user/*) fail "$python lies in a home folder, which the service cannot see" ;;
    esac
    "$python" -c 'import ensurepip' 2>/dev/null || add_packages python3-venv ||
        fail "$python lacks ensurepip: install its venv package (python3-venv)"
}

# What an environment is made from: one that is there already is not made again.
fingerprint() {
    {
        "$python" --version
        readlink -f "$python"
        echo "$extras"
        find pyproject.toml requirements.lock capture daemon events inference simulator -type f ! -name '*.pyc' -print0 |
            sort -z | xargs -0 sha256sum
    } | sha256sum | cut -c 1-12
}

# A new environment beside the old one, which a daemon that runs goes on using until it is restarted.
make_venv() {
    local venv=$1 copy wanted
    if [ -e "$venv/complete" ]; then
        say "$venv is as it should be"
    else
        say "making $venv, which takes minutes"
        rm -rf "$venv"
        "$python" -m venv "$venv"
        copy=$(mktemp -d)
        # A copy, so that root leaves no build folder in your checkout.
        cp -r pyproject.toml README.md LICENSE capture daemon events inference simulator "$copy"
        wanted=$copy${extras:+[$extras]}
        "$venv/bin/pip" --disable-pip-version-check --quiet install -c requirements.lock "$wanted" ||
            { rm -rf "$copy" "$venv"; fail "pip could not install it: see above"; }
        rm -rf "$copy"
        touch "$venv/complete"
    fi
    add_journal "$venv"
}

# systemd-python compiles. Without it the service works all the same, so that is no reason to fail.
add_journal() {
    local venv=$1
    "$venv/bin/python" -c 'import systemd.journal' 2>/dev/null && return
    if ! pkg-config --exists libsystemd 2>/dev/null || ! command -v gcc >/dev/null; then
        # shellcheck disable=SC2086 # a list
        add_packages $SYSTEMD_PACKAGES || true
    fi
    "$venv/bin/pip" --disable-pip-version-check --quiet install -c requirements.lock systemd-python >/dev/null 2>&1 ||
        say "left out: systemd-python, which needs $SYSTEMD_PACKAGES. Log lines reach the journal as plain text," \
            "without fields such as CAMERA=. To have them, install those and run this again."
}

install_files() {
    local file
    install -D -m 644 deploy/sysusers.conf "$LIB/sysusers.d/mosaicd.conf"
    install -D -m 644 deploy/tmpfiles.conf "$LIB/tmpfiles.d/mosaicd.conf"
    cmp -s deploy/mosaicd.service "$LIB/systemd/system/$UNIT" || is_changed=yes
    install -D -m 644 deploy/mosaicd.service "$LIB/systemd/system/$UNIT"
    systemd-sysusers "$LIB/sysusers.d/mosaicd.conf"
    systemd-tmpfiles --create "$LIB/tmpfiles.d/mosaicd.conf"
    for file in mosaicd.yaml cameras.yaml; do
        if [ -e "$CONF/$file" ]; then
            say "$CONF/$file is kept"
        else
            install -m 640 -o root -g mosaicd "etc/$file" "$CONF/$file"
        fi
    done
    install -d "${COMMAND%/*}" "$SHARE"
    ln -sfn "$OPT/venv/bin/mosaicd" "$COMMAND"
}

# Puts the environment in place in one step, restarts a daemon that runs if there is something new for it, and removes
# what nobody uses any more.
switch_to() {
    local venv=$1 old
    # What is in a given environment may be new under the same name.
    [ "$(readlink "$OPT/venv")" = "$venv" ] && [ -z "$given_venv" ] || is_changed=yes
    ln -sfn "$venv" "$OPT/venv.new"
    mv -T "$OPT/venv.new" "$OPT/venv"
    if is_booted; then
        systemctl daemon-reload
        [ "$is_changed" = no ] || systemctl try-restart "$UNIT" ||
            fail "installed, but the service did not come back: systemctl status mosaicd"
    fi
    for old in "$OPT"/venv-*; do
        [ "$old" = "$venv" ] || rm -rf "$old"
    done
}

do_install() {
    local venv file
    cd "$(dirname "$(readlink -f "$0")")/.."
    check_machine
    mkdir -p "$OPT"
    if [ -n "$given_venv" ]; then
        venv=$(readlink -f "$given_venv")
        [ -x "$venv/bin/mosaicd" ] || fail "$given_venv holds no bin/mosaicd"
    else
        python=$(command -v "${PYTHON:-/usr/bin/python3}" || echo "${PYTHON:-/usr/bin/python3}")
        check_python
        venv=$OPT/venv-$(fingerprint)
        make_venv "$venv"
    fi
    install_files
    switch_to "$venv"
    # Named in the samples' first lines, for editors.
    for file in settings cameras; do
        "$COMMAND" schema "$file" >"$SHARE/$file.schema.json"
    done
    cat <<TEXT
$("$COMMAND" --version) is installed. Next:

  sudo -u mosaicd mosaicd models fetch yolo-fastest-1.1-xl   # the model that $CONF/mosaicd.yaml names
  sudoedit $CONF/cameras.yaml                      # your cameras
  sudo mosaicd check                                         # says what is wrong, with line and column
  sudo systemctl enable --now mosaicd
TEXT
}

do_uninstall() {
    if is_booted; then
        systemctl disable --now "$UNIT" 2>/dev/null || true
    fi
    rm -rf "$OPT" "$COMMAND" "$SHARE" "$LIB/systemd/system/$UNIT" "$LIB/sysusers.d/mosaicd.conf" "$LIB/tmpfiles.d/mosaicd.conf"
    if is_booted; then
        systemctl daemon-reload
        systemctl reset-failed "$UNIT" 2>/dev/null || true
    fi
    if [ "$purge" = yes ]; then
        rm -rf "$CONF" "$STATE" "/etc/systemd/system/$UNIT.d"
        if id -u mosaicd >/dev/null 2>&1; then
            userdel mosaicd
        fi
        say "all of it is gone"
    else
        say "gone, but for $CONF, $STATE and the user mosaicd: --purge (make uninstall PURGE=1) removes those too"
    fi
}

[ "$action" = uninstall ] || [ "$purge" = no ] || { usage >&2; exit 2; }
[ "$(id -u)" = 0 ] || fail "has to be root: sudo make $action"
"do_$action"
