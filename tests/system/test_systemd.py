"""The unit under a real systemd: in a box, so that nothing of it touches this machine."""

import json
import shutil
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.system.stage import small_settings, wait_until
from tests.system.sweep import MARK, leaks, may_dump_core
from tests.system.systemdbox import HOMES, INSTALL, REPOSITORY, SHARE, TEMPORARY, UNIT, Box, booted, why_not

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(why_not()), reason=f"no systemd box: {why_not()}")]

COMMAND = "/opt/mosaicd/venv/bin/mosaicd run --settings /etc/mosaicd/mosaicd.yaml"
PORT = 9109
GET = (
    "import sys, urllib.request as r, urllib.error as e\n"
    "try: print(r.urlopen(sys.argv[1]).read().decode())\n"
    "except e.HTTPError as error: print(error.read().decode()); sys.exit(1)"
)


class Service:
    """The installed service in its box."""

    def __init__(self, box: Box) -> None:
        self.box = box

    def start(self) -> None:
        """Start it, and wait until its camera is answered."""
        self.box.do("systemctl", "reset-failed", UNIT)  # fails where it has never been loaded
        self.box.must("systemctl", "start", UNIT)
        wait_until(lambda: self.get("/readyz")[0], lambda: f"ready:\n{self.log()[-4000:]}\n{self.box.console}")

    def stop(self) -> None:
        """Stop it, whatever it does."""
        self.box.must("systemctl", "stop", UNIT)

    def show(self, key: str) -> str:
        return self.box.show(UNIT, key)

    def log(self) -> str:
        return self.box.must("journalctl", "--no-pager", "--output", "cat", "--unit", UNIT)

    def get(self, path: str) -> tuple[bool, str]:
        done = self.box.do(sys.executable, "-c", GET, f"http://127.0.0.1:{PORT}{path}")
        return done.returncode == 0, done.stdout

    def processes(self) -> list[str]:
        """Return the numbers, inside, of all processes of its control group."""
        done = self.box.do("cat", f"/sys/fs/cgroup/system.slice/{UNIT}/cgroup.procs")
        return done.stdout.split()

    def hang_children(self) -> None:
        main = self.show("MainPID")
        for pid in self.processes():
            if pid != main:
                self.box.kill(signal.SIGSTOP, pid)

    def restarted(self, was: str) -> str:
        """Wait for the next supervisor to be ready; return its number."""

        def now() -> str:
            pid = self.show("MainPID")
            return pid if pid not in ("0", was) and self.show("ActiveState") == "active" else ""

        return str(wait_until(now, lambda: f"another supervisor:\n{self.log()[-4000:]}"))


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    with booted(tmp_path_factory.mktemp("box")) as booted_box:
        yield booted_box


@pytest.fixture(scope="module")
def installed(box, colour_model, colour_clips) -> Service:
    """Installed by its installer, on this environment; the cameras' files edited as a person would."""
    for path in (colour_model.cfg, colour_model.weights, colour_model.names, colour_clips["red"]):
        shutil.copy(path, box.share)
    box.must(str(INSTALL), "--venv", sys.prefix)
    box.write("/etc/mosaicd/cameras.yaml", {"cameras": {"gate": camera()}})
    box.write("/etc/mosaicd/mosaicd.yaml", settings(colour_model))
    environment = f"[Service]\nEnvironment=PYTHONPATH={REPOSITORY}\n"
    # An interpreter of pyenv's, say, or a checkout in /tmp: what install.sh would refuse, and the unit hides.
    needed = {REPOSITORY, Path(sys.prefix), Path(sys.base_prefix)}
    if any(is_below(path, HOMES) for path in needed):
        environment += "ProtectHome=tmpfs\n"
    if hidden := sorted(str(path) for path in needed if is_below(path, (*HOMES, *TEMPORARY))):
        environment += f"BindReadOnlyPaths={' '.join(hidden)}\n"
    drop_in(box, "here", environment)
    return Service(box)


@pytest.fixture
def service(installed) -> Iterator[Service]:
    """The service, running; stopped afterwards."""
    installed.start()
    yield installed
    installed.stop()


def camera(**more: str) -> dict[str, str]:
    return {"url": f"file:{SHARE}/red.mp4?loop=1", "decode": "all", **more}


def settings(model) -> dict[str, object]:
    made = small_settings(model)
    made["model"] |= {key: str(SHARE / Path(made["model"][key]).name) for key in ("cfg", "weights", "names")}
    return made | {
        "devices": {"cpu": {"workers": 1, "threads": 1}},
        "capture": {"processes": 1},
        "supervision": {"stop_timeout_s": 2},
    }


