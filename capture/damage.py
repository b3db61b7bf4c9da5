"""Which decoded frames are damaged: the rule of what follows a loss. Pure.

FFmpeg flags few of the frames that a lost packet spoils (measured with 1 % loss: 8 of 55), for all that refer to a
spoiled frame are spoiled too. So from a flagged frame, or from a gap in the camera's own clock, to the next clean key
frame nothing is used (measured: that removes 53 of the 55).
"""

from collections import deque
from dataclasses import dataclass, field

GAP_RATIO = 1.8
"""A step of the camera's clock that is so many usual ones has a frame missing."""
STEADY_RATIO = 0.2
STEADY_STEPS = 30
"""A gap after so many steps that were all alike, within 20 %, is believed."""
RUNS = 4
"""Of gaps that come more often so many are looked at: cameras leave out frames regularly, ways lose them by chance."""
RUN_STEPS = 4
"""And they leave more frames in than out."""
LIMIT_S = 10.0
"""So long after the last sign of damage frames are used again, key frame or not: streams that refresh gradually have
none, and what an encoder has coded anew since then is most of the picture."""

BARREN_S = 3.0
"""A decoder that has given pictures, and gives none for so long of what it is fed, will give none any more."""
BARREN_PACKETS = 10
"""Of which there are so many at least."""
BARREN_START_S = 60.0
"""So long a stream may give no picture at all: its first key frame may be that far off."""


@dataclass(slots=True)
class BarrenRule:
    """Whether a stream that comes can be decoded at all: its codec may have changed. Follows one connection."""

    _seen_s: float | None = field(default=None, init=False)
    """When there was a picture; else when the first packet came."""
    _has_borne: bool = field(default=False, init=False)
    _vain: int = field(default=0, init=False)

    def decoded(self, has_picture: bool, now_s: float) -> None:
        """Take note of a packet that was decoded, and whether any picture came of it."""
        if has_picture:
            self._seen_s, self._has_borne, self._vain = now_s, True, 0
        else:
            self._vain += 1

    def is_barren(self, now_s: float, rest_s: float = 0.0) -> bool:
        """Return whether it is to be connected to anew, which tells what codec it has.

        ``rest_s``: how long there may be no picture because none is wanted.
        """
        if self._seen_s is None:
            self._seen_s = now_s
        without_s = now_s - self._seen_s
        is_spent = self._has_borne and self._vain >= BARREN_PACKETS and without_s > BARREN_S
        return is_spent or without_s > max(BARREN_START_S, rest_s)


@dataclass(slots=True)
class DamageRule:
    """Follows one connection. One thread uses it."""

    is_damaged: bool = field(default=False, init=False)
    """Whether what is decoded now is to be left unused."""
    gaps: int = field(default=0, init=False)
    _since_s: float = field(default=0.0, init=False)
    _last_pts_s: float | None = field(default=None, init=False)
    _usual_s: float = field(default=0.0, init=False)
    _steady: int = field(default=0, init=False)
    """Steps alike since the last that was not."""
    _runs: deque[int] = field(default_factory=lambda: deque(maxlen=RUNS), init=False)
    """How many steps alike came before each of the last gaps."""

    def packet(self, pts_s: float | None, is_key: bool, now_s: float) -> bool:
        """Take note of a packet; return whether a frame is missing before it. A key frame needs none before it."""
        if pts_s is None:
            return False
        last, self._last_pts_s = self._last_pts_s, pts_s
        if last is None:
            return False
        step_s = pts_s - last
        if not 0 < GAP_RATIO * self._usual_s <= step_s <= LIMIT_S:
            self._learn(step_s)
            return False
        is_steady = self._steady >= STEADY_STEPS
        self._runs.append(self._steady)
        self._steady = 0
        if not (is_steady or self._is_losing):
            if not any(list(self._runs)[-3:]):
                self._relearn(step_s)  # its usual step is a longer one now
            return False
        self.gaps += 1
        if not is_key:
            self.lose(now_s)
        return True

    def frame(self, is_flagged: bool, is_key: bool, now_s: float) -> bool:
        """Take note of a decoded frame; return whether it may be used."""
        if is_flagged:
            self.lose(now_s)
        elif is_key or (self.is_damaged and now_s - self._since_s > LIMIT_S):
            self.is_damaged = False
        return not self.is_damaged

    def lose(self, now_s: float) -> None:
        """Something is missing: nothing can be used until the next clean key frame."""
        self.is_damaged, self._since_s = True, now_s

    @property
    def _is_losing(self) -> bool:
        """Whether gaps that come often come by chance; the longest run may be of the time before they began."""
        runs = sorted(self._runs)
        return len(runs) == RUNS and runs[-2] - runs[0] > 2 and runs[-2] >= RUN_STEPS

    def _learn(self, step_s: float) -> None:
        if self._usual_s > 0 and abs(step_s - self._usual_s) <= STEADY_RATIO * self._usual_s:
            self._steady += 1
            self._usual_s += 0.1 * (step_s - self._usual_s)
        else:
            self._relearn(step_s)

    def _relearn(self, step_s: float) -> None:
        self._usual_s, self._steady = max(step_s, 0.0), 0
        self._runs.clear()
