"""Carries out an analysis: files inspected, looked at, followed, and what came of it kept.

One thread. A person's Ctrl-C only sets a flag: what has been followed until then is kept and closed in good order.
"""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from capture.lookmessages import Depicted, Facts, Inspect, Inspected, Look, Looked, PartEnd, Refused
from daemon.analysis.clips import Clip, Given, Part, by_camera, clips_of, overlaps, parts_of
from daemon.analysis.follower import ClipResult, Follower
from daemon.analysis.lookers import Lookers, LookersError, Place
from daemon.analysis.results import Results, prepare
from daemon.analysis.site import Site
from daemon.analysis.view import Advance, progress, summary
from events.words import ID_BITS


class UnreadableError(Exception):
    """Files that cannot be looked at; ``lines`` says of each why."""

    def __init__(self, lines: Sequence[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = tuple(lines)


@dataclass(slots=True)
class Interrupt:
    """Whether a person has had enough."""

    is_set: bool = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """SIGINT and SIGTERM set the flag within."""
        before = {number: signal.signal(number, self._set) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, old in before.items():
                signal.signal(number, old)

    def _set(self, _number: int, _frame: FrameType | None) -> None:
        self.is_set = True


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line asks for."""

    files: Sequence[Given]
    site: Site
    places: Sequence[Place]
    folder: Path
    force: bool = False
    has_tracks: bool = False
    has_snapshots: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an analysis."""

    results: tuple[ClipResult, ...] = ()
    """In the order of the command line."""
    took_s: float = 0.0
    """From the first process's start to the last frame followed, or picture made."""
    is_interrupted: bool = False
    error: str = ""
    """Why it could not go on; what is there by then is kept."""
    summary: Mapping[str, Any] = field(repr=False, default_factory=dict)


def carry_out(wanted: Wanted, say: Callable[[str], None]) -> Outcome:
    """Analyze. ``say`` is told what a person should know on the way.

    Raises UnreadableError before anything is looked at, FolderError, LookersError, OSError, UnavailableError.
    """
    interrupt = Interrupt()
    began_s = time.monotonic()
    lookers = Lookers(wanted.places)
    with interrupt.heard(), closing(lookers):
        lookers.start()
        clips = inspect(lookers, wanted.files, wanted.site, interrupt)
        if not clips:
            return Outcome(is_interrupted=True)
        for sentence in overlaps(clips):
            say(sentence)
        prepare(wanted.folder, force=wanted.force)
        lookers.begin()
        with Results(wanted.folder, clips, has_tracks=wanted.has_tracks) as results:
            with progress(sum(clip.facts.duration_s for clip in clips)) as advance:
                found, first_s, error = _look(
                    lookers, clips, wanted.site, results, interrupt=interrupt, advance=advance
                )
            for notice in results.notices:
                say(notice)
            results.keep()
            if wanted.has_snapshots and not error:
                _depict(lookers, results, interrupt, say)
            took_s = time.monotonic() - began_s
            start_s = (first_s or time.monotonic()) - began_s
            told = summary(
                found, took_s, start_s=round(start_s, 3), is_interrupted=interrupt.is_set, error=error or None
            )
            results.finish(told)
    return Outcome(found, took_s, interrupt.is_set, error, told)


def inspect(lookers: Lookers, files: Sequence[Given], site: Site, interrupt: Interrupt) -> tuple[Clip, ...]:
    """Return what the files are; none if a person has had enough. Raises UnreadableError, LookersError."""
    orders = [Inspect(number, str(file.path), site.fps(file.camera)) for number, file in enumerate(files)]
    facts: dict[int, Facts] = {}
    wrong: dict[int, str] = {}
    for heard in lookers.inspect(orders):
        if interrupt.is_set:
            return ()
        match heard:
            case Inspected(number, found) if found.duration_s > 0.0:
                facts[number] = found
            case Inspected(number):
                wrong[number] = "it says nothing of its length"
            case Refused(number, detail):
                wrong[number] = detail
    if wrong:
        raise UnreadableError([f"{files[number].path}: {detail}" for number, detail in sorted(wrong.items())])
    written_at = [file.path.stat().st_mtime for file in files]
    return clips_of(files, [facts[number] for number in range(len(files))], written_at)


def _look(
    lookers: Lookers, clips: Sequence[Clip], site: Site, results: Results, *, interrupt: Interrupt, advance: Advance
) -> tuple[tuple[ClipResult, ...], float | None, str]:
    """Look at all footage and follow it, until a person has had enough; return what came of each file, when the first
    frames had been seen, monotonic, and why it could not go on."""
    followers = {
        camera: Follower(mine, site.camera(camera).rules, _chances(camera), results.take)
        for camera, mine in by_camera(clips).items()
    }
    parts = {part.number: part for part in parts_of(clips)}
    done_s, frames, error = dict.fromkeys(parts, 0.0), 0, ""
    first_s: float | None = None
    try:
        for heard in lookers.look([order_of(part, site) for part in parts.values()]):
            if interrupt.is_set:
                break
            match heard:
                case Looked(tiles):
                    first_s = first_s or time.monotonic()
                    for tile in tiles:
                        part = parts[tile.epoch]
                        followers[part.clip.camera].give(tile)
                        done_s[part.number] = max(done_s[part.number], tile.frame_time_s - part.begins_s)
                    frames += len(tiles)
                case PartEnd(number, lost, lost_at_s, why):
                    followers[parts[number].clip.camera].end(number, lost_frames=lost, lost_at_s=lost_at_s, error=why)
            advance(sum(done_s.values()), frames)
    except LookersError as failure:
        error = str(failure)
    for follower in followers.values():
        follower.stop()
    found = (each for follower in followers.values() for each in follower.results)
    return tuple(sorted(found, key=lambda each: each.clip.number)), first_s, error


def _depict(lookers: Lookers, results: Results, interrupt: Interrupt, say: Callable[[str], None]) -> None:
    """Have a picture made of each event's best moment, until a person has had enough."""
    orders = results.pictures()
    wrong: Counter[str] = Counter()
    try:
        for heard in lookers.depict(orders if not interrupt.is_set else ()):
            if interrupt.is_set:
                break
            if isinstance(heard, Depicted) and heard.error:
                wrong[heard.error] += 1
            elif isinstance(heard, Depicted):
                results.note_picture(heard)
    except LookersError as failure:
        wrong[str(failure)] += 1
    for words, count in wrong.items():
        say(f"{count} of {len(orders)} pictures could not be made: {words}")


def order_of(part: Part, site: Site) -> Look:
    """Return what a process is told of a part."""
    clip, camera = part.clip, site.camera(part.clip.camera)
    return Look(
        part=part.number,
        path=str(clip.path),
        camera=clip.camera,
        fps=clip.facts.fps,
        rate_hz=clip.facts.rate_hz,
        skip=clip.facts.skip,
        cut=part.cut,
        until=part.until,
        min_score=site.min_score(clip.camera),
        labels=camera.labels,
    )


def _chances(camera: str) -> Callable[[], int]:
    """The chance in a camera's ids: the same footage has the same ids each time."""
    chance = random.Random(camera)
    return lambda: chance.getrandbits(ID_BITS)
