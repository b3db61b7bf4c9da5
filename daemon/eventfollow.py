"""What comes to events from now on, out of the file of lines that the process of events writes.

Each change of an event is given once, though that file may tell it twice, and the reader has seen some of them already.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from daemon.linetail import LineTail
from events.reading import Wanted
from events.words import Event, Kind

FILE = "events.jsonl"
"""Beside the database."""
_REMEMBERED = 10_000

Document = dict[str, Any]


class Follower:
    """The changes after the object was made. For one thread."""

    def __init__(self, folder: Path, wanted: Wanted, *, updates: bool) -> None:
        """Without ``updates`` of an event's begin and end alone. Raises ``OSError`` for a file not to be read."""
        self._tail = LineTail(folder / FILE)
        self._wanted = wanted
        self._updates = updates
        self._told: OrderedDict[str, int] = OrderedDict()
        """The last revision of each event."""

    def close(self) -> None:
        """Let go of the file."""
        self._tail.close()

    def saw(self, events: Iterable[Event]) -> None:
        """Take note of events that the reader has seen elsewhere."""
        for event in events:
            self._is_new(event.id, event.revision)

    def step(self) -> list[Document]:
        """Return what has come. Raises ``OSError``."""
        found = [each for line in self._tail.read() if (each := _parsed(line))]
        return [each for each in found if self._is_new(each["id"], each["revision"]) and self._is_wanted(each)]

    def _is_new(self, event: str, revision: int) -> bool:
        is_new = revision > self._told.get(event, -1)
        self._told[event] = max(revision, self._told.get(event, -1))
        self._told.move_to_end(event)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return is_new

    def _is_wanted(self, event: Mapping[str, Any]) -> bool:
        wanted = self._wanted
        return (
            (self._updates or event["kind"] != Kind.UPDATE)
            and wanted.camera in (None, event["camera"])
            and wanted.label in (None, event["label"])
            and (wanted.zone is None or any(visit["zone"] == wanted.zone for visit in event["zones"]))
        )


def _parsed(line: bytes) -> Document | None:
    """A line of somebody else's, or of a disk's fault, is nothing."""
    try:
        found = msgspec.json.decode(line)
        return found if isinstance(found, dict) and {"id", "revision", "kind", "zones"} <= found.keys() else None
    except msgspec.DecodeError:
        return None
