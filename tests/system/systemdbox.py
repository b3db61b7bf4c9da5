"""A real systemd for tests, whatever this machine's PID 1 is: booted in namespaces of its own by ``systemdbox.sh``.

Needs root and a kernel that allows namespaces; who has neither is told so by `why_not`.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
INSTALL = REPOSITORY / "deploy" / "install.sh"
UNIT = "mosaicd.service"
SCRIPT = Path(__file__).with_name("systemdbox.sh")
SYSTEMD = Path("/lib/systemd/systemd")
SHARE = Path("/run/share")
"""`Box.share`, as it is seen inside."""
HOMES = ("/root", "/home", "/run/user")
TEMPORARY = ("/tmp", "/var/tmp")
BOOT_S = 30.0


@cache
def why_not() -> str:
    """Return why there can be no box here, or nothing."""
    if os.geteuid() != 0:
        return "needs root"
    if not SYSTEMD.exists():
        return "needs systemd"
    if missing := [name for name in ("unshare", "nsenter", "setpriv", "findmnt", "ip") if shutil.which(name) is None]:
        return f"needs {', '.join(missing)}"
    tried = subprocess.run(
        ["unshare", "--fork", "--pid", "--mount", "--cgroup", "--net", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        text=True,
        check=False,
    )
    if tried.returncode:
        return f"namespaces are refused: {tried.stderr.strip()}"
    mounts = Path("/proc/mounts").read_text().splitlines()
    return "" if any(line.split()[2] == "cgroup2" for line in mounts) else "needs cgroup2"


class Box:
    """A systemd that runs; `booted` makes and ends it."""

    def __init__(self, work: Path, pid: int) -> None:
        self.share = work / "share"
        self._console = work / "console"
        self._pid = pid

    def do(self, *command: str, deadline_s: float = 60.0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command inside; its streams are text."""
        where = ("nsenter", "-t", str(self._pid), "-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w")
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        given = [f"{key}={value}" for key, value in {"PATH": path, "LANG": "C.UTF-8", **environ}.items()]
        return subprocess.run(
            [*where, "env", "-i", *given, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )

    def must(self, *command: str, deadline_s: float = 60.0, **environ: str) -> str:
        """Run a command inside that has to succeed; return what it printed."""
        done = self.do(*command, deadline_s=deadline_s, **environ)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}{self.console}"
        return done.stdout

    def show(self, unit: str, key: str) -> str:
        """Return one property of a unit."""
        return self.must("systemctl", "show", "--value", "--property", key, unit).strip()

    def kill(self, number: signal.Signals, pid: str) -> None:
        """Send a signal to a process inside, by its number inside."""
        self.must("kill", f"-{number.value}", pid)

    def write(self, path: str, content: object) -> None:
        """Change a file inside, leaving its owner and mode; what is no text becomes YAML, a superset of JSON."""
        (self.share / "content").write_text(content if isinstance(content, str) else json.dumps(content))
        self.must("mkdir", "-p", str(Path(path).parent))
        self.must("cp", str(SHARE / "content"), path)

    def mode(self, path: str) -> str:
        """Return a file's mode and whose it is, such as ``640 root:mosaicd``."""
        return self.must("stat", "--format", "%a %U:%G", path).strip()

    def journal(self, *matches: str) -> str:
        """Return the journal as JSON Lines, or what of it matches."""
        return self.must("journalctl", "--no-pager", "--output", "json", *matches)

    @property
    def console(self) -> str:
        """What was said while it booted; later systemd speaks to the journal."""
        return self._console.read_text(errors="replace")[-4000:]


@contextmanager
def booted(work: Path, *paths: Path) -> Iterator[Box]:
    """Boot a systemd, with a journal, that sees this repository, this interpreter and these paths; end all inside."""
    seen = {str(path) for path in (REPOSITORY, Path(sys.prefix), Path(sys.base_prefix), *paths)}
    with (
        tempfile.TemporaryDirectory(prefix="box-", dir=work) as folder,
        (Path(folder) / "console").open("wb") as console,
    ):
        outer = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "bash", str(SCRIPT), folder, *sorted(seen)],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        inner = 0
        try:
            inner = _wait_booted(outer, Path(folder))
            yield Box(Path(folder), inner)
        finally:
            if inner:
                with suppress(ProcessLookupError):
                    os.kill(inner, signal.SIGKILL)
            outer.kill()
            outer.wait(10)
            _remove_cgroups(Path(folder) / "cgroup")


def _wait_booted(outer: subprocess.Popen[bytes], folder: Path) -> int:
    """Return the process id, as seen here, of the systemd that is up."""
    end = time.monotonic() + BOOT_S
    box = None
    while time.monotonic() < end and outer.poll() is None:
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
        for child in children.read_text().split() if children.exists() else ():
            with suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    box = Box(folder, int(child))
        if box and box.do("systemctl", "is-system-running").stdout.strip() in ("running", "degraded"):
            box.must("systemctl", "start", "systemd-journald.service")
            return box._pid
        time.sleep(0.05)
    raise AssertionError(f"systemd did not boot:\n{(folder / 'console').read_text(errors='replace')}")


def _remove_cgroups(note: Path) -> None:
    if note.exists():
        top = Path(note.read_text().strip())
        end = time.monotonic() + 5
        while top.exists() and time.monotonic() < end:
            for path in sorted(top.rglob("*/"), reverse=True):
                with suppress(OSError):
                    path.rmdir()
            with suppress(OSError):
                top.rmdir()
            time.sleep(0.05)
