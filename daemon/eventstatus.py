"""Events in the daemon's status: how many there are, and whom they reach. Pure."""

from pydantic import BaseModel

from daemon.problems import printable
from daemon.statistics import EventStatistics
from events.series import Figure


class EventSink(BaseModel):
    """One of those who are told of events."""

    name: str
    is_well: bool
    """Its last try went well."""
    cause: str
    """Why not, for a person."""
    waiting: int
    """Changes in its outbox."""
    told: int
    """Changes that it has told since the daemon started."""
    dropped: int
    """... for which its outbox had no room."""
    refused: int
    """... that its recipient does not take."""


class EventsNow(BaseModel):
    """What the process of events has in hand, and has counted since the daemon started."""

    words: str
    """All that a person wants to know, in a line."""
    is_followed: bool
    """The process of events is up."""
    is_kept: bool
    """... and the disk takes what it sees."""
    open: int
    begun: int
    tracks: int
    """Objects followed now."""
    lost: int
    """Changes that were never kept."""
    sinks: tuple[EventSink, ...]


def events_now(events: EventStatistics | None) -> EventsNow | None:
    """Return what the status shows of events; None where none are wanted."""
    if events is None:
        return None
    sinks = tuple(
        EventSink(
            name=sink.name,
            is_well=sink.is_well,
            cause=sink.cause,
            waiting=sink.waiting,
            told=int(events.sum(Figure.TOLD, sink=sink.name)),
            dropped=int(events.sum(Figure.DROPPED, sink=sink.name)),
            refused=int(events.sum(Figure.REFUSED, sink=sink.name)),
        )
        for sink in events.sinks
    )
    begun, lost = int(events.sum(Figure.EVENTS, kind="new")), int(events.sum(Figure.LOST))
    said = [f"{events.open_events} open, {begun} since the start"]
    if not events.is_followed:
        said = ["nobody follows them now"]
    elif not events.is_kept:
        said.append(f"not kept, {events.held} changes wait for the disk")
    if lost:
        said.append(f"{lost} changes lost")
    return EventsNow(
        words="; ".join([*said, *map(_words, sinks if events.is_followed else ())]),
        is_followed=events.is_followed,
        is_kept=events.is_kept,
        open=events.open_events,
        begun=begun,
        tracks=events.tracks,
        lost=lost,
        sinks=sinks,
    )


def _words(sink: EventSink) -> str:
    """``mqtt ok``, or what is wrong with it."""
    why = printable(sink.cause) or "cannot be told"
    said = f"{sink.name} ok" if sink.is_well else f"{sink.name}: {why}, {sink.waiting} wait"
    counts = ((sink.refused, "refused"), (sink.dropped, "dropped"))
    return ", ".join([said, *(f"{count} {word}" for count, word in counts if count)])
