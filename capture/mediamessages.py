"""Orders for clips and pictures of what a camera's ring holds, and their replies. Pure.

An order that wants a file carries its descriptor: one, of an empty file, writable and seekable. The capture process
sees no path, and closes it whatever comes of the order. Each such order is replied to once. Times are monotonic.
"""

from typing import overload

import msgspec

from capture.words import Shortfall


class MediaMessage(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of these messages."""

    camera: str
    epoch: int
    event_id: str
    """Whoever orders chooses it; the reply has the same."""


class Record(MediaMessage, frozen=True):
    """Write a clip: MP4, of the packets as they came. Carries one descriptor."""

    from_mono_s: float
    """It begins with the key frame before; with the first that is kept, if that is gone."""
    until_mono_s: float


class Prolong(MediaMessage, frozen=True):
    """Let a clip that is being written go on until then; it is no error if it has ended."""

    until_mono_s: float


class Snapshot(MediaMessage, frozen=True):
    """Write a picture of this moment: JPEG, as large as the camera's. Carries one descriptor.

    Of a camera of which nothing is kept there is only the small picture of now.
    """

    at_mono_s: float
    """A frame's own time of capture, or near it."""


class Recorded(MediaMessage, frozen=True):
    """A clip has ended."""

    duration_s: float = 0.0
    size_bytes: int = 0
    """0: there is none."""
    began_mono_s: float = 0.0
    """When its first frame was captured."""
    first_pts_s: float | None = None
    """The same by the camera's clock, where that was told."""
    reason: Shortfall | None = None
    """Why there is none, or why it is shorter than was asked for."""


class Snapped(MediaMessage, frozen=True):
    """A picture was written, or there is none."""

    size_bytes: int = 0
    """0: there is none."""
    picture_wh: tuple[int, int] = (0, 0)
    captured_mono_s: float = 0.0
    is_tile: bool = False
    """Only the small picture that is analyzed could be had, of its own time."""
    reason: Shortfall | None = None
    """Why there is none, or only the small one."""


@overload
def refused(order: Snapshot, reason: Shortfall | None) -> Snapped: ...
@overload
def refused(order: Record | Snapshot, reason: Shortfall | None) -> Recorded | Snapped: ...
def refused(order: Record | Snapshot, reason: Shortfall | None) -> Recorded | Snapped:
    """Return the reply that nothing comes of an order."""
    kind = Recorded if isinstance(order, Record) else Snapped
    return kind(order.camera, order.epoch, order.event_id, reason=reason)
