"""What the supervisor and the process of events say to each other; :mod:`capture.messages` has the others. Pure."""

import msgspec

from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.messages import LastWords, Message, Ready, Sighting, Stop
from events.album import Recording
from events.analyst import CameraRules
from events.retention import Retention
from events.series import Series
from events.sinks.options import MqttOptions, WebhookOptions

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


class SinkReport(msgspec.Struct, frozen=True):
    """How things stand with one sink."""

    name: str
    waiting: int
    """Changes in its outbox, when that was last looked at."""
    is_well: bool
    """The last try went well."""
    cause: str = ""
    """Else why not: for a person, and nothing secret."""


class EventsReport(Message, frozen=True):
    """Sign of life and counters, about once a second."""

    steps: int
    """Turns of its loop: the work by which it is judged alive."""
    tracks: int
    """Objects followed now."""
    open_events: int
    series: tuple[Series, ...]
    """Those that have changed since they were last reported, as far as there is room."""
    held: int
    """Changes that wait for the disk."""
    is_kept: bool
    """The disk takes events."""
    sinks: tuple[SinkReport, ...]
    other_media_bytes: int
    """Of cameras that are not followed any more."""
    database_bytes: int
    """Both 0 until the disk was looked at."""
    free_bytes: int
    """On the disk that media are on."""
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
