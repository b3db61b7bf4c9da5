"""``mosaicd demo``: simulated cameras and the daemon, started together, shown, and ended together.

Owns: a temporary folder and the two processes it starts, ``mosaicd simulate`` and ``mosaicd run``; both are stopped and
waited for with a deadline, whatever happens. It looks at the daemon from outside only, as a user would: ``/metrics``
and the JSON Lines file. What is shown is decided in :mod:`daemon.demo_view`.
"""

import ctypes
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.live import Live

from capture.exits import ExitCode
from daemon.demo_material import DemoError, DemoOptions, Material, find_material
from daemon.demo_view import Outcome, after, exit_code, plain_line, reading, summary, view, with_lines
from daemon.linetail import LineTail
from daemon.metrics import parse

_HTTP_PORT = 9109
_STARTS_WITHIN_S = 600.0
"""The first time, scenes are rendered and the model is built and measured; a small machine takes a minute or two."""
_DAEMON_STOPS_WITHIN_S = 30.0
_SIMULATOR_STOPS_WITHIN_S = 10.0
_LOOK_EVERY_S = 1.0
_PRINT_EVERY_S = 5.0
_LOG_LINES = 12
_PR_SET_PDEATHSIG = 1
_STOPPING = frozenset({signal.SIGINT, signal.SIGTERM})


def settings_text(material: Material, folder: Path, cache_dir: Path, port: int) -> str:
    """Return the demo's settings file: JSON, which is YAML too."""
    return json.dumps(
        {
            "state_dir": str(folder / "state"),
            "secrets_dir": str(folder / "secrets"),
            "cache_dir": str(cache_dir / "models"),
            "roster": str(folder / "cameras.yaml"),
            "http": {"address": "127.0.0.1", "port": port},
            "model": material.model,
        },
        indent=2,
    )


def free_port(wanted: int) -> int:
    """Return the wanted port of 127.0.0.1 if nobody listens there, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")


class Process:
    """One of the two processes; owned by the demo's thread, which stops it. Its output goes to the file `log`.

    ``environ`` None is this process's own.
    """

    def __init__(
        self, name: str, arguments: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the demo, which stops them in order
                preexec_fn=_tie_to_parent,  # noqa: PLW1509 - the demo has one thread
            )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    def check(self) -> None:
        """Raise DemoError with the end of the log if the process has ended."""
        if (code := self._process.poll()) is not None:
            raise DemoError(f"{self.name} ended early (exit code {code}); its last lines:\n{self._log_end()}")

    def stop(self, deadline_s: float) -> None:
        """Ask it to stop and wait; kill it after ``deadline_s``. DemoError unless it stops well when asked."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            code = self._process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise DemoError(f"{self.name} did not stop within {deadline_s:g} s:\n{self._log_end()}") from None
        if code not in (ExitCode.OK, -signal.SIGTERM):  # the latter: asked before it was ready to hear
            raise DemoError(f"{self.name} ended with exit code {code}; its last lines:\n{self._log_end()}")

    def _log_end(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"  {line}" for line in lines) or "  (nothing)"


def _tie_to_parent() -> None:
    """In the new process: end with the demo even if that is killed, and take signals again."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)


def fetch_metrics(port: int, timeout_s: float = 2.0) -> str | None:
    """Return the text of ``/metrics``, None while nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", "/metrics")
        response = connection.getresponse()
        return response.read().decode() if response.status == http.client.OK else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


