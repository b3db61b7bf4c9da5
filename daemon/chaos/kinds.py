"""What can go wrong, whom it may hit, what it must be judged as and how long it may be felt. Pure."""

from dataclasses import dataclass
from enum import StrEnum

from daemon.verdict import Cause


class Kind(StrEnum):
    """Kinds of events, as `--kind` takes them."""

    KILL = "kill"
    SEGV = "segv"
    STOP = "stop"
    EXHAUST = "exhaust"
    MUTE = "mute"
    GARBAGE = "garbage"
    NAN = "nan"
    HALF = "half"
    HANGUP = "hangup"
    DISK = "disk"
    CLOCK = "clock"
    CAMERA = "camera"


class Target(StrEnum):
    """Whom a kind hits."""

    CHILD = "child"
    """A worker, a capture process or the process of events."""
    SOURCE = "source"
    """A worker or a capture process, by whose numbers the supervisor goes."""
    WORKER = "worker"
    CAMERA = "camera"
    MACHINE = "machine"
    """Disk and clock, which all have in common."""


@dataclass(frozen=True, slots=True)
class Trait:
    """What is known of a kind."""

    does: str
    """For a person."""
    target: Target
    causes: frozenset[Cause] = frozenset()
    """What its victim's death may be judged as; empty: nobody may die of it."""
    is_seen_late: bool = False
    """Only that no work is done gives it away, after ``hang_s``."""
    is_inside: bool = False
    """Done by the gremlin in the child."""
    needs_up: bool = False
    """Means something only once its victim works."""
    lasts_s: float = 0.0


TRAITS = {
    Kind.KILL: Trait("SIGKILL", Target.CHILD, frozenset({Cause.CRASH})),
    Kind.SEGV: Trait("SIGSEGV", Target.CHILD, frozenset({Cause.CRASH})),
    Kind.STOP: Trait("SIGSTOP, for good", Target.CHILD, frozenset({Cause.HANG}), is_seen_late=True),
    Kind.EXHAUST: Trait(
        "memory allocated up to the worker's quota",
        Target.WORKER,
        # Where the allocation that fails is checked by nobody, it ends in a signal, and if the worker had not told its
        # memory since, nothing speaks for memory. TensorFlow's allocator may wait for longer than hang_s.
        frozenset({Cause.HOST_OOM, Cause.CRASH, Cause.HANG}),
        is_seen_late=True,
        is_inside=True,
        needs_up=True,
    ),
    Kind.MUTE: Trait(
        "it lives and reports, but answers nothing",
        Target.WORKER,
        frozenset({Cause.HANG}),
        is_seen_late=True,
        is_inside=True,
        needs_up=True,
    ),
    Kind.GARBAGE: Trait("garbage on its socket", Target.CHILD, frozenset({Cause.CRASH}), is_inside=True),
    Kind.NAN: Trait("NaN in a valid message", Target.SOURCE, frozenset({Cause.CRASH}), is_inside=True),
    Kind.HALF: Trait("half of a valid message", Target.SOURCE, frozenset({Cause.CRASH}), is_inside=True),
    Kind.HANGUP: Trait(
        "its socket closed half-way",
        Target.CHILD,
        # It cannot send any more, and is killed; or it cannot read, takes the supervisor for gone and ends by itself,
        # unless the supervisor, to whom it does not listen, is faster.
        frozenset({Cause.CRASH, Cause.EXIT}),
        is_inside=True,
    ),
    Kind.DISK: Trait("no space on the state folder's disk", Target.MACHINE, lasts_s=3.0),
    Kind.CLOCK: Trait("the wall clock is set, by up to six hours", Target.MACHINE, is_inside=True),
    Kind.CAMERA: Trait("a simulated camera misbehaves", Target.CAMERA, lasts_s=3.0),
}

CAMERA_FAULTS = (
    *("refuse", "silent", "hang", "close", "drip"),
    *("loss", "reorder", "jitter", "freeze", "black", "blind"),
    *("jump", "wrap", "fast", "pause", "flood"),
)
"""What a camera may have. Left out: `switch` and `corrupt`, which change the picture, so that its colour would prove
nothing; `unauthorized`, `not_found`, `redirect` and `not_video`, after which a camera is left alone for a minute."""

CLOCK_STEP_S = 6 * 3600.0
"""At most, forwards and backwards: two of them stay below the day after which the sink rotates its file."""

REPORT_S = 1.5
"""Children report once a second: so much later a hang may be noticed."""
BACKOFF_S = 3.0
"""Delays of three restarts in a row: 0, 1 and 2 s. Few events of one burst hit one child."""
SEEN_S = 2.0
"""A line is written, and metrics are published, so much after the answer."""
STARTS = 3.0
"""A start may take so many times what the first took: workers start one after the other, on a machine that does
more at once than then."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What deadlines are made of, in seconds."""

    hang_s: float
    start_s: float
    """From the first child's start to the last mosaic's first answer, as measured at the beginning of the run."""


def deadline_s(kind: Kind, timing: Timing) -> float:
    """Return how long after an event of this kind each mosaic is answered, and each child up, again.

    A hang is noticed after ``hang_s`` and one report; then restarts' delays, and a start.
    """
    trait = TRAITS[kind]
    noticed_s = timing.hang_s + REPORT_S if trait.is_seen_late else 0.0
    return trait.lasts_s + noticed_s + BACKOFF_S + STARTS * timing.start_s + SEEN_S
