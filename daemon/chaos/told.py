"""What must hold of events once the daemon has ended: kept, told, ended, each once, and of what was there. Pure."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from daemon.chaos.observations import Truth
from events.words import Event, Kind, id_stamp


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one event, as it is in the file of lines or waits for it."""

    event: str
    revision: int
    kind: str


def misjudged_events(
    kept: Sequence[Event],
    changes: Sequence[Change],
    acknowledged: Mapping[str, int],
    truths: Mapping[str, Truth],
    seconds: float,
) -> Iterator[str]:
    """Yield what is wrong.

    ``changes`` are those told and then those that wait to be, doubles included; ``acknowledged`` are revisions that
    were in the database at some time of a run of so many ``seconds``.
    """
    known = {event.id: event for event in kept}
    for id_, revision in acknowledged.items():
        if id_ not in known or known[id_].revision < revision:
            yield f"revision {revision} of event {id_} was kept, and is lost"
    told: dict[str, list[Change]] = {}
    for change in dict.fromkeys(changes):
        told.setdefault(change.event, []).append(change)
    for id_ in told.keys() - known.keys():
        yield f"event {id_} was told of, and is not kept"
    for event in kept:
        yield from (f"event {event.id} {what}" for what in _wrong(event, told.get(event.id, ()), truths, seconds))


def _wrong(event: Event, told: Sequence[Change], truths: Mapping[str, Truth], seconds: float) -> Iterator[str]:
    if event.ended_at is None:
        yield "was left open"
    elif not 0.0 <= event.ended_at - event.started_at <= seconds:
        yield f"lasted for {event.ended_at - event.started_at:.1f} s"
    if not event.id.startswith(id_stamp(event.started_at)):
        yield f"does not bear the time at which it began, {event.started_at}"
    if event.label != truths[event.camera].label:
        yield f"is of a {event.label}; {event.camera} shows {truths[event.camera].label}"
    often = Counter(change.kind for change in told)
    if often[Kind.NEW] != 1 or often[Kind.END] != 1:
        yield f"has been told {often[Kind.NEW]} times as new and {often[Kind.END]} times as ended"
    revisions = [change.revision for change in told]
    if revisions != sorted(set(revisions)):
        yield f"was told in the order {revisions}"
