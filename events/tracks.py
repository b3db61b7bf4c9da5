"""What a track is, and what an answer changes about a camera's tracks. Nouns only. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class EndCause(StrEnum):
    """Why a track has ended."""

    LOST = "lost"
    """Others were seen, it was not, for too long."""
    CLOSED = "closed"
    """Its camera was away: nobody knows what happened meanwhile."""


@dataclass(frozen=True, slots=True)
class Track:
    """One object of one camera, as it was when it was last seen. Pixels are the camera's own."""

    id: int
    """Counts up; no other track of the same tracker ever has it."""
    label: str
    """What it was taken for most, by the sum of scores."""
    score: float
    """Of its last sighting."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom, as last seen."""
    foot: tuple[float, float]
    """Middle of the lower edge, with most of the detector's jitter filtered out."""
    origin: tuple[float, float]
    """Middle of the lower edge where it was first seen: a track is told of later than that."""
    velocity: tuple[float, float]
    """Of the foot: pixels a second to the right and down."""
    began_s: float
    """First seen, monotonic."""
    seen_s: float
    """Last seen, monotonic."""
    began_at: float
    """First seen, wall clock: for people only, it may jump."""
    seen_at: float
    sightings: int
    still_s: float
    """How long it had been in its place; close to 0 for what moves."""

    @property
    def duration_s(self) -> float:
        """From its first sighting to its last."""
        return self.seen_s - self.began_s


@dataclass(frozen=True, slots=True)
class End:
    """A track's end."""

    track: Track
    cause: EndCause


@dataclass(frozen=True, slots=True)
class TrackUpdate:
    """What an answer changed. Each track is once in ``new``, then in ``updated`` when it is seen, once in ``ended``."""

    new: tuple[Track, ...] = ()
    updated: tuple[Track, ...] = ()
    ended: tuple[End, ...] = ()


@dataclass(frozen=True, slots=True)
class TrackerStatistics:
    """What a tracker has counted."""

    live: int
    """Tracks now, told of or not."""
    begun: int
    """Tracks told of, ever."""
    late: int
    """Answers dropped: no newer than one before."""


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How sightings become tracks."""

    strong_score: float = 0.4
    """Sightings of at least this score may begin a track; all may continue one."""
    confirm_sightings: int = 2
    """A track is told of when it was seen so often, at answers one after the other."""
    lost_s: float = 2.0
    """A track ends when it was last seen longer ago ..."""
    lost_answers: int = 2
    """... and so many answers did not have it: once in two seconds, one miss is no loss."""
    left_s: float = 0.4
    """Who was on its way out of the picture is waited for no longer than this."""
    still_s: float = 5.0
    """What has been in its place for so long ..."""
    still_lost_s: float = 30.0
    """... is waited for longer: a parked car behind a bus is still that car."""
    silence_s: float = 10.0
    """After so long without any answer all tracks are closed. Above the key frame interval of a camera that sleeps."""
