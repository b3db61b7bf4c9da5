"""What is kept of a connection's stream, so that its packets can be written or decoded once the connection is gone."""

from dataclasses import dataclass, field
from fractions import Fraction
from os import devnull

import av

from capture.nal import is_complete, join, parameter_sets
from capture.ring import Kept, Ring

KeptPacket = Kept["av.Packet[av.VideoStream]", "Track"]
PacketRing = Ring["av.Packet[av.VideoStream]", "Track"]

CLIP_CODECS = ("h264", "hevc")
"""What an MP4 may hold that browsers play; H.265 where their platform decodes it (Debian's Chromium 156 does not). Not
Motion JPEG: no browser plays that in MP4."""


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One connection's stream; holds neither the connection nor its decoder."""

    codec: str
    """FFmpeg's name."""
    extradata: bytes = field(repr=False)
    tick_s: Fraction
    template: "av.VideoStream" = field(repr=False)
    """A stream like it, that belongs to nobody."""

    @classmethod
    def of(cls, stream: "av.VideoStream") -> "Track":
        """Return the track of a stream. Called by the thread that reads it."""
        nowhere = av.open(devnull, "w", format="null")
        template = nowhere.add_stream_from_template(stream, opaque=True)
        context = stream.codec_context
        return cls(context.codec.canonical_name, context.extradata or b"", stream.time_base or Fraction(1), template)

    def keep(
        self, packet: "av.Packet[av.VideoStream]", captured_s: float, arrived_s: float, ring: "PacketRing"
    ) -> None:
        """Put a packet of this track into a ring."""
        # Else it would hold its stream, and so the decoder with all its pictures.
        packet.stream = self.template
        ring.append(packet, self, captured_s, arrived_s)

    @property
    def is_byte_stream(self) -> bool:
        """Whether its units stand behind start codes (Annex B), not behind their lengths as in MP4 files."""
        return self.codec in CLIP_CODECS and self.extradata[:1] != b"\x01"

    def sets(self, key: "KeptPacket") -> tuple[bytes, ...]:
        """Return the parameter sets by which a key frame of this track is decoded: its own or, else, the stream's."""
        if not self.is_byte_stream:
            return (self.extradata,)
        own = parameter_sets(self.codec, bytes(key.packet))
        return own if is_complete(self.codec, own) else parameter_sets(self.codec, self.extradata) + own

    def can_begin(self, sets: tuple[bytes, ...]) -> bool:
        """Whether a decoder can begin with these."""
        return not self.is_byte_stream or is_complete(self.codec, sets)

    def header(self, sets: tuple[bytes, ...]) -> bytes:
        """Return the extradata of parameter sets."""
        return join(sets) if self.is_byte_stream else self.extradata
