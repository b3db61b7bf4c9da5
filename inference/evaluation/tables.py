"""What was measured, as tables for a person.

Pure: makes rich's tables, prints nothing.
"""

from collections.abc import Sequence

from rich.table import Table

from inference.evaluation.bootstrap import Difference
from inference.evaluation.report import AccuracyRow
from inference.evaluation.sizes import PICTURE_SIZES, TILE_SIZES, SizeClass
from inference.evaluation.speed import SpeedRow

NOTHING = "-"


def accuracy_table(rows: Sequence[AccuracyRow], title: str) -> Table:
    """mAP, what the input and the precision cost, and how much is found."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "tax: points against the single frame; to float32: points against the same input in float32; both with the\n"
        "95 % interval of a bootstrap over pictures. Crossing: boxes that reach over what is a seam in a mosaic."
    )
    for name in ("engine", "precision", "input"):
        table.add_column(name)
    for name in ("mAP@.5", "tax", "to float32", "verdict", "recall", "precision", "crossing"):
        table.add_column(name, justify="right")
    for row in rows:
        if row.problem:
            table.add_row(row.engine, row.precision, row.way, "[red]failed[/red]", *[NOTHING] * 6)
            continue
        table.add_row(
            *(row.engine, row.precision, row.way, f"{row.map_points:.2f}"),
            *(_difference(row.tax), _difference(row.loss), _verdict(row.refuted)),
            *(_percent(row.recall_ratio), _percent(row.precision_ratio), _percent(row.crossing_ratio)),
        )
    return table


def recall_table(rows: Sequence[AccuracyRow], title: str) -> Table:
    """Recall by the objects' size; the rows, at least one, were measured on the same pictures."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "The side is the root of the box's area, in pixels: of the picture (COCO's classes), and of the tile."
    )
    for name in ("engine", "precision", "input"):
        table.add_column(name)
    places = ["picture"] * len(PICTURE_SIZES) + ["tile"] * len(TILE_SIZES)
    counted = (*rows[0].by_picture_size, *rows[0].by_tile_size)
    for place, size, recall in zip(places, (*PICTURE_SIZES, *TILE_SIZES), counted, strict=True):
        table.add_column(f"{place}\n{_size(size)}\nof {recall.objects}", justify="right")
    for row in rows:
        cells = (_percent(recall.ratio) for recall in (*row.by_picture_size, *row.by_tile_size))
        table.add_row(row.engine, row.precision, row.way, *cells)
    return table


def speed_table(rows: Sequence[SpeedRow], title: str) -> Table:
    """How fast, how large, how well used."""
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = (
        "A call is images to boxes. Post: decoding and suppression by forward pass. Peak: arithmetic of the\n"
        "forward pass by what a matrix multiplication does with the same precision and threads, measured beside it."
    )
    for name in ("engine", "precision", "input"):
        table.add_column(name)
    names = ("batch", "median ms", "p99 ms", "images/s", "mosaics/s", "post", "peak", "load s", "MiB", "peak MiB")
    for name in names:
        table.add_column(name, justify="right")
    on_gpu = any(row.device_mib is not None for row in rows)
    if on_gpu:
        table.add_column("GPU MiB", justify="right")
    for row in rows:
        if row.problem:
            cells = [str(row.batch), "[red]failed[/red]", *[NOTHING] * (len(names) - 2)]
        else:
            milliseconds = [None if value is None else 1000 * value for value in (row.median_s, row.p99_s)]
            cells = [
                str(row.batch),
                *(_number(value, 2) for value in milliseconds),
                *(_number(value, 1) for value in (row.images_per_s, row.mosaics_per_s)),
                *(_percent(value) for value in (row.postprocess_ratio, row.peak_ratio)),
                _number(row.load_s, 1),
                *(_number(value, 0) for value in (row.resident_mib, row.peak_mib)),
            ]
        table.add_row(row.engine, row.precision, row.way, *cells, *([_number(row.device_mib, 0)] if on_gpu else []))
    return table


def problems(rows: Sequence[AccuracyRow] | Sequence[SpeedRow]) -> list[str]:
    """One line for each combination that could not be measured."""
    return [f"{row.engine} {row.precision} {row.way}: {row.problem}" for row in rows if row.problem]


def _size(size: SizeClass) -> str:
    return f"{size.name} px" if size.name[0].isdigit() or size.name[0] in "<>" else size.name


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return NOTHING
    return f"{difference.points:+.2f} ({difference.low:+.2f} to {difference.high:+.2f})"


def _verdict(refuted: bool | None) -> str:
    return NOTHING if refuted is None else "[red]refuted[/red]" if refuted else "kept"


def _percent(ratio: float | None) -> str:
    return NOTHING if ratio is None else f"{100 * ratio:.1f} %"


def _number(value: float | None, digits: int) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"
