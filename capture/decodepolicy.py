"""Which packets of a camera are decoded: the adaptive decode policy. Pure.

Decoding is what a camera costs, and most cameras show nothing most of the time. While nothing moves only key frames are
decoded; the packets after the last one are kept, so that decoding can resume at once when something does. The reader
feeds each packet and what it learns of motion; one thread uses a policy, for one connection.

::

              motion or size hint, chain whole: the kept packets are decoded first
    ASLEEP ────────────────────────────────────────────────────────────────────► AWAKE
      ▲  └────── ... chain broken ──────► WAKING ────── next key frame ──────────► │
      └───────────────────────── nothing moved for quiet_s ────────────────────────┘

A camera whose key frames are too far apart for ``idle_fps`` does not sleep; nor does one that has none.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto

from capture.words import DecodeMode

GOPS = 3
"""Key frame intervals looked back on: one pause is forgotten after so many good ones."""
BLIND_START_S = 10.0
"""A stream without any key frame for so long is decoded from wherever it is: it may refresh gradually."""
SLACK = 1.25
"""A key frame may come so much later than ``idle_fps`` asks, for networks jitter."""


class Verb(Enum):
    """What to do with a packet."""

    DECODE = auto()
    """Decode it, after those that were kept."""
    KEEP = auto()
    """Not now: keep it, it may be wanted."""
    DROP = auto()
    """Neither now nor later: forget those that were kept, too."""


class Alertness(Enum):
    """How much is decoded now."""

    AWAKE = auto()
    WAKING = auto()
    """It shall be awake, but can only start at a key frame."""
    ASLEEP = auto()


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """The roster's part."""

    mode: DecodeMode = DecodeMode.ALL
    idle_fps: float = 0.5
    """Adaptive: least rate of key frames with which a camera may sleep."""
    quiet_s: float = 5.0
    """Adaptive: sleeps after so long without motion."""
    catch_up_frames: int = 25
    """Adaptive: longest chain of packets that is kept."""
    is_intra_only: bool = False
    """Each frame stands alone (MJPEG): what is not due need not be decoded."""


@dataclass(slots=True)
class DecodePolicy:
    """Says for each packet what to do with it."""

    options: PolicyOptions
    gops_s: deque[float] = field(default_factory=lambda: deque(maxlen=GOPS))
    """The last key frame intervals, seconds; those of the camera's last connection to begin with."""
    alertness: Alertness = field(init=False)
    _last_motion_s: float = field(default=0.0, init=False)
    _began_s: float | None = field(default=None, init=False)
    """When the first packet came."""
    _last_key_s: float | None = field(default=None, init=False)
    _waking_since_s: float | None = field(default=None, init=False)
    """Since when it has waited for a key frame to start with; None where it does not, or has just begun to."""
    _kept: int = field(default=0, init=False)
    _is_chained: bool = field(default=False, init=False)
    """Whether what was decoded last and what is kept follow each other without a gap."""
    _last_decoded_s: float | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        # Nothing is known to move yet; and a site's cameras, all awake at once, may be more than it can decode.
        self.alertness = Alertness.ASLEEP if self.is_adaptive else Alertness.AWAKE

    @property
    def is_adaptive(self) -> bool:
        """Whether it may sleep at all."""
        return self.options.mode is DecodeMode.ADAPTIVE

    @property
    def is_asleep(self) -> bool:
        """Whether only key frames are decoded because nothing moves."""
        return self.alertness is Alertness.ASLEEP

    @property
    def is_resting(self) -> bool:
        """Whether no packet after a key frame is sure to be decoded."""
        return self.is_asleep or self.options.mode is DecodeMode.KEYFRAMES

    @property
    def gop_s(self) -> float | None:
        """The longest of the last key frame intervals, seconds; None before the second key frame."""
        return max(self.gops_s, default=None)

    @property
    def is_gop_too_long(self) -> bool:
        """Whether the key frames that came so far are too far apart to live by them."""
        gop_s = self.gop_s
        return self.is_adaptive and gop_s is not None and gop_s > self._limit_s

    def packet(self, is_key: bool, is_due: bool, now_s: float) -> Verb:
        """Take note of a packet; ``is_due`` says whether a frame that came now would be analyzed."""
        if self._began_s is None:
            self._began_s = now_s
        if is_key:
            if self._last_key_s is not None:
                self.gops_s.append(now_s - self._last_key_s)
            self._last_key_s = now_s
        if self.options.is_intra_only:
            verb = self._intra_packet(is_due, now_s)
        elif is_key or self.options.mode in (DecodeMode.ALL, DecodeMode.NO_NONREF):
            verb = self._decode(is_key, now_s)
        elif self.options.mode is DecodeMode.KEYFRAMES:
            verb = Verb.DROP
        else:
            verb = self._inter_packet(now_s)
        if verb is Verb.DECODE:
            self._last_decoded_s = now_s
        return verb

    def note_motion(self, now_s: float) -> None:
        """Something moves: decode on, or again."""
        self._last_motion_s = now_s
        if self.alertness is Alertness.ASLEEP:
            self.alertness = Alertness.AWAKE if self._is_chained else Alertness.WAKING

    def lose(self) -> None:
        """What is kept can no longer be decoded: a packet is missing."""
        self._is_chained = False
        if self.alertness is Alertness.AWAKE and self.is_adaptive:
            self.alertness = Alertness.WAKING

    @property
    def _limit_s(self) -> float:
        return SLACK / self.options.idle_fps

    def _decode(self, is_key: bool, now_s: float) -> Verb:
        if is_key:
            self._is_chained, self._kept, self._waking_since_s = True, 0, None
            if self.alertness is Alertness.WAKING:
                self.alertness = Alertness.AWAKE
            self._doze(now_s)
        return Verb.DECODE

    def _inter_packet(self, now_s: float) -> Verb:
        if self.is_asleep and not self._may_sleep(now_s):
            self.note_motion(now_s)  # unseen for too long: as if something had moved
        if self.alertness is not Alertness.WAKING:
            self._waking_since_s = None
        elif self._waking_since_s is None:
            self._waking_since_s = now_s
        elif now_s - self._waking_since_s > BLIND_START_S:
            self.alertness = Alertness.AWAKE
        self._doze(now_s)
        if self.alertness is Alertness.AWAKE:
            self._kept = 0
            return Verb.DECODE
        if self.is_asleep and self._is_chained and self._kept < self.options.catch_up_frames:
            self._kept += 1
            return Verb.KEEP
        self._is_chained = False
        return Verb.DROP

    def _intra_packet(self, is_due: bool, now_s: float) -> Verb:
        self._is_chained = True
        self._doze(now_s)
        if self.is_asleep:
            last_s = self._last_decoded_s
            is_due = is_due and (last_s is None or now_s - last_s >= 0.5 / self.options.idle_fps)
        return Verb.DECODE if is_due else Verb.DROP

    def _doze(self, now_s: float) -> None:
        is_quiet = now_s - self._last_motion_s >= self.options.quiet_s
        if self.is_adaptive and self.alertness is Alertness.AWAKE and is_quiet and self._may_sleep(now_s):
            self.alertness = Alertness.ASLEEP

    def _may_sleep(self, now_s: float) -> bool:
        """Whether key frames alone show enough: they come often, and the last one has not been long ago."""
        seen_s = self._began_s if self._last_key_s is None else self._last_key_s
        return not self.is_gop_too_long and (seen_s is None or now_s - seen_s <= self._limit_s)
