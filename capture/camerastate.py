"""What a camera's reader does next: its state machine. Pure.

The reader performs it; the capture process asks :func:`condition` what a person should be told.
"""

from dataclasses import dataclass, replace

from capture.backoff import Backoff
from capture.words import CameraState, Reason

STABLE_S = 600.0
"""Failures are forgotten after this long of streaming, not at the first frame."""

_NETWORK = Backoff(first_s=1.0, limit_s=10.0)
# What a person has to mend: asking often helps nobody, and wrong passwords lock accounts.
_PATIENT = Backoff(first_s=5.0, limit_s=60.0)
_PASSWORD = Backoff(first_s=60.0, limit_s=600.0)
_BACKOFFS = {
    Reason.UNAUTHORIZED: _PASSWORD,
    Reason.NOT_FOUND: _PATIENT,
    Reason.NOT_VIDEO: _PATIENT,
    Reason.REDIRECTED: _PATIENT,
}


@dataclass(frozen=True, slots=True)
class CameraLife:
    """State of one reader. ``since_s`` and ``streaming_since_s`` are monotonic seconds."""

    state: CameraState = CameraState.CONNECTING
    reason: Reason | None = None
    """Why it is not streaming; kept while it tries again."""
    detail: str = ""
    failures: int = 0
    streaming_since_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Condition:
    """What a person is told: once for each change, not for each try."""

    state: CameraState
    reason: Reason | None
    detail: str = ""

    def is_news_after(self, other: "Condition | None") -> bool:
        """Whether this should be told after ``other`` was."""
        is_up = self.state is CameraState.STREAMING
        if self.reason is None and not is_up:
            return False  # connecting for the first time, or stopped: nothing to tell
        if other is None:
            return True
        return (is_up, self.reason) != (other.state is CameraState.STREAMING, other.reason)


def connect(life: CameraLife) -> CameraLife:
    """Return the life of a reader that begins to connect."""
    return replace(life, state=CameraState.CONNECTING)


def frame(life: CameraLife, now_s: float) -> CameraLife:
    """Return the life of a reader that has got a frame."""
    if life.state is not CameraState.STREAMING:
        return CameraLife(CameraState.STREAMING, failures=life.failures, streaming_since_s=now_s)
    if life.failures and now_s - life.streaming_since_s >= STABLE_S:
        return replace(life, failures=0)
    return life


def fail(life: CameraLife, reason: Reason, detail: str) -> CameraLife:
    """Return the life of a reader whose connection, or attempt, ended."""
    return CameraLife(CameraState.BACKOFF, reason, detail, failures=life.failures + 1)


def stop(life: CameraLife) -> CameraLife:
    """Return the life of a reader that will not go on."""
    return replace(life, state=CameraState.STOPPED)


def retry_delay_s(life: CameraLife, chance: float) -> float:
    """Return how long to wait before the next attempt; ``chance`` is in [0, 1)."""
    backoff = _BACKOFFS.get(life.reason, _NETWORK) if life.reason else _NETWORK
    return backoff.delay_s(life.failures, chance)


def condition(
    life: CameraLife, last_seen_s: float, now_s: float, stale_s: float, frozen_s: float | None = None
) -> Condition:
    """Return what a person should be told now: streaming without anything new for ``stale_s`` is a stall.

    So is a picture that has not changed by a pixel for ``frozen_s``, where that is given.
    """
    if life.state is CameraState.STREAMING:
        if now_s - last_seen_s > stale_s:
            return Condition(CameraState.STALLED, Reason.HANG, f"no frame for {stale_s:g} s")
        if frozen_s is not None:
            return Condition(CameraState.STALLED, Reason.FROZEN, f"the same picture, to the pixel, for {frozen_s:g} s")
    return Condition(life.state, life.reason, life.detail)
