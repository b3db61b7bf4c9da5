"""What one worker of a device can do, as measured: mosaics a second. Pure.

All workers of a device are equal, so what they do is counted together. A figure is adopted when it differs clearly from
the one that holds: placement by one that wavers would move mosaics to and fro.
"""

from collections.abc import Iterable

WINDOW_S = 30.0
LEAST_ANSWERS = 50
"""Fewer in a window say little."""
CLEARLY_RATIO = 1.25


class Capacities:
    """Counts answers and their time in the engine, by device. One thread uses it; times are monotonic."""

    def __init__(self, devices: Iterable[str], now_s: float) -> None:
        self._answers = dict.fromkeys(devices, 0)
        self._engine_s = dict.fromkeys(self._answers, 0.0)
        self._known: dict[str, float] = {}
        self._began_s = now_s

    def note_answer(self, device: str, engine_s: float) -> None:
        """Take note of a mosaic that took so long; one that took no time, because nothing on it was new, is not one."""
        if engine_s > 0.0:
            self._answers[device] += 1
            self._engine_s[device] += engine_s

    def look(self, now_s: float) -> dict[str, float]:
        """Return what was newly adopted, by device, once a window."""
        if now_s - self._began_s < WINDOW_S:
            return {}
        self._began_s = now_s
        measured = {
            device: answers / self._engine_s[device]
            for device, answers in self._answers.items()
            if answers >= LEAST_ANSWERS
        }
        self._answers = dict.fromkeys(self._answers, 0)
        self._engine_s = dict.fromkeys(self._answers, 0.0)
        adopted = {device: rate for device, rate in measured.items() if _is_other(self._known.get(device), rate)}
        self._known |= adopted
        return adopted

    def of(self, device: str) -> float:
        """Return a worker's mosaics a second; of a device that is not measured yet, the least of those that are."""
        return self._known.get(device, min(self._known.values(), default=1.0))

    def measured(self, device: str) -> float | None:
        """Return a worker's mosaics a second; None while they are not measured."""
        return self._known.get(device)


def _is_other(known: float | None, rate: float) -> bool:
    return known is None or not known / CLEARLY_RATIO <= rate <= known * CLEARLY_RATIO
