"""One case: all that a hostile camera says and sends, made from one number. Pure.

Each part draws from a generator of its own, named after it, so that what is sent does not depend on when it is asked
for. Seeds below 0 are valid footage, unchanged: the control.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from random import Random

from capture.words import DecodeMode, Transport
from simulator.nal import Codec
from tests.fuzz.bases import Base, bases
from tests.fuzz.mutations import NUMBERS, mutate_bytes, mutate_lines, mutate_order
from tests.fuzz.payloads import RtpPacket, mutate_packets, mutate_units, packets_of, rtcp


class Layer(Enum):
    """Where a case is wrong."""

    RTSP = "rtsp"
    SDP = "sdp"
    RTP = "rtp"
    RTCP = "rtcp"
    FRAMING = "framing"
    PICTURES = "pictures"


class Ending(Enum):
    """What the camera does once it has sent all."""

    CLOSE = "close"
    RESET = "reset"
    HOLD = "hold"
    DRIP = "drip"


_WEIGHTS = {
    Layer.PICTURES: 0.5,
    Layer.RTP: 0.35,
    Layer.SDP: 0.3,
    Layer.RTSP: 0.15,
    Layer.RTCP: 0.15,
    Layer.FRAMING: 0.1,
}
_BASE_WEIGHTS = {Codec.H264: 10, Codec.H265: 12, Codec.JPEG: 6}
_OFTEN = (1, 1, 1, 2, 3, 6)
"""How many mutations of one layer a case has."""

LINES_LIMIT = 4000
"""Of a session description: what is repeated is repeated again."""
METHODS = ("OPTIONS", "DESCRIBE", "SETUP", "PLAY")
_ENCODINGS = (
    *(
        "H264",
        "H265",
        "JPEG",
        "MP4V-ES",
        "H263-1998",
        "H261",
        "VP8",
        "VP9",
        "AV1",
        "theora",
        "raw",
        "MPV",
        "DV",
        "MP2T",
    ),
    *(
        "X-QT",
        "X-SV3V-ES",
        "X-MP4V",
        "quicktime",
        "mpeg4-generic",
        "MP4A-LATM",
        "vorbis",
        "AMR",
        "L24",
        "",
        "H264/H264",
    ),
)
_ELSEWHERE = (
    *(
        "rtsp://127.0.0.1:1/other",
        "rtsp://127.0.0.1:1",
        "file:///etc/hostname",
        "../../..",
        "*",
        "/",
        "?x=%00",
        "a" * 3000,
    ),
    *("http://127.0.0.1:1/", "rtsps://127.0.0.1:1/", "//127.0.0.1:1/", "rtsp://", "rtsp://[::1", "tcp://127.0.0.1:1"),
)


@dataclass(frozen=True)
class Case:
    """What one seed makes."""

    seed: int

    @cached_property
    def base(self) -> Base:
        every = bases()
        if self.seed < 0:
            return every[-self.seed % len(every)]
        return self._rng("base").choices(every, [_BASE_WEIGHTS[base.codec] for base in every])[0]

    @cached_property
    def layers(self) -> frozenset[Layer]:
        if self.seed < 0:
            return frozenset()
        rng = self._rng("layers")
        chosen = {layer for layer, weight in _WEIGHTS.items() if rng.random() < weight}
        return frozenset(chosen or {Layer.PICTURES})

    @cached_property
    def mode(self) -> DecodeMode:
        if self.seed < 0:
            return DecodeMode.ALL
        return self._rng("mode").choices(list(DecodeMode), [6, 1, 1, 2])[0]

    @cached_property
    def transport(self) -> Transport:
        return Transport.UDP if self.seed >= 0 and self._rng("transport").random() < 0.06 else Transport.TCP

    @cached_property
    def ending(self) -> Ending:
        return Ending.CLOSE if self.seed < 0 else self._rng("ending").choices(list(Ending), [88, 6, 3, 3])[0]

    def _rng(self, part: str) -> Random:
        return Random(f"{self.seed}/{part}")

    # --- what it says ---

    def answer(self, method: str, cseq: str, url: str, transport: str) -> bytes:
        """The answer to a request."""
        body = self.sdp if method == "DESCRIBE" else b""
        lines = [b"RTSP/1.0 200 OK", f"CSeq: {cseq}".encode(), *self._headers(method, url, transport)]
        if body:
            lines.append(f"Content-Length: {len(body)}".encode())
        rng = self._rng(f"rtsp {method}")
        if Layer.RTSP in self.layers and (method not in METHODS or rng.random() < 0.5):
            for _ in range(rng.choice(_OFTEN)):
                lines = self._mutated_head(lines, url, rng)
            if rng.random() < 0.1:
                lines.insert(0, rng.choice((b"ANNOUNCE * RTSP/1.0\r\nCSeq: 1\r\n", b"\r\n" * 50, b"$\0\0\4abcd")))
            body = mutate_bytes(body, rng) if rng.random() < 0.1 else body
        return b"\r\n".join([*lines, b"", b""]) + body

    def _headers(self, method: str, url: str, transport: str) -> tuple[bytes, ...]:
        session = b"Session: 12345678;timeout=60"
        match method:
            case "OPTIONS":
                return (b"Public: OPTIONS, DESCRIBE, SETUP, PLAY, GET_PARAMETER, TEARDOWN",)
            case "DESCRIBE":
                return f"Content-Base: {url}/".encode(), b"Content-Type: application/sdp"
            case "SETUP":
                return f"Transport: {transport}".encode(), session
            case "PLAY":
                first = self._packets[0] if self._packets else RtpPacket(0, 0, b"")
                info = f"RTP-Info: url={url}/track1;seq={first.sequence};rtptime={first.timestamp}"
                return session, b"Range: npt=0.000-", info.encode()
        return (session,)

    def _mutated_head(self, lines: Sequence[bytes], url: str, rng: Random) -> list[bytes]:
        changed = list(lines)
        match rng.randrange(8):
            case 0:
                status = rng.choice((b"100", b"199", b"301", b"302", b"401", b"404", b"454", b"461", b"503", *NUMBERS))
                changed[0] = rng.choice((b"RTSP/1.0", b"HTTP/1.1", b"RTSP/9", b"ICY")) + b" " + status + b" Text"
                # A loop, or nowhere: a redirect must not lead off this host.
                changed.append(b"Location: " + rng.choice((url.encode(), b"rtsp://127.0.0.1:1/", b"rtsp:", b"/x")))
            case 1:
                changed.append(b"Content-Length: " + rng.choice((*NUMBERS, b"10", b"100000")))
            case 2:
                settings = rng.choice(
                    (
                        *(b"RTP/AVP/TCP;unicast;interleaved=254-255", b"RTP/AVP/TCP;interleaved=0", b"RTP/AVP;unicast"),
                        *(b"RTP/AVP/TCP;interleaved=65536--1", b"x-pn-tng/tcp;interleaved=0-1", b"RAW/RAW/UDP", b","),
                        *(b"RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=ZZ;mode=record;ttl=999", b";" * 300, b"RTP/SAVP"),
                        *(b"RTP/AVP;unicast;source=127.0.0.1;server_port=1-2;client_port=0-0", b"RTP/AVP/TCP;" * 40),
                    )
                )
                changed = [b"Transport: " + settings if line.startswith(b"Transport:") else line for line in changed]
            case 3:
                changed.append(
                    b"Session: " + rng.choice((b"", b"x" * 4000, b"a;timeout=0", b"a;timeout=-1", b"a;" * 500))
                )
            case 4:
                extra = (
                    b'WWW-Authenticate: Digest realm="' + b"r" * rng.choice((1, 600)) + b'", nonce="n", algorithm=MD5',
                    *(
                        b"RTP-Info: " + b"url=x;seq=-1;rtptime=99999999999," * 40,
                        b"Range: npt=nan--inf",
                        b"RTP-Info: url=",
                    ),
                    *(b"Server: Real/" + b"9" * 300, b"RealChallenge1: " + b"c" * 300, b"x-Accept-Dynamic-Rate: 1"),
                    *(b"Content-Type: application/x-rtsp-udp-packetpair", b"Notice: 2101 " + b"n" * 90, b"CSeq: -5"),
                )
                changed.append(rng.choice(extra))
            case _:
                changed = mutate_lines(changed, rng)
        return changed

    @cached_property
    def sdp(self) -> bytes:
        """The session description."""
        described = self.base.sdp()
        rng = self._rng("sdp")
        if Layer.SDP not in self.layers:
            return described
        lines = described.split(b"\r\n")
        for _ in range(rng.choice(_OFTEN)):
            lines = self._mutated_description(lines, rng)[:LINES_LIMIT]
        return rng.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r")).join(lines)[:200_000]

    def _mutated_description(self, lines: list[bytes], rng: Random) -> list[bytes]:  # noqa: PLR0911 - a table
        track = next((at for at, line in enumerate(lines) if line.startswith(b"m=")), len(lines))
        match rng.randrange(9):
            case 0:
                base64 = [nal if rng.random() < 0.4 else mutate_bytes(nal, rng) for nal in self.base.sets]
                sets = b",".join(b64encode(nal) for nal in mutate_order(base64, rng))
                name = rng.choice((b"sprop-parameter-sets", b"sprop-sps", b"sprop-vps", b"sprop-pps", b"config"))
                broken = (b"====", b"," * 500, b"A" * 4097, b"%", b"\xff\xfe", sets * 30, sets[:-1], sets)
                return _with(lines, b"a=fmtp:", b"a=fmtp:96 " + name + b"=" + rng.choice((*broken, sets, sets)))
            case 1:
                encoding = rng.choice(_ENCODINGS) if rng.random() < 0.6 else self.base.codec.value
                clock = rng.choice((*NUMBERS, b"90000", b"8000", b"1000/2"))
                mapped = f"a=rtpmap:{self.base.payload_type} {encoding}/".encode() + clock
                return _with(lines, b"a=rtpmap:", mapped)
            case 2:
                where = rng.choice(_ELSEWHERE).encode()
                return [b"a=control:" + where if line.startswith(b"a=control:") else line for line in lines]
            case 3:
                return lines[:track] + lines[track:] * rng.choice((2, 5, 60, 300))
            case 4:
                payload_type = rng.choice((0, 14, 26, 31, 32, 33, 34, 95, 97, 127, 128, 255, 300)).__str__().encode()
                kind = rng.choice((b"video", b"video", b"audio", b"application", b"text", b"data", b""))
                profile = rng.choice((b"RTP/AVP", b"RTP/AVPF", b"RTP/SAVP", b"UDP", b"RAW/RAW/UDP", b"MP2T/H2221/UDP"))
                return _with(lines, b"m=", b"m=" + kind + b" 0 " + profile + b" " + payload_type)
            case 5:
                parameters = (
                    *(
                        b"packetization-mode=2",
                        b"packetization-mode=-1",
                        b"profile-level-id=ZZZZZZ",
                        b"using-donl-field=1",
                    ),
                    *(
                        b"sprop-max-don-diff=32767",
                        b"sizelength=99;indexlength=99;mode=AAC-hbr",
                        b"cpresent=0;config=00",
                    ),
                    *(
                        b"sampling=YCbCr-4:2:2;width=65535;height=65535;depth=16",
                        b"a=b;" * 2000,
                        b"delivery-method=in_band",
                    ),
                )
                return _with(lines, b"a=fmtp:", b"a=fmtp:96 " + rng.choice(parameters))
            case 6:
                extra = (
                    *(b"a=range:npt=nan-inf", b"a=range:clock=1", b"a=framesize:96 -1--1", b"a=framerate:1e308"),
                    *(b"a=x-dimensions:99999,99999", b"a=source-filter: incl IN IP4 * 127.0.0.1", b"a=rtcp-mux"),
                    *(b"a=cliprect:0,0,9999999999,1", b"a=SampleRate:integer;0", b"a=Streamcount:integer;4294967295"),
                    *(
                        b"a=pgmpu:data:application/vnd.ms.wms-hdr.asfv1;base64,MCaydY5mzxGm2QCqAGLObA==",
                        b"a=OpaqueData:buffer;",
                    ),
                    *(
                        b"a=IsRealDataType:integer;1",
                        b"a=key-mgmt:mikey AAAA",
                        b"c=IN IP4 127.0.0.1/999",
                        b"c=IN IP6 ::1",
                    ),
                    *(
                        b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + b"A" * 40,
                        b"s=" + b"\xff" * 300,
                        b"b=AS:" + b"9" * 99,
                    ),
                )
                at = rng.randrange(len(lines) + 1)
                return [*lines[:at], rng.choice(extra), *lines[at:]]
            case _:
                return mutate_lines(lines, rng)

    # --- what it sends ---

    @cached_property
    def _packets(self) -> list[RtpPacket]:
        units = list(self.base.units)
        if Layer.PICTURES in self.layers:
            rng = self._rng("pictures")
            for _ in range(rng.choice(_OFTEN)):
                units = mutate_units(self.base, units, rng)
        packets = packets_of(self.base, units, self._rng("packets"))
        if Layer.RTP in self.layers:
            rng = self._rng("rtp")
            for _ in range(rng.choice(_OFTEN)):
                packets = mutate_packets(self.base, packets, rng)
        return packets

    @cached_property
    def datagrams(self) -> list[tuple[int, bytes]]:
        """Channel (0 RTP, 1 RTCP) and content of all packets, in order."""
        rng = self._rng("rtcp")
        every: list[tuple[int, bytes]] = []
        for packet in self._packets:
            if Layer.RTCP in self.layers and rng.random() < 0.1:
                every.append((1, rtcp(packet.timestamp, rng)))
            every.append((0, packet.encode()))
        return every

    @cached_property
    def chunks(self) -> list[bytes]:
        """The same, interleaved into the RTSP connection (RFC 2326, 10.12)."""
        rng = self._rng("framing")
        chunks = [b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data for channel, data in self.datagrams]
        if Layer.FRAMING not in self.layers or not chunks:
            return chunks
        for _ in range(rng.choice(_OFTEN)):
            at = rng.randrange(len(chunks))
            chunk = chunks[at]
            match rng.randrange(7):
                case 0:
                    length = rng.choice((0, 1, 11, 12, 13, len(chunk), 65_535))
                    chunks[at] = chunk[:2] + length.to_bytes(2, "big") + chunk[4:]
                case 1:
                    chunks[at] = b"$" + bytes([rng.choice((1, 2, 3, 127, 255))]) + chunk[2:]
                case 2:
                    chunks[at] = chunk[1:]
                case 3:
                    chunks[at] = rng.randbytes(rng.choice((1, 3, 40, 5000))) + chunk
                case 4:
                    said = (
                        b"OPTIONS * RTSP/1.0\r\nCSeq: 9\r\n\r\n",
                        b"RTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n",
                        b"RTSP/1.0 ",
                    )
                    more = (
                        b"ANNOUNCE rtsp://x RTSP/1.0\r\nContent-Length: 9999999\r\n\r\n",
                        b"\r\n\r\n",
                        b"RTSP" * 3000,
                    )
                    chunks[at] = rng.choice((*said, *more)) + chunk
                case 5:
                    chunks[at] = chunk[: rng.randrange(len(chunk))]
                case 6:
                    chunks[at] = mutate_bytes(chunk[:6], rng, 40) + chunk[6:]
        return chunks


def _with(lines: Sequence[bytes], start: bytes, line: bytes) -> list[bytes]:
    """The lines with another in place of those that start so, or at the end where none does."""
    kept = [line if each.startswith(start) else each for each in lines]
    return kept if line in kept else [*kept, line]
