"""Which mosaics kill the workers that answer them, and what is done with those. Pure.

A worker says what it takes in hand before it does. A mosaic that was in hand at three deaths in a row, with no answer
between, is *isolated*: it gets a worker to itself (:func:`daemon.placement.find_cells`). If it kills that one too, or
nobody can be spared, it is *held*: answered by nobody for a while. After ``stable_s`` without a death it is released.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from capture.backoff import Backoff

ISOLATED_FROM = 3
"""Deaths in a row."""
HOLD = Backoff(first_s=300.0, limit_s=3600.0)
"""So long that the worker that tries it is not given up: that takes more deaths in ten minutes."""


@dataclass(slots=True)
class _Suspect:
    deaths: int = 0
    """In a row."""
    last_death_s: float = 0.0
    is_isolated: bool = False
    holds: int = 0
    held_until_s: float = 0.0


class Suspects:
    """The mosaics that were in hand when a worker died. One thread uses it; times are monotonic."""

    def __init__(self, stable_s: float) -> None:
        self._stable_s = stable_s
        self._suspects: dict[str, _Suspect] = {}

    def note_death(self, in_hand: Iterable[str], now_s: float, chance: float, *, can_isolate: bool) -> None:
        """Take note that a worker died while it had these mosaics in hand.

        ``can_isolate``: whether there is a worker to be spared; ``chance`` in [0, 1) spreads the end of a hold.
        """
        for mosaic in in_hand:
            suspect = self._suspects.setdefault(mosaic, _Suspect())
            suspect.deaths += 1
            suspect.last_death_s = now_s
            if suspect.deaths < ISOLATED_FROM:
                continue
            if suspect.is_isolated or not can_isolate:
                suspect.holds += 1
                suspect.held_until_s = now_s + HOLD.delay_s(suspect.holds, chance)
            suspect.is_isolated = True

    def note_answer(self, mosaic: str) -> None:
        """Take note that a mosaic was answered: the deaths in a row end."""
        if (suspect := self._suspects.get(mosaic)) is not None:
            suspect.deaths = 0
            if not suspect.is_isolated:
                del self._suspects[mosaic]

    def released(self, now_s: float) -> list[str]:
        """Release those that have done no harm for long enough, and return them."""
        calm = [
            mosaic
            for mosaic, suspect in self._suspects.items()
            if suspect.is_isolated
            and suspect.deaths == 0
            and now_s - max(suspect.last_death_s, suspect.held_until_s) >= self._stable_s
        ]
        for mosaic in calm:
            del self._suspects[mosaic]
        return calm

    @property
    def isolated(self) -> frozenset[str]:
        """Those that get a worker to themselves, the held ones among them."""
        return frozenset(mosaic for mosaic, suspect in self._suspects.items() if suspect.is_isolated)

    def held(self, now_s: float) -> frozenset[str]:
        """Return those that nobody answers now."""
        return frozenset(mosaic for mosaic, suspect in self._suspects.items() if suspect.held_until_s > now_s)
