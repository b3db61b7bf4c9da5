"""The test setup: cameras whose truth is known, the daemon, its gremlins, and a small disk of its own. Shell.

Two processes, ``mosaicd simulate`` and ``mosaicd run``, started as a person would start them and stopped whatever
happens. Nothing outside one private folder is touched; the small disk is mounted in a mount namespace of this
process's own, so that it is gone with it.
"""

import ctypes
import json
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from daemon.chaos.gremlin import CLOCK_FILE
from daemon.chaos.observations import Truth
from daemon.chaos.plan import Setup
from daemon.demo import Process
from daemon.demo_material import DemoError
from daemon.devices import find_devices
from daemon.inventory import Inventory

CAMERAS = 12
"""As many as can be told apart; three mosaics, so that one of two workers has two."""
WORKERS = 2
CAPTURES = 2
EVENTS = "e1"
CANVAS = "448x256"
QUOTA_MIB = 640
"""Of a worker; it takes a third of it."""
DISK_MIB = 16
STARTS_WITHIN_S = 300.0
"""The first time the model is built."""
STOPS_WITHIN_S = 30.0
SLACK_PX = 48 + 8
"""One cell of the network in a camera's pixels, and what scaling smears (simulator/colours.py)."""

_CLONE_NEWNS = 0x00020000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MNT_DETACH = 2
"""linux/sched.h, linux/mount.h, sys/mount.h."""

_HOOK = """\
from daemon.chaos.gremlin import haunt

haunt({folder!r})
"""


class StageError(Exception):
    """The setup cannot be put up; ``str()`` says why."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a setup is made of."""

    program: tuple[str, ...]
    """``mosaicd`` as a command."""
    environ: Mapping[str, str]
    cache_dir: Path
    hang_s: float


@dataclass(frozen=True, slots=True)
class Stage:
    """A setup that runs."""

    folder: Path
    """Logs, settings, the small disk."""
    orders: Path
    """Where gremlins listen, each at its process id."""
    daemon: Process
    simulator: Process
    control: str
    """URL of the simulator's control."""
    truths: Mapping[str, Truth]
    setup: Setup
    no_disk: str
    """Why there is no small disk; empty if there is."""

    @property
    def state(self) -> Path:
        """The daemon's state folder."""
        return self.folder / "state"

    @property
    def events(self) -> Path:
        """Where events are kept."""
        return self.state / "events"

    def order(self, pid: int, **order: object) -> bool:
        """Give the gremlin of a process an order; return whether there is one."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
            sender.sendto(json.dumps(order).encode(), str(self.orders / str(pid)))
            return True
        return False

    def set_clocks(self, offset_s: float) -> None:
        """Set the wall clock of all processes of the daemon, and of those that will be started."""
        new = self.orders / f"{CLOCK_FILE}.new"
        new.write_text(str(offset_s))
        new.replace(self.orders / CLOCK_FILE)
        for entry in self.orders.iterdir():
            if entry.name.isdigit():
                self.order(int(entry.name), do="clock", offset_s=offset_s)


def private_disk(folder: Path) -> str:
    """Put a small disk at a folder, which only this thread and processes started by it see; return why not, if not.

    Call while this process has one thread.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0:
        return f"no mount namespace: {os.strerror(ctypes.get_errno())}; root may have one"
    if libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None) != 0:
        return f"no private mounts: {os.strerror(ctypes.get_errno())}"
    size = f"size={DISK_MIB}m,mode=0700".encode()
    if libc.mount(b"mosaicd-chaos", os.fsencode(folder), b"tmpfs", 0, size) != 0:
        return f"no tmpfs: {os.strerror(ctypes.get_errno())}"
    return ""


def settings_text(folder: Path, material: Path, options: Options, total_mib: int) -> str:
    """Return the daemon's settings, as JSON. Pure.

    Children are killed far more often than any policy for a site would bear, and the daemon is to be watched coming
    back each time: so no number of deaths gives a worker up, and a second of health forgives what was before it.
    """
    return json.dumps(
        {
            "state_dir": str(folder / "state"),
            "cache_dir": str(options.cache_dir / "models"),
            "roster": str(folder / "cameras.yaml"),
            "http": {"port": 0},
            "mosaic": {"canvas": CANVAS},
            "model": {
                **{key: str(material / f"colours.{key}") for key in ("cfg", "weights", "names")},
                **{"input": "mosaic", "precision": "float32", "batch": 1},
            },
            "devices": {
                "cpu": {
                    "workers": WORKERS,
                    "threads": 1,
                    "memory": {"fraction": min(1.0 / WORKERS, QUOTA_MIB / total_mib), "reserve_mib": 0},
                }
            },
            "capture": {"processes": CAPTURES, "open_timeout_s": 2, "read_timeout_s": 3},
            "supervision": {
                "hang_s": options.hang_s,
                "start_timeout_s": max(60.0, options.hang_s),
                "stop_timeout_s": 10,
                "stable_s": 1,
                "max_restarts": 1000,
                "restart_window_s": 1,
            },
            "events": {"enabled": True},
            "sinks": {"jsonl": {"empty": True, "max_mib": 2, "max_total_mib": 6}},
            "logging": {"format": "json"},
        },
        indent=2,
    )


