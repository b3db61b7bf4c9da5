"""Which devices there are, and which workers they get.

Finding is shell: it starts :mod:`daemon.inventory` with a deadline and reads the kernel's files. Planning
(:func:`plan_workers`) is pure. Must not know settings files: another part turns them into :class:`DeviceWish`.
"""

import math
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from daemon.cgroup import PROC_CGROUP, ROOT, folders
from daemon.inventory import Inventory
from daemon.quota import (
    CPU_OVERHEAD_MIB,
    GPU_OVERHEAD_MIB,
    RESERVE_MIB,
    Basis,
    Denied,
    DeviceMemory,
    Granted,
    MemoryMode,
    Quota,
    admit,
)

DEFAULT_GPU_FRACTION = 0.25

INVENTORY_COMMAND = (sys.executable, "-P", "-m", "daemon.inventory")

_MAX_INVENTORY_BYTES = 1 << 20
_KILL_DEADLINE_S = 1.0
_MIB = 1 << 20


class DeviceKind(StrEnum):
    """What executes a model."""

    CPU = "cpu"
    GPU = "gpu"


DEFAULT_OVERHEAD_MIB = {DeviceKind.CPU: CPU_OVERHEAD_MIB, DeviceKind.GPU: GPU_OVERHEAD_MIB}
"""Of a worker, until it has been measured."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU, or the CPU with the memory we may use."""

    name: str
    """``cpu``, a part of it (``cpu:0``, ``cpu:1``, ...), or ``gpu-<index>``."""
    kind: DeviceKind
    uuid: str
    """Empty for the CPU."""
    total_mib: int
    foreign_mib: int = 0
    """Held by processes that are not ours; 0 for the CPU, where it changes from moment to moment."""
    cores: int = 0
    """That we may use; 0 for a GPU."""
    core_ids: tuple[int, ...] = ()
    """Which those are; its workers run nowhere else. Empty for a GPU."""


