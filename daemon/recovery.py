"""How long work stands still when a worker dies: from the death to the next answer. Pure.

Two times are measured. A *mosaic's* ends when anybody answers it again: that is what its cameras lose. A *worker's*
ends when its next generation answers: that is how long the others do its work. Of deaths in a row, with no answer
between, the first counts.
"""

from collections.abc import Iterable, Sequence

from daemon.statistics import Histogram
from daemon.tally import Tally

BOUNDS_S = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 15.0, 30.0, 60.0, 120.0)


class Recovery:
    """Who has died and is missed, and the times of those who came back. One thread uses it; times are monotonic."""

    def __init__(self, workers: Iterable[str]) -> None:
        self._mosaics_s: dict[str, float] = {}
        """Since when nobody has answered a mosaic, because its worker died."""
        self._workers_s: dict[str, float] = {}
        """Since when a worker has answered nothing, because it died."""
        self._of_mosaics = Tally(BOUNDS_S)
        self._of_workers = {worker: Tally(BOUNDS_S) for worker in workers}

    def note_death(self, worker: str, mosaics: Sequence[str], now_s: float) -> None:
        """Take note that a worker died which was answering these mosaics; one that answered none is not missed."""
        for mosaic in mosaics:
            self._mosaics_s.setdefault(mosaic, now_s)
        if mosaics:
            self._workers_s.setdefault(worker, now_s)

    def note_given_up(self, worker: str) -> None:
        """Take note that a worker is not started again: if a person revives it, the time until then is theirs."""
        self._workers_s.pop(worker, None)

    def note_slots_gone(self, mosaics: Iterable[str]) -> None:
        """Take note that there is nothing to answer in these mosaics now: what they wait for is not a worker."""
        for mosaic in mosaics:
            self._mosaics_s.pop(mosaic, None)

    def note_answer(self, worker: str, mosaic: str, now_s: float) -> None:
        """Take note of an answer; it ends the waiting for this mosaic and for this worker."""
        if (since_s := self._mosaics_s.pop(mosaic, None)) is not None:
            self._of_mosaics.observe(now_s - since_s)
        if (since_s := self._workers_s.pop(worker, None)) is not None:
            self._of_workers[worker].observe(now_s - since_s)

    def of_mosaics(self) -> Histogram:
        """Return the seconds from a worker's death to the next answer of each of its mosaics, by whomever."""
        return self._of_mosaics.histogram()

    def of_workers(self) -> dict[str, Histogram]:
        """Return for each worker the seconds from its death to its next generation's first answer."""
        return {worker: tally.histogram() for worker, tally in self._of_workers.items()}
