"""Footage: an encoded video as a loop of frames, packetized once and shared by all cameras that show it. Pure.

Where the access units come from (a file, an encoder) is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from simulator.nal import Codec, has_all_parameter_sets, is_dispensable, is_parameter_set
from simulator.packetize import packetize
from simulator.rtp import CLOCK_HZ, PacketizedFrame, build_frame


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One encoded picture.

    Attributes:
        pts_ticks: when it is shown, in 1/90000 s.
        is_key: whether decoding can start here.
        nals: its NAL units without start codes.
    """

    pts_ticks: int
    is_key: bool
    nals: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class FootageFrame:
    """One picture of the loop.

    Attributes:
        pts_ticks: when it is shown, in 1/90000 s since the first key frame.
        dts_ticks: when it is sent, on the same scale (negative at the start where pictures are reordered).
        is_key: whether a client can start here.
        packets: its packets.
    """

    pts_ticks: int
    dts_ticks: int
    is_key: bool
    packets: PacketizedFrame


@dataclass(frozen=True, slots=True)
class Footage:
    """A video that loops without a gap.

    Attributes:
        name: what people call it, such as the file's name.
        codec: of all frames.
        size_wh: pixels, as coded.
        fps: frames a second on average.
        frames: in decoding order; the first is a key frame with `pts_ticks == 0`.
        duration_ticks: from the first frame of one round to the first of the next.
        parameter_sets: SPS and PPS (and VPS) for the session description.
    """

    name: str
    codec: Codec
    size_wh: tuple[int, int]
    fps: Fraction
    frames: tuple[FootageFrame, ...]
    duration_ticks: int
    parameter_sets: tuple[bytes, ...]

    @property
    def duration_s(self) -> float:
        """Length of one round in seconds."""
        return self.duration_ticks / CLOCK_HZ

    @property
    def key_times_s(self) -> tuple[float, ...]:
        """When in the round each key frame is shown, in seconds."""
        return tuple(frame.pts_ticks / CLOCK_HZ for frame in self.frames if frame.is_key)

    @property
    def bitrate_bps(self) -> int:
        """Average payload bits a second."""
        return int(sum(frame.packets.octets for frame in self.frames) * 8 / self.duration_s)


def build_footage(
    name: str,
    codec: Codec,
    size_wh: tuple[int, int],
    units: Sequence[AccessUnit],
    *,
    last_frame_ticks: int,
    extra_parameter_sets: tuple[bytes, ...] = (),
) -> Footage:
    """Packetizes access units, given in decoding order, into a loop that starts at the first key frame.

    Args:
        name: what people call it.
        codec: codec of all units.
        size_wh: pixels.
        units: the access units.
        last_frame_ticks: how long the frame shown last stays, in 1/90000 s: the step over the loop's seam.
        extra_parameter_sets: those kept outside the stream (as MP4 does), for streams that repeat none.

    Raises:
        ValueError: no key frame, or no parameter sets; the text says which.
    """
    playable = _from_first_key(units)
    if not playable:
        raise ValueError("it has no key frame to start from")
    origin = playable[0].pts_ticks
    sets = extra_parameter_sets
    first_sets: tuple[bytes, ...] = ()
    frames: list[FootageFrame] = []
    for unit, dts_ticks in zip(playable, _decoding_times(playable), strict=True):
        nals = tuple(nal for nal in unit.nals if not is_dispensable(codec, nal))
        own_sets = tuple(dict.fromkeys(nal for nal in nals if is_parameter_set(codec, nal)))
        if has_all_parameter_sets(codec, own_sets):
            # First in their picture, where a receiver looks; FFmpeg's filter puts them behind an SEI message.
            sets = own_sets
            nals = sets + tuple(nal for nal in nals if not is_parameter_set(codec, nal))
        elif unit.is_key:
            # A client may start here, and on TCP or UDP alike it may have lost the description's sets.
            nals = sets + nals
        first_sets = first_sets or sets
        packets = build_frame(packetize(codec, nals))
        frames.append(FootageFrame(unit.pts_ticks - origin, dts_ticks - origin, unit.is_key, packets))
    if not has_all_parameter_sets(codec, first_sets):
        raise ValueError("it has no parameter sets, so no decoder could start")
    duration = max(frame.pts_ticks for frame in frames) + max(1, last_frame_ticks)
    fps = Fraction(len(frames) * CLOCK_HZ, duration).limit_denominator(1001)
    return Footage(name, codec, size_wh, fps, tuple(frames), duration, first_sets)


def retime(footage: Footage, fps: float) -> Footage:
    """The same pictures at another rate: slower or faster than recorded, nothing left out.

    Raises:
        ValueError: a rate that is not positive.
    """
    if fps <= 0:
        raise ValueError(f"a rate of {fps} frames a second cannot be played")
    target = Fraction(fps).limit_denominator(1001)
    scale = footage.fps / target
    frames = tuple(
        replace(f, pts_ticks=round(f.pts_ticks * scale), dts_ticks=round(f.dts_ticks * scale)) for f in footage.frames
    )
    return replace(footage, frames=frames, fps=target, duration_ticks=round(footage.duration_ticks * scale))


def _decoding_times(units: Sequence[AccessUnit]) -> list[int]:
    """When each unit is sent: the times of showing in order, early enough for each to come before it is shown.

    Containers' own decoding times are not asked: Matroska has none, and others' are not always sane.
    """
    shown = sorted(unit.pts_ticks for unit in units)
    delay = max(ticks - unit.pts_ticks for ticks, unit in zip(shown, units, strict=True))
    return [ticks - delay for ticks in shown]


def _from_first_key(units: Sequence[AccessUnit]) -> list[AccessUnit]:
    """The units from the first key frame on, without pictures that refer to what came before it.

    Those are shown before the key frame though sent after it (open GOP), so no decoder could show them.
    """
    first = next((index for index, unit in enumerate(units) if unit.is_key), len(units))
    return [unit for unit in units[first:] if unit.pts_ticks >= units[first].pts_ticks]
