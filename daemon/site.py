"""Which workers this machine would run for a site: its settings, its mosaics, the devices that are here.

Shell: looks for devices. `mosaicd check` and `mosaicd plan` ask here, so that both say the same.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from daemon.devices import FoundDevices, Plan, Unplannable, find_devices, plan_workers, run_inventory
from daemon.job import inherit
from daemon.modelrun import subjects_of
from daemon.overhead import recall_each
from daemon.overheads import load
from daemon.settings import Settings
from daemon.wanted import name_devices, wishes_of


@dataclass(frozen=True, slots=True)
class SitePlan:
    """What came of it."""

    workers: Plan | Unplannable
    notices: tuple[str, ...]
    """What went wrong while looking for devices, and what a person should know of the plan."""
    cores: int
    """That this machine's processes may use."""


def plan_site(
    settings: Settings,
    mosaics: int,
    environ: Mapping[str, str],
    find: Callable[[], FoundDevices] | None = None,
) -> SitePlan:
    """Look for devices and plan workers on them; blocks for as long as `find_devices` does.

    Where `threads` is auto one is counted: what is best is measured at the daemon's first start, not here.
    """
    found = find() if find else find_devices(partial(run_inventory, environ=inherit(environ)))
    found = found.divided(settings.cpu_parts)
    named = name_devices(settings, found.devices)
    overheads = recall_each(load(settings.state_dir), subjects_of(settings, found.devices))
    workers = plan_workers(found.devices, wishes_of(named, found.devices, {}, overheads), mosaics=mosaics)
    warnings = workers.warnings if isinstance(workers, Plan) else ()
    return SitePlan(workers, (*found.notices, *warnings), max(device.cores for device in found.devices))
