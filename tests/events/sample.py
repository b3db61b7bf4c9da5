"""Events for tests."""

from typing import Any

from events.words import Event, Kind, event_id

NIGHT = 1796004785.0
"""2026-11-30T02:13:05Z."""


def event(number: int = 0, *, camera: str = "yard", at: float = NIGHT, **changes: Any) -> Event:
    """One person in the yard; ``number`` tells apart those of one moment."""
    values: dict[str, Any] = {
        "id": event_id(camera, at, number),
        "camera": camera,
        "label": "person",
        "kind": Kind.NEW,
        "revision": 0,
        "started_at": at,
        "updated_at": at + 1.0,
        "best_score": 0.9,
        "best_box": (100.0, 100.0, 200.0, 400.0),
        "best_at": at + 0.5,
        "frame_wh": (1920, 1080),
    }
    return Event(**(values | changes))
