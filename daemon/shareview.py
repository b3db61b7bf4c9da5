"""What `mosaicd bench share` measured, as tables for a person and as lines to plot. Pure: prints and draws nothing."""

from collections.abc import Sequence

from rich.table import Table

from daemon.measurement import Row
from daemon.quota import MemoryMode
from daemon.sharing import figures

NOTHING = "-"


def ways_table(rows: Sequence[Row], title: str) -> Table:
    """As in 2019: a way of sharing a line, a number of workers a column."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "each worker's speed by that of one alone (in brackets: the fraction of the memory)"
    numbers = sorted({row.workers for row in rows})
    table.add_column("way of sharing")
    for number in numbers:
        table.add_column("1 worker" if number == 1 else f"{number} workers", justify="right")
    singles = [row for row in rows if row.batch == 1]
    for way in dict.fromkeys(map(_way, singles)):
        mine = [(row.workers, _cell(row, rows)) for row in singles if _way(row) == way]
        cells = (" / ".join(cell for workers, cell in mine if workers == number) for number in numbers)
        table.add_row(way, *(cell or NOTHING for cell in cells))
    return table


def rows_table(rows: Sequence[Row]) -> Table:
    """Everything that was measured."""
    table = Table(caption_justify="left")
    table.caption = "gain: mosaics a second of all, by one worker's that does their work one after the other"
    table.add_column("memory")
    for name in ("workers", "threads", "batch", "limit MiB", "s a mosaic", "each", "mosaics/s", "gain", "peak MiB"):
        table.add_column(name, justify="right")
    for row in rows:
        limit = NOTHING if row.limit_mib is None else str(row.limit_mib)
        cells = (_memory(row), str(row.workers), str(row.threads or NOTHING), str(row.batch), limit)
        known = figures(row, rows)
        if row.problem or known is None:
            table.add_row(*cells, _failure(row) if row.problem else NOTHING, *[NOTHING] * 4)
            continue
        peak = f"{max(row.peak_mib):.0f}" if row.peak_mib else NOTHING
        speeds = (f"{row.mosaics_per_s:.2f}", f"{known.gain:.2f}", peak)
        table.add_row(*cells, _spread(row.frame_s), f"{100 * known.each_ratio:.1f} %", *speeds)
    return table


def lines(rows: Sequence[Row]) -> dict[str, dict[int, float]]:
    """Gain by the number of workers for each way of sharing, then by the batch of one worker; what failed is 0.

    Of several fractions for as many workers the fastest counts.
    """
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        name, number = (_way(row), row.workers) if row.batch == 1 else ("one worker, a batch", row.batch)
        known = figures(row, rows)
        mine = found.setdefault(name, {})
        mine[number] = max(mine.get(number, 0.0), known.gain if known else 0.0)
    return found


def _way(row: Row) -> str:
    return {MemoryMode.FRACTION: "memory fraction", MemoryMode.GROWTH: "grow on demand", MemoryMode.ALL: "all"}[
        row.mode
    ]


def _memory(row: Row) -> str:
    return row.mode.value if row.fraction is None else f"{row.mode.value} {row.fraction:.2f}"


def _cell(row: Row, rows: Sequence[Row]) -> str:
    fraction = "" if row.fraction is None else f" ({row.fraction:.2f})"
    known = figures(row, rows)
    if row.problem or known is None:
        return f"{_failure(row)}{fraction}" if row.problem else NOTHING
    return f"{known.frame_s:.4f} s{fraction}" if row.workers == 1 else f"{100 * known.each_ratio:.2f} %{fraction}"


def _failure(row: Row) -> str:
    return "[red]refused[/red]" if row.is_refused else "[red]failed[/red]"


def _spread(frame_s: Sequence[float]) -> str:
    least, most = (f"{value:.4f}" for value in (min(frame_s), max(frame_s)))
    return least if least == most else f"{least} to {most}"
