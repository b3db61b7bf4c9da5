"""What a child may say: the right kind of message, and numbers that can be. Pure.

msgspec has checked the types; it lets NaN, infinities and nonsense pass. What an answer says of cameras is checked by
:mod:`daemon.ledger`, which knows them.
"""

from math import isfinite

from capture.mediamessages import Recorded, Snapped
from capture.messages import (
    Answer,
    CameraCounts,
    CaptureReport,
    FromCapture,
    FromWorker,
    Ready,
    WorkerReport,
)
from daemon.child import FromAnyChild
from events.messages import EventsReport, FromEvents

_MAY_SAY = {"capture": FromCapture, "worker": FromWorker, "events": FromEvents}


class UntrustworthyError(Exception):
    """A child said what cannot be; whoever said it is to be replaced."""


def check_fits(kind: str, message: FromAnyChild) -> None:
    """Raise UntrustworthyError unless a child of this kind may say this, with finite numbers that are not negative."""
    name = type(message).__name__
    if not isinstance(message, _MAY_SAY[kind]):
        raise UntrustworthyError(f"a {kind} process sent {name}")
    numbers: tuple[float, ...] = ()
    match message:
        case Ready():
            numbers = (message.memory_mib,)
        case CaptureReport():
            numbers = (message.cpu_s, message.memory_mib, message.steps)
            numbers += tuple(n for c in message.cameras for n in (*_counts(c.counts), *c.failures.values()))
            numbers += tuple(n for c in message.cameras for n in (c.last_frame_at, c.motion_ratio, c.gop_s, c.cpu_s))
            numbers += tuple(n for c in message.cameras for n in (c.ring_bytes, c.ring_s))
            numbers += tuple(n for m in message.mosaics for n in (m.composed, m.skipped, m.live_tiles, m.still))
        case Recorded():
            numbers = (message.duration_s, message.size_bytes, message.began_mono_s, abs(message.first_pts_s or 0.0))
        case Snapped():
            numbers = (message.size_bytes, message.captured_mono_s, *message.picture_wh)
        case WorkerReport():
            numbers = (message.cpu_s, message.memory_mib, message.answered, message.stale, message.torn)
        case EventsReport():
            numbers = (message.cpu_s, message.memory_mib, message.steps, message.tracks, message.open_events)
            numbers += (message.held, message.other_media_bytes, message.database_bytes, message.free_bytes)
            numbers += tuple(sink.waiting for sink in message.sinks)
            numbers += tuple(n for series in message.series for n in series.numbers)
            if not all(series.fits() for series in message.series):
                raise UntrustworthyError(f"{name} holds a series of another shape")
        case Answer():
            numbers = (message.inference_s, message.canvas_number, message.composed_mono_s)
    if not all(isfinite(number) and number >= 0 for number in numbers):
        raise UntrustworthyError(f"{name} holds a number that cannot be")


def _counts(counts: CameraCounts) -> tuple[int, ...]:
    return tuple(getattr(counts, name) for name in CameraCounts.__struct_fields__)
