"""One process under test, as the runner sees it. Owned by one task of the runner's loop."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from daemon.blame import crashed_camera
from daemon.job import ALLOCATOR
from tests.fuzz.pipeline import DEADLINE_S, OVERDUE, camera_of

MEMORY_LIMIT_MIB = 1536.0
MEMORY = "memory"
STUCK_S = DEADLINE_S + 6.0
"""A case that has neither ended nor been called overdue by then: nothing in that process gets on."""
LOOK_S = 0.2
STDERR_LINES = 4000

Event = dict[str, Any]


@dataclass(slots=True)
class Child:
    """Feeds seeds to a process until there are no more or it has to be replaced; then says what became of each."""

    port: int
    threads: int
    plant: str
    on_end: Callable[[Event], None] = field(kw_only=True)
    """Is given what it said of each case, but for those that were overdue."""
    suspects: dict[int, str] = field(default_factory=dict)
    """Cases that it did not get over, and why; where only one can be to blame, only that one."""
    unfinished: list[int] = field(default_factory=list)
    """Cases that have to be run again: their process ended for another's sake."""
    peak_mib: float = 0.0
    memories_mib: list[float] = field(default_factory=list)
    """As it reported after each case."""
    stderr: deque[str] = field(default_factory=lambda: deque(maxlen=STDERR_LINES))
    _started_s: dict[int, float] = field(default_factory=dict)
    _why_killed: str = ""

    async def run(self, next_seed: Callable[[], int | None]) -> None:
        """Start, feed, wait; leaves no process behind."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.fuzz.pipeline", "--port", str(self.port)),
            *("--threads", str(self.threads), *(("--plant", self.plant) if self.plant else ())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, **ALLOCATOR},  # memory as a capture process has it
        )
        watching = [asyncio.create_task(self._watch(process)), asyncio.create_task(self._read_stderr(process))]
        try:
            await self._feed(process, next_seed)
            await process.wait()
            await watching[1]
        finally:
            watching[0].cancel()
            if process.returncode is None:
                process.kill()
                await process.wait()
        self._judge(process.returncode or 0)

    async def _feed(self, process: asyncio.subprocess.Process, next_seed: Callable[[], int | None]) -> None:
        assert process.stdin is not None and process.stdout is not None

        def give() -> None:
            """One more, unless there is none, or this process shall not go on."""
            seed = None if self.suspects else next_seed()
            if seed is None:
                if not self._started_s:
                    process.stdin.close()
                return
            self._started_s[seed] = time.monotonic()
            process.stdin.write(f"{seed}\n".encode())

        for _ in range(self.threads):
            give()
        async for line in process.stdout:
            event = json.loads(line)
            seed = event["seed"]
            self._started_s.pop(seed, None)
            self.memories_mib.append(event["memory_mib"])
            self.peak_mib = max(self.peak_mib, event["peak_mib"])
            if event["outcome"] == OVERDUE:
                self.suspects[seed] = OVERDUE
            elif event["peak_mib"] > MEMORY_LIMIT_MIB:  # too short for us to see
                self.suspects[seed] = MEMORY
            else:
                self.on_end(event)
            give()

    async def _read_stderr(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.stderr.append(line.decode(errors="replace").rstrip()[:500])

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        """End it when it takes too much memory, or when nothing in it gets on."""
        while process.returncode is None:
            peak_mib = _peak_mib(process.pid)
            self.peak_mib = max(self.peak_mib, peak_mib)
            oldest_s = min(self._started_s.values(), default=time.monotonic())
            if peak_mib > MEMORY_LIMIT_MIB:
                self._why_killed = MEMORY
                process.kill()
                return
            if time.monotonic() - oldest_s > STUCK_S:
                self._why_killed = OVERDUE
                process.send_signal(signal.SIGUSR1)  # it says where each thread is
                await asyncio.sleep(1.0)
                process.kill()
                return
            await asyncio.sleep(LOOK_S)

    def _judge(self, returncode: int) -> None:
        in_flight = list(self._started_s)
        if not in_flight:
            return
        if self._why_killed == OVERDUE:
            now_s = time.monotonic()
            stuck = [seed for seed, at_s in self._started_s.items() if now_s - at_s > STUCK_S]
        elif self._why_killed:
            stuck = in_flight
        else:
            camera = crashed_camera(list(self.stderr), {camera_of(seed) for seed in in_flight})
            stuck = [seed for seed in in_flight if camera in (None, camera_of(seed))]
        why = self._why_killed or (f"signal {-returncode}" if returncode < 0 else f"exit {returncode}")
        self.suspects |= dict.fromkeys(stuck, why)
        self.unfinished = [seed for seed in in_flight if seed not in self.suspects]


def _peak_mib(pid: int) -> float:
    """The most memory that was resident at once (proc(5), status: VmHWM)."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    found = [line.split() for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0][1]) / 1024 if found else 0.0
