"""Events as a person reads them in a terminal: a line each, one in full, and who crossed a line by the hour. Pure.

Takes events as :func:`events.words.document` gives them, which is also what a line of ``events.jsonl`` holds.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from daemon.timewords import lasting, local
from events.reading import HourCount

Document = Mapping[str, Any]
HEADINGS = ("began", "camera", "label", "lasted", "what happened", "kept", "ended", "id")
ROOM = ("", "", "", "59 min 59 s", " " * 32, "jpg mp4", "camera down", "")
"""For cells that are still to come: so are lines that are printed one by one under each other."""
CROSSING_FIELDS = ("hour", "camera", "line", "direction", "label", "count")
_ENDINGS = {"camera_down": "camera down", "restart": "restart", "stopped": "stopped", "gone": "gone"}


class Columns:
    """Lines of cells under each other; a column is as wide as its widest cell until now."""

    def __init__(self, headings: Sequence[str], right: Collection[str] = ()) -> None:
        """``right`` are the headings of columns that are aligned there."""
        self._widths = [len(heading) for heading in headings]
        self._is_right = [heading in right for heading in headings]

    def fit(self, rows: Iterable[Sequence[str]]) -> None:
        """Make room for these."""
        for row in rows:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, row, strict=True)]

    def line(self, row: Sequence[str]) -> str:
        """Return one line; the last column is not filled up."""
        cells = zip(row, self._widths, self._is_right, strict=True)
        return "  ".join(cell.rjust(width) if right else cell.ljust(width) for cell, width, right in cells).rstrip()


def row(event: Document) -> tuple[str, ...]:
    """Return the cells of one event, under :data:`HEADINGS`."""
    began, ended = _at(event["started_at"]), event.get("ended_at")
    kept = [word for word, field in (("jpg", "has_snapshot"), ("mp4", "has_clip")) if event.get(field)]
    return (
        local(began),
        event["camera"],
        event["label"],
        "now" if ended is None else lasting(_at(ended) - began),
        "; ".join(_happened(event)) or "-",
        " ".join(kept) or "-",
        "-" if ended is None else _ending(event),
        event["id"],
    )


def _happened(event: Document) -> Iterator[str]:
    visits: defaultdict[str, list[Document]] = defaultdict(list)
    for visit in event.get("zones", ()):
        visits[visit["zone"]].append(visit)
    for zone, those in visits.items():
        yield f"in {zone} {_stayed(those)}"
    passages = Counter((each["line"], each["direction"]) for each in event.get("crossings", ()))
    for (line, direction), times in passages.items():
        yield f"over {line}: {direction}{f' {times} times' if times > 1 else ''}"
    if speed := event.get("speed"):
        yield f"{speed['median_kmh']:.0f} km/h"
    if headway := event.get("headway"):
        yield f"{headway['seconds']:.1f} s behind"
    if event.get("is_stationary"):
        yield "stands" if event.get("ended_at") is None else "stood"


def _stayed(visits: Sequence[Document]) -> str:
    """Of one zone."""
    over = [(visit["entered_at"], left) for visit in visits if (left := visit.get("left_at"))]
    stayed = lasting(sum(_at(left) - _at(entered) for entered, left in over)) if len(over) == len(visits) else "now"
    words = [stayed, f"{len(visits)} times"] if len(visits) > 1 else [stayed]
    return ", ".join((*words, "loitered") if any(visit.get("has_loitered") for visit in visits) else words)


def details(event: Document, files: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of one event in full; ``files`` says of picture and clip where they are."""
    began, ended = _at(event["started_at"]), event.get("ended_at")
    yield event["id"]
    for name, words in (
        ("camera", event["camera"]),
        ("label", f"{event['label']}, at best {event['best_score']:.2f} at {_clock(event['best_at'])}"),
        ("began", local(began)),
        (
            "ended",
            f"{local(_at(ended))}, after {lasting(_at(ended) - began)}: {_ending(event)}" if ended else "not yet",
        ),
        *(("zone", _visit(visit)) for visit in event.get("zones", ())),
        *(
            ("line", f"{each['line']}: {each['direction']}, {_clock(each['at'])}")
            for each in event.get("crossings", ())
        ),
        *_movement(event),
        *files.items(),
    ):
        yield f"  {name:<9}{words}"


def _visit(visit: Document) -> str:
    left = visit.get("left_at")
    to = f"to {_clock(left)}, {lasting(_at(left) - _at(visit['entered_at']))}" if left else "until now"
    return f"{visit['zone']}: {_clock(visit['entered_at'])} {to}{', loitered' if visit.get('has_loitered') else ''}"


def _movement(event: Document) -> Iterator[tuple[str, str]]:
    if speed := event.get("speed"):
        yield "speed", f"{speed['median_kmh']:.1f} km/h"
    if headway := event.get("headway"):
        yield "headway", f"{headway['seconds']:.1f} s, {headway['metres']:.1f} m behind the one before"
    if event.get("is_stationary"):
        yield "stands", "still, and is quiet until it moves" if event.get("ended_at") is None else "stood still at last"


def crossings_table(counts: Sequence[HourCount]) -> Iterable[str]:
    """Return a table's lines: one for each hour, line and direction, a column for each label; sums are the last."""
    labels = sorted({each.label for each in counts})
    by_hour: dict[tuple[float, str, str, str], Counter[str]] = {}
    in_all: dict[tuple[str, str, str], Counter[str]] = {}
    for each in counts:
        way = (each.camera, each.line, each.direction)
        by_hour.setdefault((each.hour_at, *way), Counter())[each.label] += each.count
        in_all.setdefault(way, Counter())[each.label] += each.count
    rows = [((local(hour_at, "%Y-%m-%d %H:%M"), *way), sums) for (hour_at, *way), sums in by_hour.items()]
    rows += [(("in all", *way), sums) for way, sums in sorted(in_all.items(), key=lambda item: item[0])]
    headings = ("hour from", "camera", "line", "direction", *labels, "all")
    cells = [(*key, *(str(sums[label] or "-") for label in labels), str(sums.total())) for key, sums in rows]
    columns = Columns(headings, right=(*labels, "all"))
    columns.fit(cells)
    return map(columns.line, (headings, *cells))


def crossing_cells(count: HourCount) -> tuple[str, ...]:
    """Return what a line of CSV holds, under :data:`CROSSING_FIELDS`; the hour with its zone."""
    hour = datetime.fromtimestamp(count.hour_at).astimezone().isoformat(timespec="minutes")
    return hour, count.camera, count.line, count.direction, count.label, str(count.count)


def _ending(event: Document) -> str:
    return _ENDINGS.get(event.get("ending") or "", str(event.get("ending")))


def _at(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()


def _clock(stamp: str) -> str:
    return local(_at(stamp), "%H:%M:%S")
