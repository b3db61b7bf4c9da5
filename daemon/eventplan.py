"""What the process of events is to do, from settings and roster. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from daemon.child import ChildSpec
from daemon.recipients import Recipients
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


def plan_events(
    settings: Settings, roster: Roster, inherited: Mapping[str, str], told: Recipients
) -> EventsPlan | None:
    """Return the plan; None where no events are wanted."""
    wanted = settings.events
    if not wanted.enabled:
        return None
    cameras = frozenset(camera.name for camera in roster.cameras)
    expected = {camera.name: labels for camera in roster.enabled if (labels := expected_labels(camera))}
    return EventsPlan(
        ChildSpec(NAME, KIND, "events.process", inherited),
        EventsSetup(
            folder=str(settings.state_dir / FOLDER),
            keep=wanted.retention,
            mqtt=replace(told.mqtt, cameras=cameras, expected=expected) if told.mqtt else None,
            webhooks=told.webhooks,
        ),
        {camera.name: Follow(camera.name, camera.rules, camera.recording) for camera in roster.enabled},
    )


def expected_labels(camera: Camera) -> tuple[str, ...]:
    """Return the labels that a camera's events can have, if roster and rules name them; none where they may be any."""
    rules = camera.rules
    named = [zone.labels for zone in rules.zones]
    named += [line.labels for line in rules.lines]
    named += [stretch.labels for stretch in rules.stretches]
    by_rules = sorted(frozenset().union(*named)) if named and all(named) else None
    if camera.labels is None:
        return tuple(by_rules or ())
    return tuple(label for label in camera.labels if by_rules is None or label in by_rules)


def kept_s(settings: Settings, camera: Camera) -> float:
    """Return how many seconds of a camera's packets are to be kept, so that events can have pictures and clips.

    An object is an event after some answers, and an event's picture is ordered with its next update.
    """
    if not settings.events.enabled:
        return 0.0
    policy = LifePolicy()
    before_s = max(policy.update_every_s, camera.recording.pre_s if camera.recording else 0.0)
    return before_s + policy.min_sightings / (camera.fps or settings.mosaic.fps) + ANSWER_S
