"""Hardware decoders: which are there. Asked once a process, since a driver's answer takes time.

Written after PyAV's documentation, and tried where there is none: on a machine with a GPU it has not run yet.
"""

from functools import cache

import av
import av.error
from av.codec.hwaccel import HWAccel

from capture.words import HwAccel

KINDS = (HwAccel.CUDA, HwAccel.VAAPI)
"""In the order in which ``auto`` tries them."""


def accelerator(wanted: HwAccel) -> HWAccel | None:
    """Return what to open a stream with; None decodes in software. Any thread may call it."""
    kinds = KINDS if wanted is HwAccel.AUTO else (wanted,)
    for kind in kinds:
        if kind is not HwAccel.NONE and is_there(kind):
            return HWAccel(kind.value, allow_software_fallback=True)
    return None


@cache
def is_there(kind: HwAccel) -> bool:
    """Whether a decoder of this kind can be had here: opened for H.264, the codec that every kind has."""
    try:
        context = av.CodecContext.create("h264", "r", HWAccel(kind.value, allow_software_fallback=False))
        context.open()
    except (av.error.FFmpegError, OSError, ValueError, RuntimeError, NotImplementedError):
        return False
    return bool(context.is_hwaccel)
