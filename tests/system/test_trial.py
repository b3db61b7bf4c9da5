"""The README's installation as a technician does it, step by step and word for word, on a machine of its own: the box.

It installs all of 2.7 GB with pip, so it runs where the wheels are at hand and somebody asks for it: `make trial`.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.stage import wait_until
from tests.system.systemdbox import REPOSITORY, SHARE, UNIT, Box, booted, why_not

WHEELS = os.environ.get("MOSAICD_WHEELS", "")
"""A folder with a wheel of everything in requirements.lock: the box has no way out."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(why_not()), reason=f"no systemd box: {why_not()}"),
    pytest.mark.skipif(not WHEELS, reason="takes minutes and a folder of wheels: make trial"),
]

MODEL = "yolo-fastest-1.1-xl"
SUDO = '#!/bin/bash\n[ "$1" = -u ] && exec runuser -u "$2" -- "${@:3}"\nexec env "$@"\n'
CAMERAS = 4
INSTALL_S = 1500.0


class Technician:
    """Types what the README says, in the folder of the checkout."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self._readme = (REPOSITORY / "README.md").read_text()

    def types(self, command: str, *, fails: bool = False, deadline_s: float = 60.0) -> str:
        """Run a command that stands in the README; return what it printed."""
        assert f"`{command}`" in self._readme, f"the README does not say {command}"
        environ = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": WHEELS}
        shell = ("bash", "-c", f"cd {REPOSITORY} && {command}")
        done = self.box.do(*shell, deadline_s=deadline_s, **environ)
        assert (done.returncode != 0) == fails, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def edits(self, path: str, old: str, new: str) -> None:
        """Replace a part of a file, which has to be there, as with `sudoedit`."""
        assert f"`sudoedit {path}`" in self._readme
        text = self.box.must("cat", path)
        assert re.search(old, text)
        self.box.write(path, re.sub(old, lambda _: new, text, count=1))


@pytest.fixture(scope="module")
def technician(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Technician]:
    with booted(tmp_path_factory.mktemp("box"), Path(WHEELS)) as box:
        box.write("/usr/local/bin/sudo", SUDO)
        box.must("chmod", "755", "/usr/local/bin/sudo")
        yield Technician(box)


def get(box: Box, path: str) -> str:
    """Return what the daemon answers, or nothing."""
    code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())"
    return box.do("/usr/bin/python3", "-c", code, f"http://127.0.0.1:9109{path}").stdout


def simulate(box: Box) -> str:
    """Start cameras that want a password, with the installed simulator; return their lines for a roster."""
    box.must(
        *("systemd-run", "--unit", "cameras", "--setenv", "P=hunter2", "--setenv", "HOME=/tmp", "mosaicd", "simulate"),
        *("--cameras", str(CAMERAS), "--scene", "7", "--username", "viewer", "--password-env", "P"),
        *("--roster", str(SHARE / "roster.yaml")),
    )
    path = box.share / "roster.yaml"
    wait_until(path.exists, lambda: box.must("journalctl", "--no-pager", "-u", "cameras"), 120)
    names = re.findall(r"(cam-\d+):?.*?(rtsp://[^\s'\"]+)", path.read_text(), re.DOTALL)
    assert len(names) == CAMERAS, path.read_text()
    return "cameras:\n" + "".join(
        f"  {name}:\n    url: {url}\n    username: viewer\n    password: ${{GATE_PASSWORD}}\n" for name, url in names
    )


def test_the_readme_leads_from_a_clean_machine_to_cameras_on_the_live_page(technician: Technician) -> None:
    box = technician.box
    said = technician.types("sudo make install", deadline_s=INSTALL_S)
    assert f"models fetch {MODEL}" in said
    assert "left out" not in said

    said = technician.types(f"sudo -u mosaicd mosaicd models fetch {MODEL}", fails=True)
    print(said)
    assert "mosaicd models add" in said  # there is no network in the box: it says how to go on
    add_model(box)

    roster = simulate(box)
    box.write("/etc/mosaicd/secrets/GATE_PASSWORD", "hunter2\n")
    technician.edits("/etc/mosaicd/cameras.yaml", r"(?ms)^cameras:.*", roster)
    technician.edits("/etc/mosaicd/mosaicd.yaml", r"(?m)^  fps: 5", "  fps: 2")
    assert f"{CAMERAS} cameras, 1 mosaic, 0 errors" in technician.types("sudo mosaicd check")
    technician.types("sudo systemctl enable --now mosaicd", deadline_s=120)

    words = f"{CAMERAS}/{CAMERAS} cameras up, 1/1 mosaics answered"
    wait_until(lambda: words in box.show(UNIT, "StatusText"), lambda: journal(box), 240)
    assert words in technician.types("systemctl status mosaicd")
    assert "<title>" in get(box, "/")
    seen = json.loads(get(box, "/api/v1/status"))
    assert [camera["is_up"] for camera in seen["cameras"]] == [True] * CAMERAS
    wait_until(lambda: has_picture(box), "a picture of the mosaic")
    assert box.must("runuser", "-u", "nobody", "--", "mosaicd", "status").startswith(words)


def has_picture(box: Box) -> bool:
    code = "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read(3).hex())"
    url = "http://127.0.0.1:9109/api/v1/mosaics/m1/picture"
    return box.do("/usr/bin/python3", "-c", code, url).stdout.strip() == "ffd8ff"


def journal(box: Box) -> str:
    return box.must("journalctl", "--no-pager", "--output", "cat", "--unit", UNIT)[-4000:]


def add_model(box: Box) -> None:
    """Bring the model in as from a memory stick, as it was told."""
    data = REPOSITORY.parent / "shared" / "data" / "weights" / "yolo-fastest"
    files = (data / f"{MODEL}.cfg", data / f"{MODEL}.weights")
    if not all(path.exists() for path in files):
        pytest.skip(f"{data} is absent: this test needs its weights")
    for path in files:
        (box.share / path.name).write_bytes(path.read_bytes())
    cfg, weights = (str(SHARE / path.name) for path in files)
    box.must("mosaicd", "models", "add", MODEL, "--cfg", cfg, "--weights", weights)


def test_an_upgrade_to_the_same_touches_nothing(technician: Technician) -> None:
    box = technician.box
    before = box.show(UNIT, "MainPID"), box.must("cat", "/etc/mosaicd/cameras.yaml")
    said = technician.types("sudo make install", deadline_s=INSTALL_S)
    assert "is as it should be" in said
    assert "cameras.yaml is kept" in said
    assert (box.show(UNIT, "MainPID"), box.must("cat", "/etc/mosaicd/cameras.yaml")) == before


def test_it_goes_without_a_trace_where_that_is_wanted(technician: Technician) -> None:
    box = technician.box
    technician.types("sudo make uninstall")
    assert get(box, "/healthz") == ""
    assert "GATE_PASSWORD" in box.must("ls", "/etc/mosaicd/secrets")
    box.must("ls", "/var/lib/mosaicd/sightings.jsonl")
    box.must("make", "-C", str(REPOSITORY), "uninstall", "PURGE=1")
    left = box.do("find", "/etc", "/var", "/opt", "/usr/local", "-name", "*mosaicd*").stdout.split()
    assert left == []
