#!/bin/bash
# usage: systemdbox.sh WORK PATH...
# Boots a real systemd as PID 1 of namespaces of its own, over this machine's root file system. Nothing that is done inside
# stays: writes go into memory, and everything inside dies with the first process. WORK/share is /run/share inside, with
# a network of its own (loopback alone). Each PATH is there under its own name, readable for everybody. Needs root.
set -euo pipefail
work=$1
shift
cgroups=$(findmnt -rnt cgroup2 -o TARGET | head -n 1)
cgroup=$cgroups/mosaicd-box-$$
mkdir -p "$work"/{layers,root,share} "$cgroup"
echo "$cgroup" >"$work/cgroup"
echo "$BASHPID" >"$cgroup/cgroup.procs"
umask 022
export work
# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --fork --pid --mount --uts --ipc --cgroup --net --propagation private --kill-child=SIGKILL bash -euc '
    root=$work/root
    mount -t tmpfs tmpfs "$work/layers"
    mkdir "$work"/layers/{upper,work}
    mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
    mount -t tmpfs -o mode=755 tmpfs "$root/run"
    mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
    mkdir "$root/run/share"
    mount --bind "$work/share" "$root/run/share"
    for path in "$@"; do
        if ! [ -e "$root$path" ]; then  # it lies in /tmp, say, or on another disk
            mkdir -p "$root$path"
            mount --bind -o ro "$path" "$root$path"
            path=$(dirname "$path")
        fi
        while [ "$path" != / ]; do
            chmod a+x "$root$path" 2>/dev/null || true  # refused where it is mounted read-only
            path=$(dirname "$path")
        done
    done
    mount -t proc proc "$root/proc"
    mount -t sysfs sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mount -t tmpfs -o mode=755 tmpfs "$root/dev"
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root"/dev/{shm,pts}
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    ip link set lo up
    printf "[Unit]\nDefaultDependencies=no\n" >"$root/etc/systemd/system/box.target"
    cd "$root"
    mkdir .old
    pivot_root . .old
    umount -l /.old
    mount --make-rshared /  # or credentials stay unreadable
    exec env -i container=box PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        /lib/systemd/systemd --system --unit=box.target --log-target=journal --show-status=no
' - "$@"
