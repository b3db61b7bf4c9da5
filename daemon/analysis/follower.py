"""What happened before one camera, from the answers to the parts of its files, whichever come first. Pure.

Answers are followed in the order of the footage: those of a later part wait. So cutting a file changes no track.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capture.messages import TileAnswer
from daemon.analysis.clips import Clip
from events.analyst import Analyst, CameraRules
from events.tracks import Track
from events.words import Batch, Ending, Kind

LATE_S = 1.0
"""A file may say that it is longer than its last picture by so much."""


@dataclass(slots=True)
class ClipResult:
    """What came of one file."""

    clip: Clip
    frames: int = 0
    """Looked at, in order up to ``until_s``."""
    until_s: float = 0.0
    events: Counter[str] = field(default_factory=Counter)
    """Begun in it, by label."""
    lost_frames: int = 0
    lost_at_s: float | None = None
    error: str = ""
    """Why some of it could not be looked at."""
    is_whole: bool = False
    """All parts were followed."""

    @property
    def missing_s(self) -> float:
        """How much of it nothing was seen of at its end; 0 where that is no more than a step or two."""
        missing_s = self.clip.facts.duration_s - self.until_s
        return missing_s if missing_s > LATE_S + 2.0 / self.clip.facts.fps else 0.0

    @property
    def analysed_s(self) -> float:
        """How much of it was followed."""
        return self.until_s if self.missing_s else self.clip.facts.duration_s


@dataclass(frozen=True, slots=True)
class Followed:
    """What one frame has come to."""

    result: ClipResult
    frame: int
    """Of the file, from 1, by its time and rate."""
    tracks: tuple[Track, ...]
    batch: Batch


class Follower:
    """One camera. ``tell`` is given what each frame has come to, in the order of the footage."""

    def __init__(
        self,
        clips: Sequence[Clip],
        rules: CameraRules,
        draw: Callable[[], int],
        tell: Callable[[Followed], None],
    ) -> None:
        self.results = tuple(ClipResult(clip) for clip in clips)
        self._analyst = Analyst(clips[0].camera, rules, draw)
        self._began_at = clips[0].starts_at
        self._tell = tell
        self._results = {part: result for result in self.results for part in result.clip.parts}
        self._parts = list(self._results)
        """That are to be followed yet, in order."""
        self._seen = 0
        """Answers followed of the first of them."""
        self._waiting: dict[int, list[TileAnswer]] = {}
        self._ended: set[int] = set()

    @property
    def is_done(self) -> bool:
        """Whether all has been followed."""
        return not self._parts

    def give(self, answer: TileAnswer) -> None:
        """Take an answer. Those of one part come in order, perhaps again from its beginning."""
        part = answer.epoch
        if self._parts and part == self._parts[0]:
            self._follow(answer)
        elif part in self._parts:
            waiting = self._waiting.setdefault(part, [])
            if answer.composed_number > len(waiting):
                waiting.append(answer)

    def end(self, part: int, *, lost_frames: int = 0, lost_at_s: float | None = None, error: str = "") -> None:
        """No more answers come of a part."""
        result = self._results[part]
        result.lost_frames += lost_frames
        result.lost_at_s = min((at for at in (result.lost_at_s, lost_at_s) if at is not None), default=None)
        result.error = result.error or error
        self._ended.add(part)
        while self._parts and self._parts[0] in self._ended:
            done = self._parts.pop(0)
            self._seen = 0
            mine = self._results[done]
            mine.is_whole = done == mine.clip.parts[-1]
            if mine.is_whole and not mine.error and mine.missing_s > 0.0:
                mine.error = f"it ends {mine.missing_s:.0f} s before its time: it was cut off"
            if self._parts:
                for answer in self._waiting.pop(self._parts[0], ()):
                    self._follow(answer)
            else:
                self._close(mine, Ending.CAMERA_DOWN)

    def stop(self) -> None:
        """End here: what waits for a part that is missing is given up."""
        if self._parts:
            self._close(self._results[self._parts[0]], Ending.STOPPED)
            self._parts.clear()
            self._waiting.clear()

    def _follow(self, answer: TileAnswer) -> None:
        if answer.composed_number <= self._seen:
            return  # told again by another process, after the first had died
        self._seen = answer.composed_number
        result = self._results[answer.epoch]
        at = result.clip.starts_at + answer.frame_time_s
        batch = self._analyst.see(at - self._began_at, at, answer.source_wh, answer.sightings)
        result.frames += 1
        result.until_s = answer.frame_time_s
        frame = round(answer.frame_time_s * result.clip.facts.rate_hz) + 1
        self._count(result, batch)
        self._tell(Followed(result, frame, self._analyst.seen, batch))

    def _close(self, result: ClipResult, ending: Ending) -> None:
        batch = self._analyst.close(ending)
        self._count(result, batch)
        self._tell(Followed(result, 0, (), batch))

    @staticmethod
    def _count(result: ClipResult, batch: Batch) -> None:
        result.events.update(event.label for event in batch.events if event.kind is Kind.NEW)
