"""From the packets of one connection to its figures: rate, regularity, key frames, bit rate, clock. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from capture.damage import GAP_RATIO, STEADY_RATIO
from capture.pace import JUMP_S
from capture.probemessages import BitRate, Clock, KeyFrames, Rhythm

CLOCK_SPAN_S = 4.0
"""The clock's rate is not told from less: half of it is compared with the other half."""
PTS_TOLERANCE_RATIO = 0.05
PTS_TOLERANCE_S = 0.6
"""FFmpeg hands on at once what it read while it opened the stream (half a second): so much more may pts span."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What is kept of a packet, in the order of arrival."""

    pts_s: float
    """The camera's clock."""
    arrived_s: float
    """Monotonic."""
    lag_s: float
    size: int
    is_key: bool


def settled(heard: Sequence[Heard]) -> Sequence[Heard]:
    """Return the packets without the burst that FFmpeg read while it opened the stream, and its last one."""
    if len(heard) < 3:
        return heard
    usual_s = median(after.arrived_s - before.arrived_s for before, after in pairwise(heard))
    for i, (before, after) in enumerate(pairwise(heard)):
        if after.arrived_s - before.arrived_s >= 0.5 * usual_s:
            return heard[i + 1 :]
    return heard


def times_s(heard: Sequence[Heard], jumps: int) -> list[float]:
    """Return when each packet was sent: by the camera's clock where that is to be trusted, else by arrival."""
    arrivals_s = [packet.arrived_s for packet in heard]
    stamps_s = [packet.pts_s for packet in heard]
    if jumps or len(heard) < 2:
        return arrivals_s
    arrived_s, stamped_s = max(arrivals_s) - min(arrivals_s), max(stamps_s) - min(stamps_s)
    limit_s = PTS_TOLERANCE_RATIO * arrived_s + PTS_TOLERANCE_S
    return stamps_s if abs(stamped_s - arrived_s) <= limit_s else arrivals_s


def rhythm(heard: Sequence[Heard], jumps: int) -> Rhythm:
    """Return when frames come."""
    calm = settled(heard)
    longest_s = max((after.arrived_s - before.arrived_s for before, after in pairwise(calm)), default=0.0)
    stamps_s = times_s(heard, jumps)
    if stamps_s and stamps_s[0] == heard[0].arrived_s:
        stamps_s = [packet.arrived_s for packet in calm]
    ordered_s = sorted(set(stamps_s))  # B-frames come after those that they refer to
    steps_s = [after - before for before, after in pairwise(ordered_s)]
    if not steps_s:
        return Rhythm(0.0, 0.0, 0, longest_s)
    usual_s = median(steps_s)
    return Rhythm(
        fps=len(steps_s) / sum(steps_s),
        irregular_ratio=sum(abs(step - usual_s) > STEADY_RATIO * usual_s for step in steps_s) / len(steps_s),
        missing=sum(GAP_RATIO * usual_s <= step < JUMP_S for step in steps_s),
        longest_wait_s=longest_s,
    )


def key_frames(heard: Sequence[Heard], jumps: int) -> KeyFrames:
    """Return how far apart the key frames are."""
    if not heard:
        return KeyFrames(0)
    stamps_s = times_s(heard, jumps)
    indices = [i for i, packet in enumerate(heard) if packet.is_key]
    begin_s, end_s = min(stamps_s), max(stamps_s)
    marks_s = [begin_s, *(stamps_s[i] for i in indices), end_s]
    at_least_s = max(after - before for before, after in pairwise(marks_s))
    if len(indices) < 2:
        return KeyFrames(len(indices), at_least_s=at_least_s)
    frames = [after - before for before, after in pairwise(indices)]
    return KeyFrames(
        count=len(indices),
        frames=round(median(frames)),
        most_frames=max(frames),
        longest_s=max(stamps_s[after] - stamps_s[before] for before, after in pairwise(indices)),
        at_least_s=at_least_s,
    )


def bit_rate(heard: Sequence[Heard], jumps: int) -> BitRate:
    """Return the mean rate, and that of the largest second that a window can be laid over."""
    stamps_s = times_s(heard, jumps)
    pairs = sorted(zip(stamps_s, (packet.size for packet in heard), strict=True))
    if len(pairs) < 2 or pairs[-1][0] <= pairs[0][0]:
        return BitRate(0.0, 0.0)
    span_s = pairs[-1][0] - pairs[0][0]
    whole_s = span_s * len(pairs) / (len(pairs) - 1)  # the last frame lasts, too
    total = sum(size for _, size in pairs)
    mean_bps = 8 * total / whole_s
    if whole_s < 1.0:
        return BitRate(mean_bps, mean_bps)
    most = inside = first = 0
    for time_s, size in pairs:
        inside += size
        while pairs[first][0] <= time_s - 1.0 + 1e-6:
            inside -= pairs[first][1]
            first += 1
        most = max(most, inside)
    return BitRate(mean_bps, 8.0 * most)


def clock(heard: Sequence[Heard], jumps: int, known_ratio: float | None, *, has_clock: bool) -> Clock:
    """Return what is known of the camera's clock; ``known_ratio`` is what :class:`~capture.pace.Pace` made of it."""
    calm = settled(heard)
    lags_s = [packet.lag_s for packet in calm]
    ratio = (known_ratio or _ratio(calm)) if has_clock and not jumps else None
    return Clock(ratio, jumps, median(lags_s) if lags_s else 0.0, max(lags_s, default=0.0))


def _ratio(heard: Sequence[Heard]) -> float | None:
    """Compare the least difference of clock and arrival in the two halves, as ``Pace`` does over longer times."""
    if not heard or heard[-1].arrived_s - heard[0].arrived_s < CLOCK_SPAN_S:
        return None
    begin_s, end_s = heard[0].arrived_s, heard[-1].arrived_s
    half_s = (end_s - begin_s) / 2
    halves: tuple[list[float], list[float]] = ([], [])
    for packet in heard:
        halves[packet.arrived_s >= begin_s + half_s].append(packet.arrived_s - packet.pts_s)
    return 1.0 - (min(halves[1]) - min(halves[0])) / half_s if all(halves) else None