def is_below(path: Path, folders: Iterable[str]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def drop_in(box: Box, name: str, text: str) -> None:
    box.write(f"/etc/systemd/system/{UNIT}.d/{name}.conf", text)
    box.must("systemctl", "daemon-reload")


@contextmanager
def altered(box: Box, text: str) -> Iterator[None]:
    """A drop-in for a while; whoever started the service in it stops it there."""
    drop_in(box, "quick", text)
    try:
        yield
    finally:
        box.must("rm", f"/etc/systemd/system/{UNIT}.d/quick.conf")
        box.must("systemctl", "daemon-reload")


def test_it_is_ready_says_how_it_is_and_stops_within_its_deadline(service):
    assert service.show("NotifyAccess") == "main"
    words = "1/1 cameras up, 1/1 mosaics answered, 1/1 workers up"
    wait_until(lambda: service.show("StatusText") == words, lambda: service.show("StatusText"))
    assert service.box.must("ps", "-o", "user=", "-p", service.show("MainPID")).strip() == "mosaicd"
    assert len(service.processes()) == 4
    confined = service.box.must(
        "grep", "-E", "^(CapEff|NoNewPrivs|Seccomp):", f"/proc/{service.show('MainPID')}/status"
    )
    assert confined.split() == ["CapEff:", "0" * 16, "NoNewPrivs:", "1", "Seccomp:", "2"]
    service.stop()
    assert service.processes() == []
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")
    assert service.box.mode("/var/lib/mosaicd") == "750 mosaicd:mosaicd"
    assert service.box.mode("/var/lib/mosaicd/sightings.jsonl") == "640 mosaicd:mosaicd"


def test_children_that_hang_do_not_outlast_the_deadline(service):
    service.hang_children()
    service.stop()
    assert service.processes() == []
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")


def test_a_deadline_that_is_too_short_for_the_settings_is_put_off(installed):
    with altered(installed.box, "[Service]\nTimeoutStopSec=1\n"):
        installed.start()
        installed.hang_children()  # the supervisor gives them two seconds
        installed.stop()
        assert installed.processes() == []
        assert installed.show("Result") == "success"


def test_what_does_not_stop_within_the_deadline_is_killed_whole(installed):
    # It does not hear that it is to end.
    with altered(installed.box, "[Service]\nTimeoutStopSec=1\nKillSignal=SIGURG\n"):
        installed.start()
        installed.stop()
        assert installed.processes() == []
        assert installed.show("Result") == "timeout"


def test_tensorflow_runs_as_confined_as_that(installed):
    """Its just-in-time compilers, its temporary files, and a user without a home to write to."""
    with altered(installed.box, f"[Service]\nExecStart=\nExecStart={COMMAND} --set model.engine=tensorflow\n"):
        try:
            installed.start()
            assert "tensorflow" in installed.box.must("journalctl", "--output", "cat", "--grep", "child ready child=w1")
        finally:
            installed.stop()
    # Its home is the state folder: nothing has put a ~/.keras or ~/.cache there.
    assert not [name for name in installed.box.must("ls", "-A", "/var/lib/mosaicd").split() if name[0] == "."]


def test_lines_are_found_in_the_journal_by_their_fields(service):
    pytest.importorskip("systemd.journal", reason="the extra systemd is not installed")
    [up] = [
        json.loads(line) for line in service.box.journal("CAMERA=gate", f"_PID={service.show('MainPID')}").splitlines()
    ]
    assert (up["MESSAGE"], up["PRIORITY"], up["SYSLOG_IDENTIFIER"]) == ("camera up camera=gate", "6", "mosaicd")
    ready = service.box.must("journalctl", "--output", "cat", "WORKER=w1", f"_PID={service.show('MainPID')}")
    assert "child ready child=w1" in ready
    [worker] = [
        pid for pid in service.processes() if "inference.worker" in service.box.must("ps", "-o", "args=", "-p", pid)
    ]
    service.box.kill(signal.SIGSEGV, worker)
    wait_until(lambda: service.box.journal("WORKER=w1", "CAUSE=crash"), lambda: service.log()[-4000:])


def test_a_supervisor_that_was_killed_is_started_again_and_leaves_nobody_behind(service):
    was, processes = service.show("MainPID"), service.processes()
    service.box.kill(signal.SIGKILL, was)
    service.restarted(was)
    assert not set(processes) & set(service.processes())
    assert service.show("NRestarts") == "1"
    wait_until(lambda: service.get("/readyz")[0], lambda: f"ready:\n{service.log()[-4000:]}")


def test_a_supervisor_that_hangs_is_ended_by_the_watchdog(installed):
    with altered(installed.box, "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n"):
        try:
            installed.start()
            was, processes = installed.show("MainPID"), installed.processes()
            installed.box.kill(signal.SIGSTOP, was)
            installed.restarted(was)
            assert not set(processes) & set(installed.processes())
            assert "Watchdog timeout" in installed.log()
        finally:
            installed.stop()


def test_what_the_watchdog_ends_says_where_it_hung(service):
    was = service.show("MainPID")
    service.box.kill(signal.SIGABRT, was)  # as the watchdog does
    service.restarted(was)
    assert "Fatal Python error: Aborted" in service.log()
    assert "in turn" in service.log()


def test_a_reload_takes_on_what_is_valid_and_fails_for_what_is_not(service):
    def state() -> tuple[str, str, str]:
        return service.show("ActiveState"), service.show("SubState"), service.show("MainPID")

    before = state()
    secret = "/etc/mosaicd/secrets/YARD_USER"
    try:
        service.box.write(secret, "viewer")
        cameras = {"gate": camera(), "yard": camera(username="${YARD_USER}")}
        service.box.write("/etc/mosaicd/cameras.yaml", {"cameras": cameras})
        service.box.must("systemctl", "reload", UNIT)
        assert state() == before
        wait_until(lambda: service.show("StatusText").startswith("2/2 cameras up"), lambda: service.show("StatusText"))

        service.box.write("/etc/mosaicd/cameras.yaml", "cameras: {gate: {ulr: x}}")
        assert service.box.do("systemctl", "reload", UNIT).returncode != 0
        assert "did you mean 'url'?" in service.log()
        assert state() == before
        assert service.show("StatusText").startswith("2/2 cameras up")
    finally:
        service.box.must("rm", secret)
        service.box.write("/etc/mosaicd/cameras.yaml", {"cameras": {"gate": camera()}})


def test_an_upgrade_restarts_what_runs_and_no_more(service):
    was = service.show("MainPID")
    service.box.must(str(INSTALL), "--venv", sys.prefix)
    service.restarted(was)
    service.stop()
    service.box.must(str(INSTALL), "--venv", sys.prefix)
    assert service.show("MainPID") == "0"


@pytest.mark.parametrize(
    ("folder", "owner"), [("credentials", "600 root:root"), ("secrets", "640 root:mosaicd")], ids=["root's", "its own"]
)
def test_a_secret_comes_from_a_folder_and_is_shown_nowhere(installed, folder, owner):
    path = f"/etc/mosaicd/{folder}/GATE_USER"
    installed.box.write(path, f"{MARK}-{folder}\n")
    installed.box.must("chmod", owner.split()[0], path)
    assert installed.box.mode(path) == owner
    installed.box.write("/etc/mosaicd/cameras.yaml", {"cameras": {"gate": camera(username="${GATE_USER}")}})
    try:
        installed.start()
        assert installed.get("/readyz")[0]
        shown = shown_by(installed)
        assert leaks(shown) == []
        assert not any(map(may_dump_core, limits_of(installed)))
    finally:
        installed.stop()
        installed.box.must("rm", path)
        installed.box.write("/etc/mosaicd/cameras.yaml", {"cameras": {"gate": camera()}})


def shown_by(service: Service) -> dict[str, str]:
    """Return what systemd and the kernel show of the service, and all of the journal with every field."""
    box = service.box
    shown = {"journal": box.must("journalctl", "--no-pager", "--all", "--output", "json")}
    shown["properties"] = box.must("systemctl", "show", UNIT)
    shown["status"] = box.must("systemctl", "status", "--no-pager", "--full", UNIT)
    for pid in service.processes():
        shown[pid] = box.must("cat", f"/proc/{pid}/environ", f"/proc/{pid}/cmdline")
    assert len(shown) == 7
    assert "GATE_USER" not in shown["properties"]
    return shown


def limits_of(service: Service) -> list[str]:
    return [service.box.must("cat", f"/proc/{pid}/limits") for pid in service.processes()]


def test_settings_that_never_worked_are_no_reason_to_try_again(installed):
    installed.box.must("mv", "/var/lib/mosaicd", "/var/lib/aside")
    installed.box.must("cp", "-a", "/etc/mosaicd/cameras.yaml", "/etc/aside.yaml")
    try:
        installed.box.write("/etc/mosaicd/cameras.yaml", "cameras: {gate: {ulr: x}}")
        assert installed.box.do("systemctl", "start", UNIT).returncode != 0
        state = {key: installed.show(key) for key in ("ActiveState", "ExecMainStatus", "NRestarts", "SubState")}
        assert state == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0", "SubState": "failed"}
        assert "did you mean 'url'?" in installed.log()
    finally:
        installed.box.must("mv", "/etc/aside.yaml", "/etc/mosaicd/cameras.yaml")
        installed.box.must("rm", "-r", "/var/lib/mosaicd")
        installed.box.must("mv", "/var/lib/aside", "/var/lib/mosaicd")
