"""What the simulator costs: CPU of `mosaicd simulate`'s server for many cameras over RTSP on TCP.

    .venv/bin/python bench/simulator.py [--cameras 32] [--seconds 20] [--json]

The server runs in a process of its own; this one plays all its cameras over one connection each and throws the bytes
away. The figure is the server's user and system time from /proc over the seconds in which all cameras play, in
per cent of one core. Needs ../shared/data/videos (four cameras of Retail02_short.mp4, the others over the rest), or
`--video FILE[:COUNT]` as `mosaicd simulate` takes it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOOTAGE = ROOT.parent / "shared" / "data" / "videos"
_WARM_UP_S = 2.0

_SERVE = """
import sys
from simulator.run import SimulateOptions, run
from simulator.shares import parse_video_share
sys.exit(run(SimulateOptions(int(sys.argv[1]), tuple(map(parse_video_share, sys.argv[2:])), port=0)))
"""


@dataclass(frozen=True, slots=True)
class Result:
    """One measurement.

    Attributes:
        cameras: how many played.
        seconds: how long it was measured.
        server_cpu_percent: of one core.
        user_percent: its user part.
        system_percent: its system part, most of it sending.
        mbit_per_s: received by the clients.
        frames_per_s: RTP packets with a marker, received by the clients.
        server_rss_mib: resident memory of the server at the end.
    """

    cameras: int
    seconds: float
    server_cpu_percent: float
    user_percent: float
    system_percent: float
    mbit_per_s: float
    frames_per_s: float
    server_rss_mib: float


class Viewer:
    """One connection: a handshake that blocks, then bytes that are counted and forgotten."""

    def __init__(self, url: str) -> None:
        found = re.fullmatch(r"rtsp://([^:]+):(\d+)/.*", url)
        assert found is not None, url
        self.socket = socket.create_connection((found[1], int(found[2])), timeout=5)
        self._sequence = 0
        self._ask("SETUP", f"{url}/video", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1")
        session = re.search(r"Session: (\w+)", self._reply())
        assert session is not None
        self._ask("PLAY", url, f"Session: {session[1]}", "Range: npt=0-")
        assert self._reply().startswith("RTSP/1.0 200")
        self.socket.setblocking(False)
        self.received_bytes = 0

    def _ask(self, method: str, url: str, *headers: str) -> None:
        self._sequence += 1
        lines = (f"{method} {url} RTSP/1.0", f"CSeq: {self._sequence}", *headers, "", "")
        self.socket.sendall("\r\n".join(lines).encode())

    def _reply(self) -> str:
        """Reads to the end of a response without a body and not one byte further."""
        received = b""
        while not received.endswith(b"\r\n\r\n"):
            received += self.socket.recv(1)
        return received.decode()


@contextlib.contextmanager
def serving(cameras: int, videos: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Runs the server; gives its pid and its cameras' URLs."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", _SERVE, str(cameras), *videos]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            urls: list[str] = []
            while len(urls) < cameras:
                line = process.stdout.readline()
                if not line:
                    raise SystemExit(process.wait())
                urls += re.findall(r'url: "([^"]+)"', line)
            yield process.pid, urls
        finally:
            process.send_signal(signal.SIGTERM)


def measure(cameras: int, videos: list[str], seconds: float) -> Result:
    """Plays all cameras for some seconds."""
    with serving(cameras, videos) as (pid, urls), selectors.DefaultSelector() as selector:
        viewers = [Viewer(url) for url in urls]
        for viewer in viewers:
            selector.register(viewer.socket, selectors.EVENT_READ, viewer)
        _read(selector, _WARM_UP_S)
        user_s, system_s = _cpu_s(pid)
        started = time.monotonic()
        received, frames = _read(selector, seconds)
        elapsed = time.monotonic() - started
        user_s, system_s = (after - before for after, before in zip(_cpu_s(pid), (user_s, system_s), strict=True))
        rss = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
        for viewer in viewers:
            viewer.socket.close()
    return Result(
        cameras=cameras,
        seconds=round(elapsed, 2),
        server_cpu_percent=round((user_s + system_s) / elapsed * 100, 2),
        user_percent=round(user_s / elapsed * 100, 2),
        system_percent=round(system_s / elapsed * 100, 2),
        mbit_per_s=round(received * 8 / elapsed / 1e6, 2),
        frames_per_s=round(frames / elapsed, 1),
        server_rss_mib=round(int(rss[1]) / 1024, 1) if rss else 0.0,
    )


def _read(selector: selectors.BaseSelector, seconds: float) -> tuple[int, int]:
    """Bytes, and about how many frames: the server writes each at once, so one begins where a read begins."""
    deadline = time.monotonic() + seconds
    received = frames = 0
    while (left := deadline - time.monotonic()) > 0:
        for key, _ in selector.select(left):
            part = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            if not part:
                raise SystemExit("the server closed a connection")
            received += len(part)
            frames += part[:2] == b"$\0"
    return received, frames


def _cpu_s(pid: int) -> tuple[float, float]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def main() -> int:
    """Prints a table, or JSON."""
    parser = argparse.ArgumentParser(description="CPU of the RTSP simulator over TCP")
    parser.add_argument("--cameras", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--video", action="append", metavar="FILE[:COUNT]", help="default: the footage of ../shared")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    arguments = parser.parse_args()
    videos = arguments.video
    if videos is None:
        files = sorted(FOOTAGE.glob("*.mp4"))
        if not files:
            print(f"no footage in {FOOTAGE}; give --video FILE", file=sys.stderr)
            return 1
        videos = [f"{file}:4" if file.name == "Retail02_short.mp4" and len(files) > 1 else str(file) for file in files]
    result = asdict(measure(arguments.cameras, videos, arguments.seconds))
    if arguments.json:
        print(json.dumps(result, indent=2))
    else:
        for name, value in result.items():
            print(f"{name:<20} {value:>10}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
