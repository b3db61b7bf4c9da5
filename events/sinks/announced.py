"""What stays with a broker because it was told to retain it: kept in a small file, so that it can be taken back.

Without it Home Assistant would show a camera for ever that has long been off the roster.
"""

import os
from contextlib import suppress
from pathlib import Path

import msgspec

from events.sinks import frigate


class Topics(msgspec.Struct, frozen=True):
    """Where it is told of one label of one camera."""

    topic_prefix: str
    discovery_prefix: str
    camera: str
    label: str

    def retained(self) -> tuple[str, ...]:
        """Return all topics whose last message a broker keeps."""
        named = (self.topic_prefix, self.camera, self.label)
        shown = frigate.discovery(self.discovery_prefix, *named) if self.discovery_prefix else {}
        return (frigate.count_topic(*named), frigate.snapshot_topic(*named), *shown)


class Announced:
    """All of them, in a file at ``path``. For one thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._topics: frozenset[Topics] = frozenset()
        with suppress(OSError, ValueError, RecursionError):
            self._topics = frozenset(msgspec.json.decode(path.read_bytes(), type=list[Topics]))

    @property
    def topics(self) -> frozenset[Topics]:
        """What was told, by this life or an earlier one, and was not taken back."""
        return self._topics

    def keep(self, topics: frozenset[Topics]) -> None:
        """Remember these and no others; where the disk is of no use, for this life alone."""
        if topics == self._topics:
            return
        self._topics = topics
        new = self._path.with_suffix(".new")
        with suppress(OSError):
            new.write_bytes(msgspec.json.encode(sorted(topics, key=msgspec.structs.astuple)))
            os.replace(new, self._path)