@contextmanager
def staged(folder: Path, orders: Path, options: Options, wait_stop: Callable[[float], bool]) -> Iterator[Stage | None]:
    """Put everything up in an empty folder; yields once the daemon has said where it answers HTTP, None if a stop came.

    Raises StageError, or DemoError for a process that ended; the daemon is left to its caller to end, and killed if it
    still runs.
    """
    material = folder / "material"
    material.mkdir()
    (folder / "state").mkdir()
    truths = _make_material(material, options)
    (orders / "sitecustomize.py").write_text(_HOOK.format(folder=str(orders)))
    roster, settings = folder / "cameras.yaml", folder / "mosaicd.yaml"
    settings.write_text(settings_text(folder, material, options, _total_mib()))
    path = os.pathsep.join(filter(None, (str(orders), options.environ.get("PYTHONPATH", ""))))
    with ExitStack() as started:
        no_disk = private_disk(folder / "state")
        if not no_disk:
            started.callback(_take_away, folder / "state")
        clips = [part for clip in sorted(material.glob("*.mp4")) for part in ("--video", f"{clip}:1")]
        cameras = ["--cameras", str(CAMERAS), "--port", "0", "--port-per-camera", "--control", "0"]
        command = [*options.program, "simulate", *cameras, "--roster", str(roster), *clips]
        simulator = Process("simulate", command, folder)
        started.callback(_end, simulator)
        control: list[str] = []
        told = re.compile(r"control on (http://\S+)")

        def is_up() -> bool:
            control[:] = told.findall(simulator.log.read_text())
            return bool(control) and roster.exists()

        if _waited(is_up, simulator, wait_stop):
            yield None
            return
        # All frames are decoded: what is judged is who answers whom, not when a camera sleeps.
        roster.write_text("defaults: {decode: all}\n" + roster.read_text())
        environ = {**options.environ, "PYTHONPATH": path}
        daemon = Process("run", [*options.program, "run", "--settings", str(settings)], folder, environ)
        started.callback(_end, daemon)
        setup = Setup(
            tuple(f"w{number}" for number in range(1, WORKERS + 1)),
            tuple(f"c{number}" for number in range(1, CAPTURES + 1)),
            tuple(sorted(truths)),
            (EVENTS,),
        )
        yield Stage(folder, orders, daemon, simulator, control[0], truths, setup, no_disk)


def keep_state(stage: Stage) -> None:
    """Copy what the daemon wrote from the small disk to where it stays: the disk is gone with this process."""
    if stage.no_disk:
        return
    kept = stage.folder / "sightings"
    kept.mkdir(exist_ok=True)
    for path in (*stage.state.glob("sightings*.jsonl"), *stage.events.glob("events.*")):
        with suppress(OSError):
            shutil.copy(path, kept)


def _make_material(material: Path, options: Options) -> dict[str, Truth]:
    """Let the simulator's own program write cameras and network: it encodes video, which this process must not."""
    command = [options.program[0], "-P", "-m", "simulator.colours", str(material), str(CAMERAS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(options.environ))
    if done.returncode != 0:
        raise StageError(f"no cameras can be made: {done.stderr.strip()[-500:]}")
    views = json.loads((material / "views.json").read_text())
    return {
        f"cam-{number:02}": Truth(view["label"], tuple(view["box"]), SLACK_PX)
        for number, view in enumerate(views, start=1)
    }


def _total_mib() -> int:
    """The memory of which a worker's quota is a fraction, as the daemon sees it."""
    found = find_devices(lambda: msgspec.json.encode(Inventory()))
    return found.devices[-1].total_mib


def _waited(condition: Callable[[], bool], process: Process, wait_stop: Callable[[float], bool]) -> bool:
    """Wait until the condition holds; return whether a stop came first."""
    deadline_s = time.monotonic() + STARTS_WITHIN_S
    while not condition():
        process.check()
        if time.monotonic() > deadline_s:
            raise StageError(f"{process.name} was not ready within {STARTS_WITHIN_S:g} s")
        if wait_stop(0.05):
            return True
    return False


def _take_away(disk: Path) -> None:
    """Unmount it: its folder is to be deleted."""
    ctypes.CDLL(None).umount2(os.fsencode(disk), _MNT_DETACH)


def _end(process: Process) -> None:
    with suppress(DemoError):
        process.stop(STOPS_WITHIN_S)


def program_of(executable: str) -> Sequence[str]:
    """Return ``mosaicd`` as a command of this interpreter."""
    return (executable, "-P", "-m", "daemon.cli")
