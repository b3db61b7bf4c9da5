"""Rings for tests: filled from real streams, as a reader fills them."""

import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import av

from capture.nal import nal_type, split
from capture.ring import Ring
from capture.source import Source, SourceOptions
from capture.track import KeptPacket, PacketRing, Track

FRAME_S = 0.02


def ring_of_file(
    path: Path,
    ring: PacketRing | None = None,
    at_s: float = 0.0,
    change: Callable[[int, "av.Packet[av.VideoStream]"], object] = lambda *_: None,
) -> PacketRing:
    """A ring with a file's packets, as byte stream; captured from ``at_s`` on, 50 a second. ``change`` changes each."""
    ring = Ring(1e6, 2**30) if ring is None else ring
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        track = Track.of(stream)
        for number, packet in enumerate(each for each in container.demux(stream) if each.size):
            change(number, packet)
            captured_s = at_s + number * FRAME_S
            track.keep(packet, captured_s, captured_s, ring)
    return ring


def ring_of_stream(url: str, packets: int, ring: PacketRing | None = None) -> PacketRing:
    """A ring with so many packets of a stream, at least."""
    ring = Ring(1e6, 2**30) if ring is None else ring
    stop, goal = threading.Event(), ring.end + packets
    with Source(SourceOptions(url)) as source:
        track = Track.of(source.stream)
        for arrival in source.arrivals(stop):
            track.keep(arrival.packet, arrival.stamp.captured_s, arrival.stamp.arrived_s, ring)
            if ring.end >= goal:
                stop.set()
    return ring


def kept_in(ring: PacketRing) -> list[KeptPacket]:
    return [each for number in range(ring.first, ring.end) if (each := ring.get(number))]


def sent_units(kept: list[KeptPacket]) -> list[list[bytes]]:
    """NAL units of packets; of H.265 without parameter sets, which stand in the clip's head alone."""
    return [_units(each.track.codec, bytes(each.packet), is_stream=each.track.is_byte_stream) for each in kept]


def written_units(path: Path) -> list[list[bytes]]:
    """NAL units of a clip's packets, in order of decoding."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        codec = stream.codec_context.name
        packets = [packet for packet in container.demux(stream) if packet.size]
        assert packets[0].is_keyframe
        assert all(a.dts < b.dts for a, b in pairwise(packets))
        assert min(packet.pts for packet in packets) == 0
        return [_units(codec, bytes(packet), is_stream=False) for packet in packets]


def _units(codec: str, data: bytes, *, is_stream: bool) -> list[bytes]:
    if is_stream:
        found = list(split(data))
    else:
        found = []
        while data:
            end = 4 + int.from_bytes(data[:4], "big")
            found.append(data[4:end].rstrip(b"\x00"))
            data = data[end:]
    return [nal for nal in found if codec == "h264" or nal_type(codec, nal) not in (32, 33, 34)]


def numbers_shown(path: Path, read: Callable[..., int]) -> list[int]:
    """What the pictures of a clip show, decoded without complaint."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    assert not any(frame.is_corrupt for frame in frames)
    return [read(frame.to_ndarray(format="gray")) for frame in frames]
