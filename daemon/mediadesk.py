"""The desk between the process of events and the capture processes: brings orders for pictures and clips to whoever
has the camera, and replies back. Each order is replied to, also if whoever had it has died.

Belongs to the supervisor's thread. A capture process is believed only what it owes.
"""

from collections.abc import Mapping, Sequence

from msgspec import structs

from capture.mediamessages import MediaMessage, Prolong, Record, Recorded, Snapped, Snapshot, refused
from capture.words import Shortfall
from daemon.captureforce import CaptureForce
from daemon.child import Child
from daemon.eventforce import EventForce
from daemon.lifecycle import Phase

_Owed = tuple[type[Recorded] | type[Snapped], str]
"""Of which kind a reply is to be, and of which event."""


class MediaDesk:
    """``children`` are all of the supervisor's, by name."""

    def __init__(self, captures: CaptureForce, events: EventForce, children: Mapping[str, Child]) -> None:
        self._captures = captures
        self._events = events
        self._children = children
        self._owed: dict[str, dict[_Owed, Record | Snapshot]] = {}
        """By capture process."""

    def hear(self, name: str, message: MediaMessage, fds: Sequence[int]) -> None:
        """Take an order, or a reply, of the child of this name; descriptors are the caller's still."""
        match message:
            case Record() | Prolong() | Snapshot():
                self._order(message, fds)
            case Recorded() | Snapped():
                self._reply(name, message)

    def note_death(self, name: str) -> None:
        """A capture process has ended: nothing more comes of what it had in hand."""
        for order in self._owed.pop(name, {}).values():
            self._events.send(refused(order, Shortfall.DIED))

    def _order(self, order: Record | Prolong | Snapshot, fds: Sequence[int]) -> None:
        """Bring an order to the process that has the camera."""
        home = self._captures.home(order.camera)
        name, epoch = home or ("", 0)
        child = self._children.get(name)
        sent = structs.replace(order, epoch=epoch)
        is_taken = child is not None and child.life.phase is Phase.UP and child.send(sent, tuple(fds))
        if isinstance(sent, Prolong):
            return
        if is_taken:
            self._owed.setdefault(name, {})[_owed(sent)] = sent
        else:
            self._events.send(refused(sent, Shortfall.DIED if home else Shortfall.UNKNOWN))

    def _reply(self, name: str, reply: Recorded | Snapped) -> None:
        """Bring a capture process's reply to whoever ordered."""
        order = self._owed.get(name, {}).pop((type(reply), reply.event_id), None)
        if order is not None:
            self._events.send(structs.replace(reply, camera=order.camera))


def _owed(order: Record | Snapshot) -> _Owed:
    return Recorded if isinstance(order, Record) else Snapped, order.event_id
