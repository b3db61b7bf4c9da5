"""The last sightings and changes of state, for whoever looks at them. In memory only, and bounded.

The supervisor's thread adds, the HTTP thread reads: a lock is held for as long as it takes to copy a few hundred
references.
"""

import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from daemon.sinks.jsonl import SightedTile

KEPT = 500


@dataclass(frozen=True, slots=True)
class Transition:
    """A camera or a child that is not as it was."""

    at: float
    """Wall clock, seconds since 1970."""
    kind: str
    """``camera``, ``capture`` or ``worker``."""
    name: str
    state: str
    """``up`` or ``down``."""
    reason: str = ""
    """Why it went down: a camera's reason, a child's cause."""
    detail: str = ""


class Recent:
    """Numbered from 1 in the order in which they came, sightings and transitions together."""

    def __init__(self, kept: int = KEPT) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self._tiles: deque[tuple[int, SightedTile]] = deque(maxlen=kept)
        self._transitions: deque[tuple[int, Transition]] = deque(maxlen=kept)

    def offer(self, tiles: Iterable[SightedTile]) -> None:
        """Keep those of these tiles on which something was seen."""
        with self._lock:
            for tile in tiles:
                if tile.sightings:
                    self._number += 1
                    self._tiles.append((self._number, tile))

    def note(self, transition: Transition) -> None:
        """Keep a change of state."""
        with self._lock:
            self._number += 1
            self._transitions.append((self._number, transition))

    @property
    def last(self) -> int:
        """The number of the last that came."""
        return self._number

    def sightings(self, after: int = 0) -> list[tuple[int, SightedTile]]:
        """Return the tiles that came after this number, oldest first."""
        with self._lock:
            return [each for each in self._tiles if each[0] > after]

    def transitions(self, after: int = 0) -> list[tuple[int, Transition]]:
        """Return the changes that came after this number, oldest first."""
        with self._lock:
            return [each for each in self._transitions if each[0] > after]
