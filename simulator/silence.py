"""Sound without video, for cameras that have lost it: a second of silence in G.711. Pure.

Timestamps run at the simulator's video clock, which a dynamic payload type may declare.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from simulator.footage import Footage, FootageFrame
from simulator.nal import Codec
from simulator.rtp import CLOCK_HZ, build_frame

_PACKETS_HZ: Final = 100
_STEP_TICKS: Final = CLOCK_HZ // _PACKETS_HZ
_SILENT_SAMPLE: Final = b"\xff"  # zero in mu-law (ITU-T G.711, table 2a)


def silence() -> Footage:
    """A second of silence, one byte for each tick of the clock."""
    packets = build_frame([_SILENT_SAMPLE * _STEP_TICKS])
    frames = tuple(
        FootageFrame(number * _STEP_TICKS, number * _STEP_TICKS, True, packets) for number in range(_PACKETS_HZ)
    )
    return Footage("silence", Codec.PCMU, (0, 0), Fraction(_PACKETS_HZ), frames, CLOCK_HZ, ())
