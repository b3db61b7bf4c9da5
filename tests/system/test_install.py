"""The installer in a box, so that nothing of it touches this machine: what it makes, keeps and takes away."""

import sys

import pytest

from tests.system.systemdbox import INSTALL, UNIT, booted, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=f"no systemd box: {why_not()}")]

STUB = """#!/bin/bash
# Stands in for Python, and for what it puts into a virtual environment.
echo "$(basename "$0") $*" >>/run/share/calls
case "$(basename "$0") $*" in
    *--version) echo "Python 3.11.2" ;;
    "python -m venv "*)
        mkdir -p "$3/bin"
        for name in python pip mosaicd; do cp "$0" "$3/bin/$name"; done ;;
    "pip "*systemd-python) false ;;
    "pip "*) ! [ -e /run/share/offline ] ;;
    "python -c import systemd.journal") ! [ -e /run/share/uncompiled ] ;;
esac
"""


def test_installing_again_keeps_what_was_edited_and_uninstalling_too(tmp_path):
    with booted(tmp_path) as box:
        assert "needs" not in box.must(str(INSTALL), "--venv", sys.prefix)
        for path, expected in {
            "/etc/mosaicd": "750 root:mosaicd",
            "/etc/mosaicd/mosaicd.yaml": "640 root:mosaicd",
            "/etc/mosaicd/cameras.d": "2750 root:mosaicd",
            "/etc/mosaicd/secrets": "2750 root:mosaicd",
            "/etc/mosaicd/credentials": "700 root:root",
            "/var/lib/mosaicd": "750 mosaicd:mosaicd",
        }.items():
            assert (path, box.mode(path)) == (path, expected)
        assert set(box.must("id", "-Gn", "mosaicd").split()) == {"mosaicd", "video", "render"}
        box.write("/etc/mosaicd/cameras.yaml", "mine")
        box.must("touch", "/var/lib/mosaicd/sightings.jsonl")

        printed = box.must(str(INSTALL), "--venv", sys.prefix)
        assert "cameras.yaml is kept" in printed
        assert box.must("cat", "/etc/mosaicd/cameras.yaml") == "mine"

        assert box.do(str(INSTALL), "--purge").returncode == 2
        box.must(str(INSTALL), "--uninstall")
        assert box.do("systemctl", "cat", UNIT).returncode != 0
        assert box.do("ls", "/opt/mosaicd", "/usr/local/bin/mosaicd").stdout == ""
        assert box.must("cat", "/etc/mosaicd/cameras.yaml") == "mine"
        box.must("ls", "/var/lib/mosaicd/sightings.jsonl", f"{sys.prefix}/bin/mosaicd")

        for _ in range(2):
            box.must(str(INSTALL), "--uninstall", "--purge")
            assert box.do("ls", "/etc/mosaicd", "/var/lib/mosaicd").stdout == ""
            assert box.do("id", "mosaicd").returncode != 0


def test_an_upgrade_is_made_beside_the_old_one_and_only_where_something_is_new(tmp_path):
    def install(*options: str) -> int:
        (box.share / "calls").write_text("")
        return box.do(str(INSTALL), *options, PYTHON="/usr/local/lib/stub/python").returncode

    def pip_calls() -> int:
        return sum(call.startswith("pip ") for call in (box.share / "calls").read_text().splitlines())

    def environments() -> list[str]:
        return sorted(name for name in box.must("ls", "/opt/mosaicd").split() if name.startswith("venv"))

    with booted(tmp_path) as box:
        box.write("/usr/local/lib/stub/python", STUB)
        box.must("chmod", "755", "/usr/local/lib/stub/python")
        assert (install(), pip_calls()) == (0, 1)
        first = environments()
        assert len(first) == 2
        assert box.must("readlink", "/opt/mosaicd/venv").strip() == f"/opt/mosaicd/{first[1]}"

        assert (install(), pip_calls(), environments()) == (0, 0, first)

        (box.share / "offline").touch()
        assert (install("--extras", "cuda"), environments()) == (1, first)
        (box.share / "offline").unlink()

        assert (install("--extras", "cuda"), pip_calls()) == (0, 1)
        second = environments()
        assert len(second) == 2
        assert box.must("readlink", "/opt/mosaicd/venv").strip() == f"/opt/mosaicd/{second[1]}"
        assert second != first

        (box.share / "uncompiled").touch()
        done = box.do(str(INSTALL), "--extras", "cuda", PYTHON="/usr/local/lib/stub/python")
        assert (done.returncode, environments()) == (0, second)
        assert "left out: systemd-python, which needs gcc pkg-config python3-dev libsystemd-dev" in done.stdout
