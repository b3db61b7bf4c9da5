"""What is wrong with a picture or stream that comes: frozen, black, blind, a clock that runs wrong, a flood. Pure.

Each flaw has to hold for a while before it is told, and to be gone for a while before it is taken back. What is told
of a camera is closed (:class:`~capture.words.Flaw`); a frozen picture alone keeps its frames from being used.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from capture.words import Flaw

HOLD_S: Mapping[Flaw, float] = {
    Flaw.BLACK: 5.0,
    Flaw.BLIND: 5.0,
    Flaw.CLOCK: 0.0,  # measured over long enough
    Flaw.FLOOD: 3.0,
    Flaw.LONG_GOP: 10.0,  # a pause between two key frames is forgotten after three good intervals
    Flaw.BEHIND: 5.0,
}
"""How long each must hold before it is told, and be gone before it is taken back. A picture is frozen after the
roster's ``frozen_s``, and at once no longer."""

BLACK_LUMA = 24.0
"""Mean below which a picture is black; video black is 16 (ITU-R BT.601)."""
BLIND_CONTRAST = 6.0
"""Standard deviation of luma, after shrinking, below which nothing can be told apart: a covered lens, fog, a wall."""

FLOOD_RATIO = 5.0
"""So many times the usual bit rate is a flood."""
FLOOD_LEAST_BPS = 2_000_000
"""Less is no flood, whatever was usual: a still picture can take nearly nothing."""
RATE_S = 1.0
RATES_KEPT = 120


@dataclass(slots=True)
class BitRate:
    """Compares a camera's bit rate with what it usually is. One thread uses it."""

    is_flood: bool = field(default=False, init=False)
    _began_s: float | None = field(default=None, init=False)
    _bytes: int = field(default=0, init=False)
    _rates_bps: deque[float] = field(default_factory=lambda: deque(maxlen=RATES_KEPT), init=False)

    def packet(self, size: int, now_s: float) -> None:
        """Take note of a packet of ``size`` bytes."""
        if self._began_s is None:
            self._began_s = now_s
        self._bytes += size
        span_s = now_s - self._began_s
        if span_s < RATE_S:
            return
        rate_bps = 8 * self._bytes / span_s
        self._began_s, self._bytes = now_s, 0
        usual_bps = sorted(self._rates_bps)[len(self._rates_bps) // 2] if len(self._rates_bps) >= 5 else rate_bps
        self.is_flood = rate_bps > max(FLOOD_RATIO * usual_bps, FLOOD_LEAST_BPS)
        self._rates_bps.append(rate_bps)  # a flood that lasts becomes usual


@dataclass(slots=True)
class Frozen:
    """Whether the picture has been the same, to the last pixel looked at, for ``frozen_s``.

    A sensor's noise makes any two pictures differ. Some encoders leave out what changes little, so a still scene's
    frames may be the same between key frames; only when the key frames are, too, is the picture frozen.
    """

    frozen_s: float
    is_frozen: bool = field(default=False, init=False)
    _since: tuple[float, int] | None = field(default=None, init=False)
    """When the picture changed last, and how many key frames there had been."""

    def observe(self, is_identical: bool, keys: int, now_s: float) -> None:
        """Take note of a picture that was looked at; ``keys`` is how many key frames there have been."""
        if not is_identical or self._since is None:
            self._since, self.is_frozen = (now_s, keys), False
            return
        since_s, keys_then = self._since
        self.is_frozen = now_s - since_s >= self.frozen_s and keys - keys_then >= 2


@dataclass(slots=True)
class Flaws:
    """Which flaws are told now. One thread uses it."""

    told: frozenset[Flaw] = field(default=frozenset(), init=False)
    _turned_s: dict[Flaw, float] = field(default_factory=dict, init=False)
    """Since when each flaw is otherwise than it is told."""

    def set(self, flaw: Flaw, is_there: bool, now_s: float) -> None:
        """Take note of whether a flaw is there now."""
        if is_there == (flaw in self.told):
            self._turned_s.pop(flaw, None)
            return
        since_s = self._turned_s.setdefault(flaw, now_s)
        if now_s - since_s >= HOLD_S[flaw]:
            del self._turned_s[flaw]
            self.told = self.told | {flaw} if is_there else self.told - {flaw}

    def see(self, mean_luma: float, contrast: float, now_s: float) -> None:
        """Take note of a picture's brightness and contrast, both 0 to 255."""
        is_black = mean_luma < BLACK_LUMA and contrast < BLIND_CONTRAST
        self.set(Flaw.BLACK, is_black, now_s)
        self.set(Flaw.BLIND, not is_black and contrast < BLIND_CONTRAST, now_s)

    def clear(self) -> None:
        """The connection has ended: nothing is known of it any more."""
        self.told = frozenset()
        self._turned_s.clear()


def explain(flaw: Flaw, gop_s: float, clock_ratio: float | None) -> str:
    """Return one line for a person: what is wrong, and what to do about it."""
    match flaw:
        case Flaw.BLACK:
            return "its picture is black"
        case Flaw.BLIND:
            return "nothing can be told apart in its picture: covered, fogged or out of focus"
        case Flaw.CLOCK:
            return f"its clock runs {clock_ratio or 1.0:.2f} times as fast as ours"
        case Flaw.FLOOD:
            return f"it sends over {FLOOD_RATIO:g} times its usual bit rate"
        case Flaw.LONG_GOP:
            return f"its key frames are {gop_s:.1f} s apart, so it is always decoded: set its I-frame interval lower"
        case Flaw.BEHIND:
            return "it comes faster than it can be decoded here, so frames are left out: see its decode: and its size"
