"""An RTSP client of a few lines that sees every byte, for what real clients do not show."""

import re
import select
import socket
import struct
import time
from dataclasses import dataclass

DEADLINE_S = 5.0


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True)
class Packet:
    """An RTP packet on an interleaved channel."""

    channel: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


class RawClient:
    """One connection; packets that arrive before an answer are kept for `read_packet`."""

    def __init__(self, port: int, receive_buffer_bytes: int | None = None) -> None:
        self.socket = socket.socket()
        self.socket.settimeout(DEADLINE_S)
        if receive_buffer_bytes is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.url = f"rtsp://127.0.0.1:{port}"
        self.session = ""
        self._cseq = 0
        self._received = b""
        self._frames: list[tuple[int, bytes]] = []

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, target: str, **headers: str) -> int:
        """Sends a request; a target without scheme is a camera's path. Returns its CSeq."""
        self._cseq += 1
        url = target if "://" in target or target == "*" else f"{self.url}/{target}"
        named = {"CSeq": str(self._cseq), **{name.replace("_", "-"): value for name, value in headers.items()}}
        lines = [f"{method} {url} RTSP/1.0", *(f"{name}: {value}" for name, value in named.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        return self._cseq

    def ask(self, method: str, target: str, **headers: str) -> Reply:
        """Sends a request and reads its answer."""
        if self.session and "Session" not in headers:
            headers["Session"] = self.session
        self.send(method, target, **headers)
        return self.reply()

    def reply(self) -> Reply:
        """The next answer."""
        while True:
            while self._peek(1) == b"$":
                self._frames.append(self._take_frame())
            if b"\r\n\r\n" in self._received:
                break
            self._fill()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        body = self._take(int(headers.get("content-length", "0"))).decode()
        return Reply(int(lines[0].split()[1]), headers, body)

    def setup(self, camera: str, transport: str = "RTP/AVP/TCP;unicast;interleaved=0-1") -> Reply:
        """SETUP, and the session is kept for what follows."""
        reply = self.ask("SETUP", f"{camera}/video", Transport=transport)
        assert reply.status == 200, reply
        self.session = reply.headers["session"].partition(";")[0]
        return reply

    def play(self, camera: str, range_: str | None = "npt=0-") -> Reply:
        """SETUP if need be, and PLAY."""
        if not self.session:
            self.setup(camera)
        reply = self.ask("PLAY", camera, **({"Range": range_} if range_ else {}))
        assert reply.status == 200, reply
        return reply

    def read_interleaved(self) -> tuple[int, bytes]:
        """The next packet of any channel."""
        if self._frames:
            return self._frames.pop(0)
        assert self._peek(1) == b"$", self._received[:80]
        return self._take_frame()

    def read_packet(self) -> Packet:
        """The next RTP packet (even channel)."""
        while True:
            channel, data = self.read_interleaved()
            if channel % 2 == 0:
                return parse_packet(data, channel)

    def read_frame(self) -> list[Packet]:
        """The packets up to the next marker."""
        packets = [self.read_packet()]
        while not packets[-1].marker:
            packets.append(self.read_packet())
        return packets

    def wait_closed(self, deadline_s: float = DEADLINE_S) -> None:
        """Reads on until the server closes."""
        until = time.monotonic() + deadline_s
        while True:
            self.socket.settimeout(max(0.01, until - time.monotonic()))
            try:
                if not self.socket.recv(65536):
                    return
            except ConnectionResetError:
                return

    def is_quiet(self, seconds: float) -> bool:
        """Whether nothing at all arrives for that long."""
        return not self._received and not self._frames and not select.select([self.socket], [], [], seconds)[0]

    def _take_frame(self) -> tuple[int, bytes]:
        _, channel, length = struct.unpack(">BBH", self._take(4))
        return channel, self._take(length)

    def _peek(self, count: int) -> bytes:
        while len(self._received) < count:
            self._fill()
        return self._received[:count]

    def _take(self, count: int) -> bytes:
        taken = self._peek(count)
        self._received = self._received[count:]
        return taken

    def _fill(self) -> None:
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionError("the server closed")
        self._received += part


def parse_packet(data: bytes, channel: int = 0) -> Packet:
    """An RTP packet without extensions."""
    first, second, sequence, timestamp, ssrc = struct.unpack(">BBHII", data[:12])
    assert first == 0x80
    assert second & 0x7F == 96
    return Packet(channel, bool(second & 0x80), sequence, timestamp, ssrc, data[12:])


def rtp_info(reply: Reply) -> tuple[int, int]:
    """Sequence number and timestamp out of RTP-Info."""
    found = re.fullmatch(r"url=rtsp://\S+;seq=(\d+);rtptime=(\d+)", reply.headers["rtp-info"])
    assert found, reply.headers["rtp-info"]
    return int(found[1]), int(found[2])


def range_start(reply: Reply) -> float:
    """Start out of the Range of an answer."""
    found = re.fullmatch(r"npt=([\d.]+)-[\d.]*", reply.headers["range"])
    assert found, reply.headers["range"]
    return float(found[1])
