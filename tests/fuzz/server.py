"""The hostile camera: an RTSP server whose cameras are seeds, ``rtsp://127.0.0.1:PORT/SEED``. An asyncio protocol.

Owns its connections, each with a deadline. What it says is :mod:`tests.fuzz.case`'s; it only finds the words.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from collections import OrderedDict
from dataclasses import dataclass, field

from capture.words import Transport
from tests.fuzz.case import Case, Ending

HOST = "127.0.0.1"
CONNECTION_S = 6.0
"""No connection lasts longer."""
REQUESTS = 60
"""... nor asks more."""
HOLD_S = 4.0
DRIP_S = 0.1
CASES_KEPT = 200

_REQUEST = re.compile(rb"^([A-Z_]+) (\S+) RTSP/1.0\r\n")
_SEED = re.compile(r"^rtsp://[^/]*/(-?\d+)")
_PORTS = re.compile(rb"client_port=(\d+)-(\d+)")
_CSEQ = re.compile(rb"\r\nCSeq: *(\d+)", re.IGNORECASE)


@dataclass(slots=True)
class _Visit:
    """One connection's state."""

    seed: int | None = None
    ports: tuple[int, int] | None = None
    """Where UDP goes, once asked for."""


@dataclass(slots=True)
class HostileServer:
    """Use as an asynchronous context manager."""

    port: int = 0
    bugs: list[str] = field(default_factory=list)
    """What went wrong here, and not there: a run with any is void."""
    _cases: OrderedDict[int, Case] = field(default_factory=OrderedDict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def __aenter__(self) -> HostileServer:
        self._server = await asyncio.start_server(self._connected, HOST, 0, backlog=200)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def case(self, seed: int) -> Case:
        """The case of a seed; what it sends is made once for its two connections (the look ahead, and FFmpeg's)."""
        if seed not in self._cases:
            self._cases[seed] = Case(seed)
            while len(self._cases) > CASES_KEPT:
                self._cases.popitem(last=False)
        return self._cases[seed]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        visit = _Visit()
        try:
            async with asyncio.timeout(CONNECTION_S):
                await self._talk(reader, writer, visit)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, asyncio.CancelledError):
            pass  # the client went, or had its time; or we go, and nobody but us cancels
        except Exception as error:  # noqa: BLE001 - the top of a connection
            self.bugs.append(f"seed {visit.seed}: {type(error).__name__}: {error}")
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, visit: _Visit) -> None:
        for _ in range(REQUESTS):
            head = await _read_request(reader)
            request = _REQUEST.match(head)
            if request is None:
                return
            method, url = request[1].decode(), request[2].decode(errors="replace")
            if visit.seed is None:  # later ones may follow a control URL to anywhere
                named = _SEED.match(url)
                if named is None:
                    return
                visit.seed = int(named[1])
            case = self.case(visit.seed)
            cseq = _CSEQ.search(head)
            transport = self._transport(head, visit) if method == "SETUP" else ""
            base = f"rtsp://{HOST}:{self.port}/{visit.seed}"
            writer.write(case.answer(method, cseq[1].decode() if cseq else "0", base, transport))
            await writer.drain()
            if method == "PLAY":
                await self._play(writer, case, visit)
                return

    def _transport(self, head: bytes, visit: _Visit) -> str:
        ports = _PORTS.search(head)
        if ports is None:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        visit.ports = int(ports[1]), int(ports[2])
        return f"RTP/AVP;unicast;client_port={visit.ports[0]}-{visit.ports[1]};server_port=5000-5001"

    async def _play(self, writer: asyncio.StreamWriter, case: Case, visit: _Visit) -> None:
        if visit.ports is None or case.transport is not Transport.UDP:
            for chunk in case.chunks:
                writer.write(chunk)
                await writer.drain()
        else:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                for number, (channel, data) in enumerate(case.datagrams):
                    if data and 0 < visit.ports[channel] < 65536:
                        with contextlib.suppress(OSError):  # over what a datagram holds
                            sender.sendto(data, (HOST, visit.ports[channel]))
                    if number % 32 == 31:
                        await asyncio.sleep(0.002)  # a client's buffer has an end
                await asyncio.sleep(0.05)
        await _end(writer, case.ending)


async def _read_request(reader: asyncio.StreamReader) -> bytes:
    """The next request; receiver reports that are interleaved before it are skipped."""
    for _ in range(REQUESTS):
        first = await reader.readexactly(1)
        if first != b"$":
            return first + await reader.readuntil(b"\r\n\r\n")
        _, length = struct.unpack(">BH", await reader.readexactly(3))
        await reader.readexactly(length)
    return b""


async def _end(writer: asyncio.StreamWriter, ending: Ending) -> None:
    match ending:
        case Ending.CLOSE:
            writer.write_eof()
            await asyncio.sleep(0.2)  # for what is unread: an abort would take it away
        case Ending.HOLD:
            await asyncio.sleep(HOLD_S)
        case Ending.DRIP:
            for _ in range(round(HOLD_S / DRIP_S)):
                writer.write(b"$")
                await writer.drain()
                await asyncio.sleep(DRIP_S)
        case Ending.RESET:
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
