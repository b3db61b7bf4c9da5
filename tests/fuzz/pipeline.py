"""The process under test: reads cases as a capture process reads cameras, several at once, and says how each ended.

Seeds come on stdin, one a line; for each a line of JSON goes to stdout. Run by :mod:`tests.fuzz.run`, as
``python -m tests.fuzz.pipeline --port PORT --threads N``.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import signal
import sys
import threading
import time
import traceback

from capture.child import memory_mib
from capture.layout import letterbox
from capture.messages import CameraSpec
from capture.reader import CameraReader
from capture.sampler import Sampler
from capture.source import SourceOptions
from tests.fuzz.case import Case
from tests.fuzz.server import HOST

TIMEOUT_S = 1.0
"""Of opening and of reading."""
DEADLINE_S = 3 * TIMEOUT_S + 3.0
"""Looking ahead, opening, the last read; and what a busy machine needs."""
TILE_WH = (160, 96)
POLL_S = 0.01
ADDRESS_SPACE_GIB = 8
"""So that a leak ends this process and not the machine."""

OVERDUE = "overdue"
"""Outcome of a case that has not ended; all others are reasons of :class:`~capture.failures.SourceError`, or ..."""
ERROR = "error"
"""... this: another exception."""

PLANTS = ("crash", "hang", "stuck", "error", "memory")
"""Faults that can be planted at a seed, to see that each is found."""
PLANTED_BYTES = 1700 << 20


def camera_of(seed: int) -> str:
    """The name of a case's camera."""
    return f"case{seed}"


class Pipeline:
    """Runs cases in threads of its own; each case has a real reader, whose thread is the one that may crash."""

    def __init__(self, port: int, plant: tuple[str, int] | None) -> None:
        self._port = port
        self._plant = plant
        self._in, self._out = threading.Lock(), threading.Lock()
        self._died: dict[str, str] = {}
        """Tracebacks of readers, by thread."""
        self._kept: list[bytes] = []
        threading.excepthook = self._note_death

    def work(self) -> None:
        """Run cases until there are no more; the body of a thread."""
        while True:
            with self._in:
                line = sys.stdin.readline()
            if not line:
                return
            self._run(int(line))

    def _run(self, seed: int) -> None:
        case = Case(seed)
        name = camera_of(seed)
        spec = CameraSpec(name, "", fps=1000.0, decode=case.mode, quiet_s=0.05, frozen_s=0.2)
        options = SourceOptions(
            f"rtsp://{HOST}:{self._port}/{seed}",
            open_timeout_s=TIMEOUT_S,
            read_timeout_s=TIMEOUT_S,
            transport=case.transport,
        )
        reader = _Reader(spec, options, TILE_WH, Sampler(1e-6))
        if self._plant is not None and self._plant[1] == seed:
            reader.plant = self._plant[0]
        began_s = time.monotonic()
        reader.start()
        outcome, detail = OVERDUE, ""
        while (took_s := time.monotonic() - began_s) < DEADLINE_S:
            failures = reader.report(began_s, 1.0, 0).failures
            if failures:
                outcome = next(iter(failures))
                break
            if reader.join(POLL_S):
                outcome, detail = ERROR, self._died.pop(f"reader {name}", "it ended without a word")
                break
        reader.stop()
        if outcome == OVERDUE:
            faulthandler.dump_traceback(all_threads=True)
        else:
            reader.join(DEADLINE_S)
            tile = reader.newest
            place = letterbox(tile.source_wh, TILE_WH) if tile else None
            if tile and place and tile.pixels.shape != (place.h, place.w, 3):
                outcome, detail = ERROR, f"a tile of {tile.pixels.shape} has its place at {place}"
        counts = reader.report(began_s, 1.0, 0).counts
        if self._plant == ("memory", seed):
            self._kept.append(b"x" * PLANTED_BYTES)
        self._say(
            seed=seed,
            outcome=str(outcome),
            detail=detail,
            packets=counts.packets,
            frames=counts.frames,
            damaged=counts.damaged,
            took_s=round(took_s, 3),
            memory_mib=round(memory_mib(), 1),
            peak_mib=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        )

    def _note_death(self, death: threading.ExceptHookArgs) -> None:
        text = "".join(traceback.format_exception(death.exc_type, death.exc_value, death.exc_traceback))
        self._died[death.thread.name if death.thread else ""] = text

    def _say(self, **event: object) -> None:
        with self._out:
            sys.stdout.write(json.dumps(event) + "\n")
            sys.stdout.flush()


class _Reader(CameraReader):
    """The real one, but for what is planted."""

    plant = ""

    def _run(self) -> None:
        match self.plant:
            case "crash":
                signal.pthread_kill(threading.get_ident(), signal.SIGSEGV)
            case "hang":
                self._stop.wait(2 * DEADLINE_S)
                return
            case "stuck":
                # All threads: none gets on while the process is stopped.
                signal.raise_signal(signal.SIGSTOP)
            case "error":
                raise RuntimeError("planted")
        super()._run()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--plant", help="KIND:SEED")
    arguments = parser.parse_args()
    plant = None
    if arguments.plant:
        kind, _, seed = arguments.plant.partition(":")
        plant = (kind, int(seed))
    faulthandler.enable(all_threads=False)  # as a capture process has it
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_GIB << 30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipeline = Pipeline(arguments.port, plant)
    threads = [threading.Thread(target=pipeline.work, name=f"worker {n}") for n in range(arguments.threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # A reader that hangs must not keep this process.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
