"""How a model's weights lie in a built graph, and which of these a worker's memory allows. Pure.

Constants are up to a fifth faster on TensorFlow, but it copies them at each step of optimizing a graph: measured at
416x416 (data of the process, TensorFlow's own included), 3.5 MB of weights took 0.60 GB and not 0.57, 18 MB 1.00 and
not 0.69, 34 MB 1.20 and not 0.65, 248 MB 4.8 and not 1.0.
"""

from typing import Final, Literal

Form = Literal["constants", "variables"]

MAX_CONSTANTS_MIB: Final = 64
"""Larger ones are never constants on TensorFlow: starting would take many seconds."""
_LOADED_MIB: Final = 600
_COPIES: Final = 22
"""What constants take in TensorFlow: so much, and so many times the weights."""


def choose_form(engine: str, weights_bytes: int, memory_mib: int | None) -> Form:
    """The form for an engine whose worker may hold so much data; None is no limit.

    OpenVINO knows constants only, and holds them once.
    """
    if engine != "tensorflow":
        return "constants"
    weights_mib = weights_bytes / 2**20
    fits = memory_mib is None or _LOADED_MIB + _COPIES * weights_mib <= memory_mib
    return "constants" if weights_mib <= MAX_CONSTANTS_MIB and fits else "variables"
