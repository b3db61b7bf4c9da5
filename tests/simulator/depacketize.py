"""RTP payloads back to NAL units: the receiver's side of RFC 6184 and RFC 7798, written from the RFCs for the tests."""

from collections.abc import Iterable

from simulator.nal import Codec


def depacketize(codec: Codec, payloads: Iterable[bytes]) -> list[bytes]:
    """The NAL units of one access unit."""
    nals: list[bytes] = []
    fragments = b""
    header = codec.header_bytes
    aggregate, fragment = (24, 28) if codec is Codec.H264 else (48, 49)
    for payload in payloads:
        kind = codec.nal_type(payload)
        if kind == aggregate:
            rest = payload[header:]
            while rest:
                size = int.from_bytes(rest[:2], "big")
                assert 0 < size <= len(rest) - 2
                nals.append(rest[2 : 2 + size])
                rest = rest[2 + size :]
        elif kind == fragment:
            flags = payload[header]
            if flags & 0x80:
                assert not fragments
                fragments = _original_header(codec, payload, flags)
            assert fragments
            fragments += payload[header + 1 :]
            if flags & 0x40:
                nals.append(fragments)
                fragments = b""
        else:
            assert not fragments
            nals.append(payload)
    assert not fragments
    return nals


def _original_header(codec: Codec, payload: bytes, flags: int) -> bytes:
    if codec is Codec.H264:
        return bytes([payload[0] & 0xE0 | flags & 0x1F])
    return bytes([payload[0] & 0x81 | (flags & 0x3F) << 1, payload[1]])
