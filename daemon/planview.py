"""Quotas and plans as tables for a person and as rows for JSON. Pure: makes rich's tables, prints nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from daemon.planner import Demand, Outlook, Point, Resource
from daemon.quota import Basis, Denied, MemoryMode, Quota

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One decision, with all that went into it; MiB."""

    device: str
    mode: MemoryMode
    workers: int
    limit_mib: int | None
    """Of each worker; None where it may grow."""
    overhead_mib: int
    """Of each worker."""
    overhead_basis: Basis
    """Whether that is assumed, measured or set."""
    reserve_mib: int
    needed_mib: int
    """workers * (limit + overhead) + reserve"""
    free_mib: int
    """total - foreign"""
    foreign_mib: int
    total_mib: int
    fits: bool
    largest_fraction: float | None
    """That would fit, for as many workers; None where they fit."""
    note: str
    """The refusal or the warning as a sentence; empty where there is nothing to say."""


def quota_row(quota: Quota) -> QuotaRow:
    """The decision with its numbers."""
    decision, memory = quota.decision, quota.memory
    denied = isinstance(decision, Denied)
    is_limited = quota.mode is not MemoryMode.GROWTH
    return QuotaRow(
        device=quota.device,
        mode=quota.mode,
        workers=decision.workers,
        limit_mib=decision.limit_mib if is_limited else None,
        overhead_mib=memory.overhead_mib,
        overhead_basis=quota.basis,
        reserve_mib=memory.reserve_mib,
        needed_mib=decision.needed_mib,
        free_mib=decision.free_mib,
        foreign_mib=memory.foreign_mib,
        total_mib=memory.total_mib,
        fits=not denied,
        largest_fraction=decision.largest_fraction if isinstance(decision, Denied) else None,
        note=str(decision) if isinstance(decision, Denied) else decision.warning,
    )


def quota_table(quotas: Sequence[Quota]) -> Table:
    """The same, one line each; `notes` has the sentences."""
    table = _table(
        "Memory of the workers, in MiB", "needed = workers x (limit + overhead) + reserve, of total - foreign"
    )
    for name in ("device", "mode"):
        table.add_column(name)
    for name in ("workers", "limit", "overhead", "reserve", "needed", "free", "foreign", "total"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for row in map(quota_row, quotas):
        limit = "none" if row.limit_mib is None else f"{row.limit_mib} ({row.limit_mib / max(1, row.total_mib):.2f})"
        overhead = f"{row.overhead_mib} {row.overhead_basis}"
        numbers = (row.reserve_mib, row.needed_mib, row.free_mib, row.foreign_mib, row.total_mib)
        verdict = "fits" if row.fits and not row.note else "[yellow]fits, but see below[/yellow]"
        if row.largest_fraction is not None:
            fraction = f"largest fraction {row.largest_fraction:.2f}" if row.largest_fraction else "no fraction fits"
            verdict = f"[red]refused[/red]: {fraction}"
        table.add_row(row.device, row.mode.value, str(row.workers), limit, overhead, *map(str, numbers), verdict)
    return table


def notes(quotas: Sequence[Quota]) -> tuple[str, ...]:
    """What is to be said of the decisions, each once."""
    said = (f"{row.device}: {row.note}" for row in map(quota_row, quotas) if row.note)
    return tuple(dict.fromkeys(said))


def outlook_tables(outlook: Outlook, demand: Demand) -> tuple[Table, ...]:
    """Workers, what a loss leaves, how many devices are needed, and each camera's rate."""
    return (_workers(outlook, demand), _losses(outlook), _needs(outlook, demand), _cameras(outlook))


def verdict(outlook: Outlook, demand: Demand, is_decoding_known: bool) -> str:
    """One sentence: whether the rate is met, and which resource binds."""
    unknown = () if is_decoding_known else (Resource.DECODING,)
    loads = ", ".join(
        f"{resource.value} {'not measured' if resource in unknown else _share(load)}"
        for resource, load in outlook.load.items()
    )
    if outlook.is_met:
        said, bound = f"Every mosaic is answered {demand.hz:g} times a second", "is nearest to its end"
    else:
        said = f"The slowest mosaic is answered {outlook.slowest_hz:.2f} times a second, of {demand.hz:g} wanted"
        bound = "binds"
    return f"{said}; {outlook.binds.value} {bound} ({loads})."


def _workers(outlook: Outlook, demand: Demand) -> Table:
    title = f"Workers for {len(demand.cameras)} cameras in {len(demand.mosaics)} mosaics, {demand.hz:g} a second each"
    table = _table(title, "mosaics/s: what one worker does while the others of its device work too, as measured")
    for name in ("device", "kind", "memory"):
        table.add_column(name)
    for name in ("workers", "threads", "limit MiB", "mosaics/s", "mosaics of each"):
        table.add_column(name, justify="right")
    for use in outlook.devices:
        limit = NOTHING if use.limit_mib is None else str(use.limit_mib)
        numbers = (str(use.point.workers), str(use.point.threads or NOTHING), limit, f"{use.worker_hz:.2f}")
        mosaics = ", ".join(map(str, use.mosaics))
        table.add_row(use.device, use.kind, _memory(use.point), *numbers, mosaics)
    return table


def _losses(outlook: Outlook) -> Table:
    table = _table("When one device is lost", "the other devices' workers stay as they are and take over its mosaics")
    table.add_column("lost")
    table.add_column("slowest mosaic/s", justify="right")
    table.add_column("rate")
    for loss in outlook.losses:
        table.add_row(loss.device, f"{loss.slowest_hz:.2f}", _met(loss.is_met))
    return table


def _needs(outlook: Outlook, demand: Demand) -> Table:
    table = _table(f"Devices that {len(demand.cameras)} cameras need, of one kind alone")
    table.add_column("kind")
    table.add_column("devices", justify="right")
    table.add_column("slowest mosaic/s", justify="right")
    for need in outlook.needs:
        number = "[red]no number is enough[/red]" if need.devices is None else str(need.devices)
        table.add_row(need.kind, number, f"{need.slowest_hz:.2f}")
    return table


def _cameras(outlook: Outlook) -> Table:
    table = _table("What each camera can expect, in frames a second")
    for name in ("camera", "mosaic", "device"):
        table.add_column(name)
    for name in ("wanted", "expected"):
        table.add_column(name, justify="right")
    for rate in outlook.cameras:
        place = (rate.camera, rate.mosaic, rate.device or NOTHING)
        table.add_row(*place, f"{rate.wanted_hz:g}", f"{rate.expected_hz:.2f}")
    return table


def _table(title: str, caption: str | None = None) -> Table:
    return Table(title=title, title_justify="left", caption=caption, caption_justify="left")


def _memory(point: Point) -> str:
    return point.mode.value if point.fraction is None else f"{point.mode.value} {point.fraction:.2f}"


def _met(is_met: bool) -> str:
    return "met" if is_met else "[red]not met[/red]"


def _share(load: float) -> str:
    return f"{100 * load:.0f} %" if load < float("inf") else "nothing left"
