"""Which transport a camera is asked for: ``auto`` begins with UDP, and goes over to TCP once that has failed. Pure."""

from dataclasses import dataclass, field

from capture.words import Reason, Transport

LOSS_RATIO = 0.02
"""From this part of damaged frames on UDP is given up: each loss costs all frames up to the next key frame."""
JUDGED_PACKETS = 200
"""Of which so many at least have come."""
MENDED_BY_TCP = frozenset({Reason.TIMEOUT, Reason.HANG, Reason.ENDED, Reason.BROKEN, Reason.NOT_VIDEO})
"""Failures that can come of UDP. Who refuses us, or knows no such stream, does so before any transport is asked for."""


@dataclass(slots=True)
class TransportChoice:
    """One camera's choice, kept over its connections. One thread uses it."""

    wanted: Transport
    now: Transport = field(init=False)
    """What to ask for; never ``auto``."""

    def __post_init__(self) -> None:
        self.now = Transport.UDP if self.wanted is Transport.AUTO else self.wanted

    @property
    def is_on_trial(self) -> bool:
        """Whether it may still change."""
        return self.wanted is Transport.AUTO and self.now is Transport.UDP

    def is_lossy(self, damaged: int, packets: int) -> bool:
        """Take note of a connection so far; return whether it is to be ended, and TCP asked for from now on."""
        if not (self.is_on_trial and packets >= JUDGED_PACKETS and damaged > LOSS_RATIO * packets):
            return False
        self.now = Transport.TCP
        return True

    def fail(self, reason: Reason, frames: int) -> bool:
        """Take note of why a connection ended after ``frames``; return whether TCP is asked for from now on."""
        if not (self.is_on_trial and frames == 0 and reason in MENDED_BY_TCP):
            return False
        self.now = Transport.TCP  # a firewall lets RTSP pass, but not what it talks of
        return True
