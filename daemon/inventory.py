"""Lists the NVIDIA GPUs as one JSON document: ``python -P -m daemon.inventory [--every SECONDS] [PID ...]``.

A process of its own, because NVML can hang for ever when a GPU is lost; :mod:`daemon.devices` starts it with a deadline
and kills it. The memory held by the given processes (our own workers) does not count as foreign. Exits 0 with an empty
list where there is no NVIDIA driver. With ``--every`` it prints a document a line, again and again, until its parent
is gone (:mod:`daemon.devicewatch`).
"""

import os
import sys
import time
from collections.abc import Collection, Sequence
from typing import Annotated, Any

import msgspec

_MIB = 1 << 20
NVML_FAILED = "NVML: "
"""So begins the problem of an inventory that knows nothing of any GPU."""


class Gpu(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One GPU, as NVML numbers it."""

    index: Annotated[int, msgspec.Meta(ge=0)]
    uuid: Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9-]+\Z")]
    """It becomes part of a child's environment."""
    name: str
    total_mib: Annotated[int, msgspec.Meta(ge=0)]
    used_mib: Annotated[int, msgspec.Meta(ge=0)]
    """By foreign processes and the driver."""


class Inventory(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole document."""

    gpus: tuple[Gpu, ...] = ()
    problems: tuple[str, ...] = ()
    """One line for each GPU that is there but cannot be used."""
    used_mib_by_pid: dict[int, int] = {}
    """Of the given processes those that NVML knows, over all GPUs. It knows the host's process ids: in a container that
    has its own there is none."""


class MigError(Exception):
    """The GPU is divided."""


def read_inventory(nvml: Any, own_pids: Collection[int] = ()) -> Inventory:
    """Ask NVML (the module ``pynvml``, or a stand-in) for all GPUs. A GPU that does not answer is a problem."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        if error.value in (nvml.NVML_ERROR_LIBRARY_NOT_FOUND, nvml.NVML_ERROR_DRIVER_NOT_LOADED):
            return Inventory()
        return Inventory(problems=(f"{NVML_FAILED}{error}",))
    try:
        count = nvml.nvmlDeviceGetCount()
        gpus: list[Gpu] = []
        problems: list[str] = []
        used_bytes: dict[int, int] = {}
        for index in range(count):
            try:
                gpus.append(_read_gpu(nvml, index, own_pids, used_bytes))
            except (MigError, nvml.NVMLError) as error:
                problems.append(f"gpu-{index}: {error}")
        used_mib = {pid: -(-used // _MIB) for pid, used in used_bytes.items()}
        return Inventory(tuple(gpus), tuple(problems), used_mib)
    finally:
        nvml.nvmlShutdown()


def _read_gpu(nvml: Any, index: int, own_pids: Collection[int], used_by_pid: dict[int, int]) -> Gpu:
    """Adds to ``used_by_pid`` what those processes hold, in bytes. Raises MigError, NVML's errors."""
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    if _is_divided(nvml, handle):
        raise MigError("MIG is on, and its slices are not supported; switch it off: nvidia-smi -mig 0")
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    own_bytes = 0
    if own_pids:
        for process in nvml.nvmlDeviceGetComputeRunningProcesses(handle):
            if process.pid in own_pids and process.usedGpuMemory:
                own_bytes += process.usedGpuMemory
                used_by_pid[process.pid] = used_by_pid.get(process.pid, 0) + process.usedGpuMemory
    # What is not free counts as used: that includes what the driver keeps for itself.
    used_bytes = max(0, memory.total - memory.free - own_bytes)
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(handle),
        name=nvml.nvmlDeviceGetName(handle),
        total_mib=memory.total // _MIB,
        used_mib=-(-used_bytes // _MIB),
    )


def _is_divided(nvml: Any, handle: Any) -> bool:
    """Whether the GPU is in slices: a process that asks for it then gets one of them, with less memory."""
    try:
        current, _pending = nvml.nvmlDeviceGetMigMode(handle)
    except nvml.NVMLError:
        return False  # it has no such mode
    return bool(current == nvml.NVML_DEVICE_MIG_ENABLE)


def main(arguments: Sequence[str]) -> int:
    """Print the inventory, once or again and again."""
    import pynvml  # here, so that the daemon, which imports this file for its types, never loads it

    every_s, *pids = arguments[1:] if arguments[:1] == ["--every"] else ("0", *arguments)
    parent = os.getppid()
    while os.getppid() == parent:
        inventory = read_inventory(pynvml, own_pids=frozenset(map(int, pids)))
        sys.stdout.buffer.write(msgspec.json.encode(inventory) + b"\n")
        sys.stdout.buffer.flush()
        if float(every_s) <= 0.0:
            break
        time.sleep(float(every_s))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
