"""What the supervisor and the process of events say to each other; :mod:`capture.messages` has the others. Pure."""

import msgspec

from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.messages import LastWords, Message, Ready, Sighting, Stop
from events.album import Recording
from events.analyst import CameraRules
from events.retention import Retention
from events.sinks.options import MqttOptions, WebhookOptions
from events.words import Kind

DATABASE = "events.sqlite"
"""In the folder of events, for whoever reads them."""

# --- supervisor -> events --------------------------------------------------------------------------------------------


class EventsSetup(Message, frozen=True):
    """First message to the process of events."""

    folder: str
    """Where the database and media are kept."""
    keep: Retention = Retention()
    mqtt: MqttOptions | None = None
    webhooks: tuple[WebhookOptions, ...] = ()


class Follow(Message, frozen=True):
    """Follow this camera by these rules from now on, whatever it was followed by before."""

    camera: str
    rules: CameraRules = CameraRules()
    recording: Recording | None = None
    """How its clips are made; None: there are none."""


class Leave(Message, frozen=True):
    """Follow this camera no more: it has been taken off the roster."""

    camera: str


class Away(Message, frozen=True):
    """This camera is down: nobody knows what happens there."""

    camera: str


class SeenFrame(msgspec.Struct, frozen=True):
    """One answered frame of one camera; also those on which nothing was seen."""

    camera: str
    captured_at: float
    """Wall clock, seconds since 1970."""
    captured_mono_s: float
    source_wh: tuple[int, int]
    sightings: tuple[Sighting, ...]


class Seen(Message, frozen=True):
    """What was seen on some frames."""

    frames: tuple[SeenFrame, ...]


# --- events -> supervisor --------------------------------------------------------------------------------------------


class EventCount(msgspec.Struct, frozen=True):
    """So many changes of events since the process started."""

    camera: str
    label: str
    kind: Kind
    count: int


class EventsReport(Message, frozen=True):
    """Sign of life and counters, about once a second."""

    steps: int
    """Turns of its loop: the work by which it is judged alive."""
    frames: int
    """Taken in since the process started."""
    late: int
    """... of these, no newer than one before."""
    tracks: int
    """Objects followed now."""
    open_events: int
    counts: tuple[EventCount, ...]
    held: int
    """Changes that wait for the disk."""
    lost: int
    """Changes that were never kept, because the disk was of no use for too long."""
    is_kept: bool
    """The disk takes events."""
    cpu_s: float
    memory_mib: float


class EventsNotice(Message, frozen=True):
    """One line for the log."""

    message: str
    fields: dict[str, str | int | float] = {}
    is_bad: bool = True


ToEvents = EventsSetup | Follow | Leave | Away | Seen | Recorded | Snapped | Stop
FromEvents = Ready | EventsReport | EventsNotice | Record | Prolong | Snapshot | LastWords
"""Orders for pictures and clips have epoch 0: the supervisor knows which it is, and who has the camera."""
