"""What a person asks of a running daemon, and what it answers: typed structs, msgpack on the wire. Pure.

One request, one reply. Whoever may open the control socket (:mod:`daemon.control`) may order; both sides check what
they receive, since they may be of two versions.
"""

from typing import Annotated

import msgspec

from capture.messages import Message

Name = Annotated[str, msgspec.Meta(max_length=100)]


class ListWorkers(Message, frozen=True):
    """Asks how the workers are."""


class RestartWorker(Message, frozen=True):
    """Orders that a worker be started anew, even one that was given up."""

    name: Name


class SwitchCamera(Message, frozen=True):
    """Orders that a camera be switched off, or on again, whatever the roster says of it otherwise."""

    name: Name
    is_on: bool


class ReloadRoster(Message, frozen=True):
    """Orders that the roster be read again, and applied."""

    is_trial: bool = False
    """Only say what would be done."""


class WorkerState(msgspec.Struct, frozen=True):
    """One worker, as a person wants to know it."""

    name: str
    device: str
    is_spare: bool
    """It waits, without mosaics of its own, for another to die."""
    phase: str
    """Of its life (:class:`daemon.lifecycle.Phase`)."""
    generation: int
    """Processes started so far."""
    last_cause: str
    """Of its last death; empty if it never died."""
    restarts: int
    """Deaths so far, of all causes; each was followed by a restart unless it has been given up."""
    changed: tuple[str, ...] = ()
    """What it got after deaths and has now (:class:`daemon.escalation.Step`), oldest first."""


class WorkerList(Message, frozen=True):
    """All workers, in the settings' order."""

    workers: tuple[WorkerState, ...]


class Restarting(Message, frozen=True):
    """The order is carried out."""

    name: str
    was: str
    """The phase in which the order found it."""


class NoSuchWorker(Message, frozen=True):
    """Nobody is called so."""

    name: str
    there_are: tuple[str, ...]


class NoSuchCamera(Message, frozen=True):
    """The roster has none of that name."""

    name: str
    hint: str
    """Which one may be meant: empty, or the end of a sentence."""


class Difference(msgspec.Struct, frozen=True):
    """What a new roster makes different: names of cameras, then of mosaics, in the roster's order."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    """Read anew, on the tile where they were."""
    moved: tuple[str, ...] = ()
    """To another mosaic, and read anew."""
    opened: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    judged: tuple[str, ...] = ()
    """Mosaics of which other labels, scores or priorities are wanted now."""
    followed: tuple[str, ...] = ()
    """Cameras whose events are made by other rules now."""

    def by_kind(self) -> dict[str, tuple[str, ...]]:
        """Return the names by kind, kinds without any left out."""
        return {kind: names for kind, names in msgspec.structs.asdict(self).items() if names}


class Switched(Message, frozen=True):
    """The camera is as was ordered."""

    name: str
    is_on: bool
    difference: Difference = Difference()
    """Without any name if it was so already."""


class Reloaded(Message, frozen=True):
    """The roster is applied, or would be."""

    difference: Difference = Difference()
    warnings: tuple[str, ...] = ()


class RosterRefused(Message, frozen=True):
    """The roster is not valid, and nothing was changed."""

    problems: tuple[str, ...]
    """A line each, with file, line and column."""


class Refused(Message, frozen=True):
    """The request is not carried out."""

    why: str


Request = ListWorkers | RestartWorker | SwitchCamera | ReloadRoster
Reply = WorkerList | Restarting | NoSuchWorker | Switched | NoSuchCamera | Reloaded | RosterRefused | Refused
