"""What the settings want of the devices that were found. Pure."""

from collections.abc import Mapping, Sequence

from daemon.devices import Device, DeviceKind, DeviceWish, auto_wishes
from daemon.modelrun import ModelRun
from daemon.quota import MemoryMode
from daemon.settings import Device as WantedDevice
from daemon.settings import Settings


def name_devices(settings: Settings, devices: Sequence[Device]) -> dict[str, WantedDevice]:
    """Return what is wanted of each device, by its name or UUID; `auto` stands for those that it means."""
    named: dict[str, WantedDevice] = {}
    for name, wanted in settings.devices.items():
        named |= dict.fromkeys(auto_wishes(devices) if name == "auto" else (name,), wanted)
    return named


def wishes_of(
    named: Mapping[str, WantedDevice],
    devices: Sequence[Device],
    runs: Mapping[DeviceKind, ModelRun],
    overheads: Mapping[str, int],
) -> dict[str, DeviceWish]:
    """Return the same as numbers; `threads: auto` is what `runs` says for that kind of device, else 1; `overheads` are
    those that were measured, by the device's name, in MiB."""
    names = {key: device.name for device in devices for key in (device.name, device.uuid)}
    kinds = {name: device.kind for device in devices for name in (device.name, device.uuid)}
    return {
        name: DeviceWish(
            workers=wanted.workers if isinstance(wanted.workers, int) else None,
            threads=_threads_of(wanted, runs.get(kinds[name]) if name in kinds else None),
            memory_mode=MemoryMode(wanted.memory.mode),
            fraction=wanted.memory.fraction,
            reserve_mib=wanted.memory.reserve_mib,
            spare=wanted.spare,
            overhead_mib=wanted.memory.overhead_mib if isinstance(wanted.memory.overhead_mib, int) else None,
            measured_overhead_mib=overheads.get(names.get(name, "")),
        )
        for name, wanted in named.items()
    }


def _threads_of(wanted: WantedDevice, run: ModelRun | None) -> int:
    """Return the threads of a worker; a device that is not there is named by whoever plans the workers."""
    if isinstance(wanted.threads, int):
        return wanted.threads
    return run.threads if run else 1