@contextmanager
def signals_held_back() -> Iterator[Callable[[float], bool]]:
    """Hold SIGINT and SIGTERM back, and give the function that waits for one: whether it came within seconds."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    try:
        yield lambda delay_s: signal.sigtimedwait(_STOPPING, delay_s) is not None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(options: DemoOptions, mosaicd: Sequence[str] = (), out: TextIO = sys.stdout) -> int:
    """Run the demo; return its exit code. Main thread only. ``mosaicd`` is the command to start, for tests."""
    try:
        material = find_material(options)
        with tempfile.TemporaryDirectory(prefix="mosaicd-demo-") as folder, signals_held_back() as wait_stop:
            command = tuple(mosaicd) or (sys.executable, "-P", "-m", "daemon.cli")
            return _run(
                options=options,
                material=material,
                folder=Path(folder),
                command=command,
                wait_stop=wait_stop,
                out=out,
            )
    except DemoError as error:
        print(f"mosaicd demo: {error}", file=sys.stderr)
        return ExitCode.FAILURE


def _run(
    *,
    options: DemoOptions,
    material: Material,
    folder: Path,
    command: Sequence[str],
    wait_stop: Callable[[float], bool],
    out: TextIO,
) -> int:
    port, roster, settings = free_port(_HTTP_PORT), folder / "cameras.yaml", folder / "mosaicd.yaml"
    (folder / "state").mkdir()
    settings.write_text(settings_text(material, folder, options.cache_dir, port))
    footage = f"{len(material.videos)} videos" if material.videos else "synthetic scenes"
    print(f"mosaicd demo: {options.cameras} cameras showing {footage}", file=out, flush=True)
    if material.note:
        print(f"mosaicd demo: {material.note}", file=out, flush=True)
    with ExitStack() as started:  # left in reverse order: the daemon stops first, so it never sees a camera go
        shares = [part for video in material.videos for part in ("--video", video)]
        cameras = ["--cameras", str(options.cameras), "--port", "0", "--roster", str(roster)]
        kept = ["--scenes-folder", str(options.cache_dir / "scenes")]
        simulator = Process("simulate", [*command, "simulate", *cameras, *kept, *shares], folder)
        started.callback(simulator.stop, _SIMULATOR_STOPS_WITHIN_S)
        if _waited(roster.exists, simulator, wait_stop, out):
            return ExitCode.OK
        daemon = Process("run", [*command, "run", "--settings", str(settings)], folder)
        started.callback(daemon.stop, _DAEMON_STOPS_WITHIN_S)
        if _waited(lambda: fetch_metrics(port) is not None, daemon, wait_stop, out):
            return ExitCode.OK
        watch = Watch(options, folder, port, out)
        was_interrupted = watch.run((simulator, daemon), wait_stop)
        print("mosaicd demo: stopping", file=out, flush=True)
    print(f"mosaicd demo: {summary(watch.outcome, watch.ended_s)}", file=out, flush=True)
    return exit_code(watch.outcome, was_interrupted=was_interrupted)


def _waited(condition: Callable[[], bool], process: Process, wait_stop: Callable[[float], bool], out: TextIO) -> bool:
    """Wait until the condition holds, showing what the process says; return whether a stop came first."""
    deadline_s = time.monotonic() + _STARTS_WITHIN_S
    said = LineTail(process.log, from_start=True)
    while not condition():
        process.check()
        for line in said.read():
            print(line.decode(errors="replace"), file=out, flush=True)
        if time.monotonic() > deadline_s:
            raise DemoError(f"{process.name} was not ready within {_STARTS_WITHIN_S:g} s")
        if wait_stop(0.1):
            return True
    return False


class Watch:
    """Looks at the running daemon once a second and shows it, as a table on a terminal and as lines elsewhere."""

    def __init__(self, options: DemoOptions, folder: Path, port: int, out: TextIO) -> None:
        self._seconds = options.seconds or float("inf")
        self._port = port
        self._out = out
        self._tail = LineTail(folder / "state" / "sightings.jsonl", from_start=True)
        base = f"http://127.0.0.1:{port}/"
        self._addresses = (f"live page: {base}, metrics: {base}metrics", f"settings, logs, sightings: {folder}")
        self._printed_s = float("-inf")
        self.outcome = Outcome(options.cameras, time.monotonic())
        self.ended_s = self.outcome.started_s

    def run(self, processes: Sequence[Process], wait_stop: Callable[[float], bool]) -> bool:
        """Watch for the seconds asked for; return whether a stop came first. DemoError if a process ends early."""
        ends_s = self.outcome.started_s + self._seconds
        with ExitStack() as shown:
            live = Live(auto_refresh=False, console=Console(file=self._out)) if self._out.isatty() else None
            if live is None:
                print(*self._addresses, sep="\n", file=self._out, flush=True)
            else:
                shown.enter_context(live)
            while (now_s := time.monotonic()) < ends_s:
                for process in processes:
                    process.check()
                self.step(now_s)
                self._show(live, now_s)
                if wait_stop(min(_LOOK_EVERY_S, max(0.0, ends_s - time.monotonic()))):
                    break
            self.ended_s = time.monotonic()
        return self.ended_s < ends_s

    def step(self, now_s: float) -> None:
        """Look once."""
        if (text := fetch_metrics(self._port)) is not None:
            self.outcome = after(self.outcome, reading(parse(text), now_s))
        self.outcome = with_lines(self.outcome, (line.decode(errors="replace") for line in self._tail.read()))

    def _show(self, live: Live | None, now_s: float) -> None:
        if live is not None:
            live.update(view(self.outcome, now_s, self._addresses), refresh=True)
        elif now_s - self._printed_s >= _PRINT_EVERY_S:
            self._printed_s = now_s
            print(plain_line(self.outcome, now_s), file=self._out, flush=True)
