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
        for index in range(count):
            try:
                gpus.append(_read_gpu(nvml, index, own_pids))
            except nvml.NVMLError as error:
                problems.append(f"gpu-{index}: {error}")
        return Inventory(tuple(gpus), tuple(problems))
    finally:
        nvml.nvmlShutdown()


def _read_gpu(nvml: Any, index: int, own_pids: Collection[int]) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    own_bytes = 0
    if own_pids:
        processes = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
        own_bytes = sum(process.usedGpuMemory or 0 for process in processes if process.pid in own_pids)
    # What is not free counts as used: that includes what the driver keeps for itself.
    used_bytes = max(0, memory.total - memory.free - own_bytes)
    return Gpu(
        index=index,
        uuid=nvml.nvmlDeviceGetUUID(handle),
        name=nvml.nvmlDeviceGetName(handle),
        total_mib=memory.total // _MIB,
        used_mib=-(-used_bytes // _MIB),
    )


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
