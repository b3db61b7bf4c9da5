"""Whether a reader has fallen behind its camera, and drops to the newest. Pure.

A reader that cannot decode as fast as packets come finds them waiting: each is older than the last. Decoding them in
turn would show the past for ever, so all are left out until they are fresh again.
"""

from dataclasses import dataclass, field

BEHIND_S = 1.0
FRESH_S = 0.25
OFTEN_S = 10.0
"""Who fell behind twice within this does so often."""
PATIENCE_S = 2.0
"""Reading without decoding shortens a backlog of any length within this, or there is none: the network is slow."""


@dataclass(slots=True)
class Backlog:
    """Follows the lag of one connection's packets. One thread uses it."""

    is_dropping: bool = field(default=False, init=False)
    drops: int = field(default=0, init=False)
    """Times it fell behind."""
    _is_often: bool = field(default=False, init=False)
    _since_s: float = field(default=0.0, init=False)
    _allowed_s: float = field(default=0.0, init=False)
    """A lag that did not go away when we hurried is the way there."""

    def is_behind(self, lag_s: float, now_s: float) -> bool:
        """Take note of a packet's lag; return whether it is to be left out."""
        excess_s = lag_s - self._allowed_s
        if not self.is_dropping:
            self._allowed_s = min(self._allowed_s, lag_s)
            if excess_s > BEHIND_S:
                self._is_often = self.drops > 0 and now_s - self._since_s < OFTEN_S
                self.is_dropping, self._since_s = True, now_s
                self.drops += 1
        elif excess_s < FRESH_S:
            self.is_dropping = False
        elif now_s - self._since_s > PATIENCE_S:
            self.is_dropping, self._allowed_s = False, lag_s
        return self.is_dropping

    def waited_s(self, lag_s: float) -> float:
        """Return how much of a lag is none of the way there."""
        return max(0.0, lag_s - self._allowed_s)

    def is_behind_often(self, now_s: float) -> bool:
        """Whether it keeps falling behind."""
        return self._is_often and now_s - self._since_s < OFTEN_S
