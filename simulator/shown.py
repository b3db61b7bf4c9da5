"""What a camera shows under a fault. Shell: blank pictures are encoded here, once."""

from __future__ import annotations

from collections.abc import Mapping

from simulator.blank import Blank, blank_footage
from simulator.faults import Black, Blind, Fault, NotVideo, Switch, known_word
from simulator.footage import Footage
from simulator.silence import silence


def footage_under(fault: Fault | None, own: Footage, others: Mapping[str, Footage]) -> Footage:
    """The footage that takes the place of a camera's own; mostly that itself. Any thread.

    Args:
        fault: what is wrong with the camera.
        own: what it shows otherwise.
        others: what all cameras show, by name.

    Raises:
        FaultError: it is to show what no camera shows.
    """
    match fault:
        case Black():
            return blank_footage(Blank.BLACK, own.codec, own.size_wh, own.fps)
        case Blind():
            return blank_footage(Blank.BLIND, own.codec, own.size_wh, own.fps)
        case Switch():
            return others[known_word("camera", fault.to, others)]
        case NotVideo():
            return silence()
    return own
