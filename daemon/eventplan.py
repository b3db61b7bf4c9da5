"""What the process of events is to do, from settings and roster. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from daemon.child import ChildSpec
from daemon.roster import Roster
from daemon.settings import Settings
from events.analyst import CameraRules
from events.messages import DATABASE, EventsSetup

NAME = "e1"
KIND = "events"
FOLDER = "events"
"""In the state folder."""


@dataclass(frozen=True, slots=True)
class EventsPlan:
    """The process, and by which rules it follows each camera."""

    spec: ChildSpec
    setup: EventsSetup
    rules: Mapping[str, CameraRules]


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
        {camera.name: camera.rules for camera in roster.enabled},
    )