@dataclass(frozen=True, slots=True)
class FoundDevices:
    """All that was found, GPUs first; the CPU is always there."""

    devices: tuple[Device, ...]
    notices: tuple[str, ...] = ()
    """What went wrong while looking."""

    def divided(self, parts: int) -> "FoundDevices":
        """Return the same with the CPU in so many equal parts, each with its cores and its share of the memory.

        Where there are fewer cores than parts, some share one. 0 leaves it whole.
        """
        if not parts:
            return self
        *gpus, cpu = self.devices
        ids = cpu.core_ids
        divided = (
            replace(
                cpu,
                name=f"{cpu.name}:{part}",
                total_mib=cpu.total_mib // parts,
                cores=max(1, cpu.cores // parts),
                core_ids=ids[part * len(ids) // parts : (part + 1) * len(ids) // parts] or ids[part % len(ids) :][:1],
            )
            for part in range(parts)
        )
        return FoundDevices((*gpus, *divided), self.notices)


@dataclass(frozen=True, slots=True)
class DeviceWish:
    """What the settings want on one device."""

    workers: int | None = None
    """None: as many as make sense and fit."""
    threads: int = 1
    memory_mode: MemoryMode = MemoryMode.FRACTION
    fraction: float | None = None
    """None: an equal share of what is left after overhead and reserve."""
    reserve_mib: int = RESERVE_MIB
    overhead_mib: int | None = None
    """Of each worker, set by a person; None: what was measured, else the default for this kind of device."""
    measured_overhead_mib: int | None = None
    """Of workers with this model here before (:mod:`daemon.overhead`); None: not yet."""
    spare: bool = False
    """Whether a spare worker is wanted as well, if there is room for it."""


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """One worker that is to run."""

    name: str
    """``w1``, ``w2``, ..."""
    device: Device
    threads: int
    memory_mode: MemoryMode
    limit_mib: int | None
    is_spare: bool = False
    """It has no mosaics of its own: loaded, it waits for another to die."""


@dataclass(frozen=True, slots=True)
class Plan:
    """All wishes can be met."""

    workers: tuple[WorkerPlan, ...]
    warnings: tuple[str, ...] = ()
    quotas: tuple[Quota, ...] = ()
    """One a device, in the order of the wishes."""


@dataclass(frozen=True, slots=True)
class Unplannable:
    """Some wishes cannot be met; each problem is one line for a person."""

    problems: tuple[str, ...]
    quotas: tuple[Quota, ...] = ()
    """Of the devices that are there and wanted with numbers that make sense."""


class InventoryError(Exception):
    """The GPUs could not be listed."""


def run_inventory(
    own_pids: Collection[int] = (),
    *,
    environ: Mapping[str, str] | None = None,
    command: Sequence[str] = INVENTORY_COMMAND,
    deadline_s: float = 10.0,
) -> bytes:
    """Run the inventory as a child and give what it printed; blocks for at most the deadline and a second.

    ``environ``: the child's whole environment; this process's when None. Its output goes into a memory file, not a
    pipe, so that nothing that it leaves behind can keep us waiting.
    Raises :class:`InventoryError`.
    """
    with os.fdopen(os.memfd_create("inventory", os.MFD_CLOEXEC), "w+b") as output:
        try:
            child = subprocess.Popen(
                [*command, *map(str, own_pids)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.DEVNULL,
                env=environ,
            )
        except OSError as error:
            raise InventoryError(f"cannot start the inventory of GPUs: {error}") from error
        try:
            code = child.wait(deadline_s)
        except subprocess.TimeoutExpired as error:
            child.kill()
            # One stuck in the driver is out of any signal's reach; the subprocess module reaps it if it ever ends.
            with suppress(subprocess.TimeoutExpired):
                child.wait(_KILL_DEADLINE_S)
            raise InventoryError(f"the inventory of GPUs gave no answer within {deadline_s:g} s") from error
        if code != 0:
            raise InventoryError(f"the inventory of GPUs ended with code {code}")
        output.seek(0)
        return output.read(_MAX_INVENTORY_BYTES)


def find_devices(
    inventory: Callable[[], bytes] = run_inventory,
    *,
    affinity: Collection[int] | None = None,
    meminfo_path: Path = Path("/proc/meminfo"),
    proc_cgroup_path: Path = PROC_CGROUP,
    cgroup_root: Path = ROOT,
) -> FoundDevices:
    """Look for devices. Never fails for a GPU's sake: what goes wrong there is a notice, and the CPU remains.

    ``affinity``: the cores that this process may run on (``os.sched_getaffinity(0)`` when None). Raises ``OSError`` or
    ``ValueError`` if ``meminfo_path`` cannot be read.
    """
    notices: tuple[str, ...] = ()
    gpus: tuple[Device, ...] = ()
    try:
        found = msgspec.json.decode(inventory(), type=Inventory)
    except InventoryError as error:
        notices = (f"no GPU is used: {error}",)
    except msgspec.DecodeError as error:
        notices = (f"no GPU is used: the inventory of GPUs is not to be understood: {error}",)
    else:
        notices = found.problems
        gpus = tuple(
            Device(f"gpu-{gpu.index}", DeviceKind.GPU, gpu.uuid, gpu.total_mib, gpu.used_mib) for gpu in found.gpus
        )
    cgroup = proc_cgroup_path.read_text() if proc_cgroup_path.exists() else ""
    total_mib = _total_memory_bytes(meminfo_path.read_text())
    for folder in folders(cgroup, cgroup_root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            total_mib = min(total_mib, _read_limit(folder / name))
    core_ids = tuple(sorted(os.sched_getaffinity(0) if affinity is None else affinity))
    cores = float(len(core_ids))
    for folder in folders(cgroup, cgroup_root, "cpu"):
        cores = min(cores, _read_cpu_limit(folder / "cpu.max"))
    cpu = Device("cpu", DeviceKind.CPU, "", int(total_mib) // _MIB, cores=max(1, math.floor(cores)), core_ids=core_ids)
    return FoundDevices((*gpus, cpu), notices)


def auto_wishes(devices: Sequence[Device]) -> dict[str, DeviceWish]:
    """What ``devices: auto`` means: every GPU at the default fraction, or the CPU where there is no GPU."""
    gpus = [device for device in devices if device.kind is DeviceKind.GPU]
    return {device.name: DeviceWish() for device in gpus or devices}


def plan_workers(
    devices: Sequence[Device],
    wishes: Mapping[str, DeviceWish],
    *,
    mosaics: int,
) -> Plan | Unplannable:
    """Decide which workers run where, in the order of the wishes, or name everything that stands against it. Pure.

    Wishes are by device name (``cpu``, ``gpu-0``) or UUID.
    """
    by_id = {device.name: device for device in devices} | {device.uuid: device for device in devices if device.uuid}
    workers: list[WorkerPlan] = []
    warnings: list[str] = []
    quotas: list[Quota] = []
    problems: list[str] = [] if wishes else ["no device is named, so nothing could run"]
    taken: dict[str, str] = {}
    for wanted, wish in wishes.items():
        device = by_id.get(wanted)
        if device is None:
            found = ", ".join(f"{d.name} ({d.uuid})" if d.uuid else d.name for d in devices)
            problems.append(f"device {wanted} was not found; there are: {found or 'none'}")
            continue
        if device.name in taken:
            problems.append(f"device {wanted} is the same as {taken[device.name]}; name it once")
            continue
        taken[device.name] = wanted
        if wrong := _wrong_numbers(wish):
            problems += [f"device {wanted}: {what}" for what in wrong]
            continue
        overhead_mib, basis = overhead_of(device, wish)
        memory = DeviceMemory(device.total_mib, device.foreign_mib, overhead_mib, wish.reserve_mib)
        decision = _admit_most(device, memory, wish, mosaics)
        if basis is Basis.MEASURED and isinstance(decision, Denied):
            decision = _admit_fewer(device, memory, wish, decision)
            if isinstance(decision, Granted):
                warnings.append(_fewer(wanted, wish, memory, decision))
        has_spare = False
        if wish.spare and isinstance(decision, Granted):
            with_spare = _admit_spare(device, memory, wish, decision)
            if isinstance(with_spare, Denied):
                warnings.append(f"device {wanted}: there is no room for a spare: {with_spare}")
            else:
                decision, has_spare = with_spare, True
        quotas.append(Quota(device.name, wish.memory_mode, memory, decision, basis))
        if isinstance(decision, Denied):
            problems.append(f"device {wanted}: {decision}")
            continue
        if decision.warning:
            warnings.append(f"device {wanted}: {decision.warning}")
        for number in range(1, decision.workers + 1):
            is_spare = has_spare and number == decision.workers
            name = f"w{len(workers) + 1}"
            workers.append(WorkerPlan(name, device, wish.threads, wish.memory_mode, decision.limit_mib, is_spare))
    if problems:
        return Unplannable(tuple(problems), tuple(quotas))
    return Plan(tuple(workers), tuple(warnings), tuple(quotas))


def overhead_of(device: Device, wish: DeviceWish) -> tuple[int, Basis]:
    """Return the overhead of a worker, in MiB, and where it is known from. Pure."""
    if wish.overhead_mib is not None:
        return wish.overhead_mib, Basis.SET
    if wish.measured_overhead_mib is not None:
        return wish.measured_overhead_mib, Basis.MEASURED
    return DEFAULT_OVERHEAD_MIB[device.kind], Basis.ASSUMED


def _wrong_numbers(wish: DeviceWish) -> list[str]:
    wrong = []
    if wish.workers is not None and wish.workers < 1:
        wrong.append(f"workers must be at least 1, not {wish.workers}")
    if wish.threads < 1:
        wrong.append(f"threads must be at least 1, not {wish.threads}")
    if wish.fraction is not None and not 0 < wish.fraction <= 1:
        wrong.append(f"fraction must be over 0 and at most 1, not {wish.fraction}")
    return wrong


def _admit_most(device: Device, memory: DeviceMemory, wish: DeviceWish, mosaics: int) -> Granted | Denied:
    """Admit the workers wished for, or, where their number is left to us, as many as make sense and fit."""
    if wish.workers is not None:
        return admit(memory, wish.memory_mode, wish.workers, wish.fraction)
    fraction = wish.fraction
    if device.kind is DeviceKind.CPU:
        most = device.cores // wish.threads
    else:
        fraction = fraction or DEFAULT_GPU_FRACTION
        most = int(1 / fraction + 1e-6)  # the summand is for fractions like 0.1, of which ten are not quite 1
    if wish.memory_mode is MemoryMode.ALL or (wish.memory_mode is MemoryMode.GROWTH and device.kind is DeviceKind.GPU):
        most = 1  # several would be refused, or starve each other
    decision = admit(memory, wish.memory_mode, max(1, min(most, mosaics)), fraction)
    while isinstance(decision, Denied) and decision.workers > 1:
        decision = admit(memory, wish.memory_mode, decision.workers - 1, fraction)
    return decision


def _admit_fewer(device: Device, memory: DeviceMemory, wish: DeviceWish, denied: Denied) -> Granted | Denied:
    """Admit as many as fit, where those wished for do not for their measured overhead alone: a daemon that ran must not
    refuse to start for what it has learnt."""
    assumed = replace(memory, overhead_mib=DEFAULT_OVERHEAD_MIB[device.kind])
    if isinstance(admit(assumed, wish.memory_mode, denied.workers, wish.fraction), Denied):
        return denied
    for workers in range(denied.workers - 1, 0, -1):
        decision = admit(memory, wish.memory_mode, workers, wish.fraction)
        if isinstance(decision, Granted):
            return decision
    return denied


def _fewer(wanted: str, wish: DeviceWish, memory: DeviceMemory, decision: Granted) -> str:
    return (
        f"device {wanted}: {wish.workers} workers are wanted, but there is room for {decision.workers}: each takes "
        f"{memory.overhead_mib} MiB beyond its limit, as was measured; give a smaller memory.fraction, or fewer workers"
    )


def _admit_spare(device: Device, memory: DeviceMemory, wish: DeviceWish, regular: Granted) -> Granted | Denied:
    """Admit one worker more; where their number is left to us and no more fit, the spare is one of those that do."""
    is_ours = wish.workers is None
    default = DEFAULT_GPU_FRACTION if is_ours and device.kind is DeviceKind.GPU else None
    decision = admit(memory, wish.memory_mode, regular.workers + 1, wish.fraction or default)
    return regular if isinstance(decision, Denied) and is_ours and regular.workers > 1 else decision


def _total_memory_bytes(meminfo: str) -> float:
    for line in meminfo.splitlines():
        if line.startswith("MemTotal:"):
            return float(line.split()[1]) * 1024
    raise ValueError("no MemTotal in meminfo")


def _read_limit(path: Path) -> float:
    """Bytes; infinite where there is no limit (v1 says so by a number that no machine has)."""
    try:
        return float(path.read_text())
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def _read_cpu_limit(path: Path) -> float:
    """Cores, from ``<quota|max> <period>``; infinite where there is no limit."""
    try:
        quota, period = path.read_text().split()
        return float(quota) / float(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf
