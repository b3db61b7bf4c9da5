"""What the process of events is to do, from settings and roster. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.child import ChildSpec
from daemon.roster import Camera, Roster
from daemon.settings import Settings
from events.life import LifePolicy
from events.messages import DATABASE, EventsSetup, Follow

NAME = "e1"
KIND = "events"
FOLDER = "events"
"""In the state folder."""
ANSWER_S = 2.0
"""So long may it take from a frame to what is told of it, and to an order."""


@dataclass(frozen=True, slots=True)
class EventsPlan:
    """The process, and how it follows each camera."""

    spec: ChildSpec
    setup: EventsSetup
    cameras: Mapping[str, Follow]


def events_database(settings: Settings) -> Path | None:
    """Return where events are kept; None where none are wanted."""
    return settings.state_dir / FOLDER / DATABASE if settings.events.enabled else None


def plan_events(settings: Settings, roster: Roster, inherited: Mapping[str, str]) -> EventsPlan | None:
    """Return the plan; None where no events are wanted."""
    wanted = settings.events
    if not wanted.enabled:
        return None
    return EventsPlan(
        ChildSpec(NAME, KIND, "events.process", inherited),
        EventsSetup(str(settings.state_dir / FOLDER), wanted.retention),
        {camera.name: Follow(camera.name, camera.rules, camera.recording) for camera in roster.enabled},
    )


def kept_s(settings: Settings, camera: Camera) -> float:
    """Return how many seconds of a camera's packets are to be kept, so that events can have pictures and clips.

    An object is an event after some answers, and an event's picture is ordered with its next update.
    """
    if not settings.events.enabled:
        return 0.0
    policy = LifePolicy()
    before_s = max(policy.update_every_s, camera.recording.pre_s if camera.recording else 0.0)
    return before_s + policy.min_sightings / (camera.fps or settings.mosaic.fps) + ANSWER_S
