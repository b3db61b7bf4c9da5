"""Finding devices (recorded inventories, a child that hangs, the kernel's files) and planning workers on them."""

import json
import os
import sys
import time
from functools import partial
from types import SimpleNamespace

import pytest

from daemon.devices import (
    Device,
    DeviceKind,
    DeviceWish,
    FoundDevices,
    InventoryError,
    Plan,
    Unplannable,
    auto_wishes,
    find_devices,
    plan_workers,
    run_inventory,
)
from daemon.inventory import Gpu, Inventory, read_inventory
from daemon.quota import Basis, Denied, DeviceMemory, Granted, MemoryMode, Quota, admit

GTX_1080 = (
    '{"gpus":[{"index":0,"uuid":"GPU-f5a6c6d1-2f0e-4c6b-8f0a-6f6d7c5f7a11","name":"NVIDIA GeForce GTX 1080",'
    '"total_mib":8192,"used_mib":310}],"problems":[]}'
)
TWO = (
    '{"gpus":[{"index":0,"uuid":"GPU-aaaa","name":"NVIDIA L4","total_mib":23034,"used_mib":4},'
    '{"index":1,"uuid":"GPU-bbbb","name":"NVIDIA L4","total_mib":23034,"used_mib":9000}],"problems":[]}'
)
LOST = '{"gpus":[],"problems":["gpu-0: GPU is lost"]}'

MEMINFO = "MemTotal:       16384000 kB\nMemFree:         1000000 kB\n"

GPU_0 = Device("gpu-0", DeviceKind.GPU, "GPU-aaaa", 8192)
GPU_1 = Device("gpu-1", DeviceKind.GPU, "GPU-bbbb", 8192, foreign_mib=3000)
CPU = Device("cpu", DeviceKind.CPU, "", 16000, cores=4)


@pytest.fixture
def host(tmp_path):
    """``find_devices`` on a machine made of files; cgroup files are added by ``write``."""
    (tmp_path / "meminfo").write_text(MEMINFO)

    def write(path, text):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def find(inventory="{}", cores=4):
        return find_devices(
            inventory if callable(inventory) else inventory.encode,
            affinity=range(cores),
            meminfo_path=tmp_path / "meminfo",
            proc_cgroup_path=tmp_path / "cgroup",
            cgroup_root=tmp_path / "fs",
        )

    return SimpleNamespace(write=write, find=find)


def python(code):
    return (sys.executable, "-c", code)


# --- finding ---------------------------------------------------------------------------------------------------------


def test_one_gpu_and_always_the_cpu(host):
    found = host.find(GTX_1080)
    assert found.devices == (
        Device("gpu-0", DeviceKind.GPU, "GPU-f5a6c6d1-2f0e-4c6b-8f0a-6f6d7c5f7a11", 8192, foreign_mib=310),
        Device("cpu", DeviceKind.CPU, "", 16000, cores=4, core_ids=(0, 1, 2, 3)),
    )
    assert found.notices == ()


@pytest.mark.parametrize(
    ("core_ids", "cores", "parts", "expected"),
    [
        ((0, 1, 2, 3), 4, 2, [(8000, 2, (0, 1)), (8000, 2, (2, 3))]),
        ((1, 5, 7), 3, 2, [(8000, 1, (1,)), (8000, 1, (5, 7))]),
        ((0, 1, 2, 3), 2, 2, [(8000, 1, (0, 1)), (8000, 1, (2, 3))]),  # a group's limit lets it use two of the four
        ((0, 1), 2, 1, [(16000, 2, (0, 1))]),
        ((0, 1), 2, 3, [(5333, 1, (0,)), (5333, 1, (0,)), (5333, 1, (1,))]),
        ((3,), 1, 2, [(8000, 1, (3,)), (8000, 1, (3,))]),
    ],
)
def test_the_cpu_is_divided_into_equal_parts(core_ids, cores, parts, expected):
    cpu = Device("cpu", DeviceKind.CPU, "", 16000, cores=cores, core_ids=core_ids)
    divided = FoundDevices((GPU_0, cpu), ("a notice",)).divided(parts)
    gpu, *rest = divided.devices
    assert (gpu, divided.notices) == (GPU_0, ("a notice",))
    assert [device.name for device in rest] == [f"cpu:{part}" for part in range(parts)]
    assert [(device.total_mib, device.cores, device.core_ids) for device in rest] == expected


def test_the_cpu_stays_whole_where_no_part_is_named():
    found = FoundDevices((GPU_0, CPU))
    assert found.divided(0) is found


def test_two_gpus(host):
    assert [(d.name, d.uuid, d.foreign_mib) for d in host.find(TWO).devices] == [
        ("gpu-0", "GPU-aaaa", 4),
        ("gpu-1", "GPU-bbbb", 9000),
        ("cpu", "", 0),
    ]


def test_no_gpu_is_no_notice(host):
    found = host.find('{"gpus":[],"problems":[]}')
    assert [device.name for device in found.devices] == ["cpu"]
    assert found.notices == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "[]",
        '{"gpus":[{"index":0}]}',
        GTX_1080.replace("8192", "-8192"),
        GTX_1080.replace("GPU-f5", "GPU f5"),
        GTX_1080.replace("GPU-f5", "GPU\\u0000f5"),
        GTX_1080.replace('"total_mib"', '"total"'),
        GTX_1080[:-5],
    ],
)
def test_garbage_is_a_notice_and_the_cpu_remains(host, text):
    found = host.find(text)
    assert [device.name for device in found.devices] == ["cpu"]
    assert len(found.notices) == 1
    assert found.notices[0].startswith("no GPU is used: the inventory of GPUs is not to be understood")


def test_a_lost_gpu_is_a_notice(host):
    found = host.find(LOST)
    assert [device.name for device in found.devices] == ["cpu"]
    assert found.notices == ("gpu-0: GPU is lost",)


@pytest.mark.slow
def test_a_child_that_hangs_is_killed_and_the_cpu_remains(host, tmp_path):
    pid_file = tmp_path / "pid"
    command = ("sh", "-c", f"trap '' TERM; echo $$ >{pid_file}; exec sleep 60")
    started = time.monotonic()
    found = host.find(partial(run_inventory, command=command, deadline_s=1))
    assert time.monotonic() - started < 5
    assert found.notices == ("no GPU is used: the inventory of GPUs gave no answer within 1 s",)
    assert [device.name for device in found.devices] == ["cpu"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_what_the_child_leaves_behind_does_not_delay():
    # The grandchild holds the output open until its own input, a pipe of ours, closes.
    read_end, write_end = os.pipe()
    script = f"echo '{{}}'; cat </proc/{os.getpid()}/fd/{read_end} &"
    try:
        assert run_inventory(command=("sh", "-c", script), deadline_s=5) == b"{}\n"
    finally:
        os.close(write_end)
        os.close(read_end)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (python("raise SystemExit(3)"), "ended with code 3"),
        (python("import os; os.abort()"), "ended with code -6"),
        (("/no/such/program",), "cannot start"),
    ],
)
def test_a_child_that_fails_is_a_typed_error(command, message):
    with pytest.raises(InventoryError, match=message):
        run_inventory(command=command)


def test_a_child_that_talks_without_end_is_cut_off():
    code = "import sys; sys.stdout.write('x' * (3 << 20))"
    assert len(run_inventory(command=python(code))) == 1 << 20


def test_the_real_inventory_answers_on_this_machine():
    document = json.loads(run_inventory(own_pids=(1, 2)))
    assert set(document) == {"gpus", "problems", "used_mib_by_pid"}


@pytest.mark.parametrize(
    ("files", "total_mib"),
    [
        ({}, 16000),
        ({"cgroup": "0::/\n"}, 16000),
        ({"cgroup": "0::/a/b\n", "fs/a/b/memory.max": "max\n"}, 16000),
        ({"cgroup": "0::/a/b\n", "fs/a/b/memory.max": f"{4 << 30}\n"}, 4096),
        ({"cgroup": "0::/a/b\n", "fs/a/b/memory.max": "max\n", "fs/a/memory.max": f"{2 << 30}\n"}, 2048),
        ({"cgroup": "0::/x\n", "fs/memory.max": f"{1 << 30}\n"}, 1024),  # a container: its root is the host's group
        ({"cgroup": "0::/../../y\n", "fs/memory.max": f"{1 << 30}\n"}, 1024),
        ({"cgroup": "4:memory:/a\n0::/\n", "fs/memory/a/memory.limit_in_bytes": f"{3 << 30}\n"}, 3072),
        ({"cgroup": "4:memory:/a\n", "fs/memory/memory.limit_in_bytes": "9223372036854771712\n"}, 16000),
        ({"cgroup": "0::/a\n", "fs/unified/a/memory.max": f"{3 << 30}\n"}, 3072),
        ({"cgroup": "1:cpu:/a\n", "fs/cpu/a/memory.limit_in_bytes": "4096\n"}, 16000),
        ({"cgroup": "0::/a\n", "fs/a/memory.max": f"{64 << 30}\n"}, 16000),
    ],
)
def test_memory_is_the_least_of_machine_and_cgroups(host, files, total_mib):
    for path, text in files.items():
        host.write(path, text)
    assert host.find().devices[-1].total_mib == total_mib


@pytest.mark.parametrize(
    ("cpu_max", "cores"), [("max 100000", 4), ("200000 100000", 2), ("50000 100000", 1), ("x", 4), ("800000 100000", 4)]
)
def test_cores_are_the_least_of_affinity_and_cgroup(host, cpu_max, cores):
    host.write("cgroup", "0::/a\n")
    host.write("fs/a/cpu.max", cpu_max)
    assert host.find(cores=4).devices[-1].cores == cores


def test_this_machine_has_a_cpu_and_memory():
    cpu = find_devices(lambda: b"{}").devices[-1]
    assert (cpu.name, cpu.kind) == ("cpu", DeviceKind.CPU)
    assert cpu.cores >= 1
    assert cpu.total_mib > 100


# --- NVML ------------------------------------------------------------------------------------------------------------


class FakeNvml:
    """As much of ``pynvml`` as the inventory uses; a GPU that is None is lost."""

    NVML_ERROR_LIBRARY_NOT_FOUND = 12
    NVML_ERROR_DRIVER_NOT_LOADED = 9
    NVML_DEVICE_MIG_ENABLE = 1

    class NVMLError(Exception):
        def __init__(self, value):
            super().__init__({15: "GPU is lost", 18: "Driver/library version mismatch"}.get(value, "error"))
            self.value = value

    def __init__(self, gpus=(), init_error=None):
        self.gpus, self.init_error, self.is_open = gpus, init_error, False

    def nvmlInit(self):  # noqa: N802 - NVML's names
        if self.init_error is not None:
            raise self.NVMLError(self.init_error)
        self.is_open = True

    def nvmlShutdown(self):  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if self.gpus[index] is None:
            raise self.NVMLError(15)
        return self.gpus[index]

    def nvmlDeviceGetMemoryInfo(self, gpu):  # noqa: N802
        return SimpleNamespace(total=gpu["total"], free=gpu["free"])

    def nvmlDeviceGetComputeRunningProcesses(self, gpu):  # noqa: N802
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in gpu["processes"].items()]

    def nvmlDeviceGetMigMode(self, gpu):  # noqa: N802
        if "mig" not in gpu:
            raise self.NVMLError(3)
        return [gpu["mig"], gpu["mig"]]

    def nvmlDeviceGetUUID(self, gpu):  # noqa: N802
        return gpu["uuid"]

    def nvmlDeviceGetName(self, gpu):  # noqa: N802
        return "NVIDIA L4"


L4 = {
    "uuid": "GPU-a",
    "total": 8192 << 20,
    "free": 5000 << 20,
    "processes": {10: 2000 << 20, 11: 900 << 20, 12: None},
}


@pytest.mark.parametrize(("own_pids", "used_mib"), [((), 3192), ((10,), 1192), ((10, 11, 12, 13), 292)])
def test_our_own_workers_are_not_foreign(own_pids, used_mib):
    nvml = FakeNvml((L4,))
    held = {pid: mib for pid, mib in {10: 2000, 11: 900}.items() if pid in own_pids}
    assert read_inventory(nvml, own_pids) == Inventory((Gpu(0, "GPU-a", "NVIDIA L4", 8192, used_mib),), (), held)
    assert not nvml.is_open


def test_a_gpu_that_does_not_answer_leaves_the_others():
    found = read_inventory(FakeNvml((None, L4)))
    assert [gpu.index for gpu in found.gpus] == [1]
    assert found.problems == ("gpu-0: GPU is lost",)


def test_a_gpu_in_slices_is_a_problem_and_not_used():
    found = read_inventory(FakeNvml((L4 | {"mig": 1}, L4 | {"mig": 0})))
    assert [gpu.index for gpu in found.gpus] == [1]
    assert found.problems == ("gpu-0: MIG is on, and its slices are not supported; switch it off: nvidia-smi -mig 0",)


@pytest.mark.parametrize(("error", "problems"), [(12, ()), (9, ()), (18, ("NVML: Driver/library version mismatch",))])
def test_only_a_driver_that_is_there_can_be_a_problem(error, problems):
    assert read_inventory(FakeNvml(init_error=error)) == Inventory(problems=problems)


# --- planning --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wishes", "mosaics", "plan"),
    [
        # the CPU: one worker a core, no more than mosaics, memory in equal shares
        (
            {"cpu": DeviceWish()},
            8,
            [("w1", "cpu", 3872), ("w2", "cpu", 3872), ("w3", "cpu", 3872), ("w4", "cpu", 3872)],
        ),
        ({"cpu": DeviceWish()}, 2, [("w1", "cpu", 7744), ("w2", "cpu", 7744)]),
        ({"cpu": DeviceWish(threads=2)}, 8, [("w1", "cpu", 7744), ("w2", "cpu", 7744)]),
        ({"cpu": DeviceWish(threads=64)}, 8, [("w1", "cpu", 15488)]),
        ({"cpu": DeviceWish()}, 0, [("w1", "cpu", 15488)]),
        ({"cpu": DeviceWish(fraction=0.4)}, 8, [("w1", "cpu", 6400), ("w2", "cpu", 6400)]),
        ({"cpu": DeviceWish(memory_mode=MemoryMode.GROWTH, workers=1)}, 8, [("w1", "cpu", None)]),
        # a GPU: by the fraction, as many as fit with their overhead
        ({"gpu-0": DeviceWish()}, 8, [("w1", "gpu-0", 2048), ("w2", "gpu-0", 2048)]),
        ({"GPU-aaaa": DeviceWish(fraction=0.1)}, 3, [("w1", "gpu-0", 819), ("w2", "gpu-0", 819), ("w3", "gpu-0", 819)]),
        ({"gpu-0": DeviceWish(workers=3)}, 1, [("w1", "gpu-0", 1960), ("w2", "gpu-0", 1960), ("w3", "gpu-0", 1960)]),
        ({"gpu-0": DeviceWish(memory_mode=MemoryMode.ALL)}, 8, [("w1", "gpu-0", 7080)]),
        ({"gpu-0": DeviceWish(memory_mode=MemoryMode.GROWTH)}, 8, [("w1", "gpu-0", None)]),
        # several devices, in the order of the wishes
        (
            {"gpu-1": DeviceWish(workers=1, fraction=0.4), "GPU-aaaa": DeviceWish(workers=1, fraction=0.5)},
            8,
            [("w1", "gpu-1", 3276), ("w2", "gpu-0", 4096)],
        ),
    ],
)
def test_plan(wishes, mosaics, plan):
    planned = plan_workers((GPU_0, GPU_1, CPU), wishes, mosaics=mosaics)
    assert isinstance(planned, Plan)
    assert [(worker.name, worker.device.name, worker.limit_mib) for worker in planned.workers] == plan
    assert planned.warnings == ()


@pytest.mark.parametrize(
    ("device", "wish", "limit_mib", "spares"),
    [
        # the CPU: shares become smaller, so that it fits
        (CPU, DeviceWish(2, spare=True), 5162, [False, False, True]),
        (CPU, DeviceWish(spare=True), 3097, [False, False, False, False, True]),
        (CPU, DeviceWish(2, fraction=0.3, spare=True), 4800, [False, False, True]),
        # a GPU: there is room, or one of those that fit is the spare
        (GPU_0, DeviceWish(1, fraction=0.25, spare=True), 2048, [False, True]),
        (GPU_0, DeviceWish(2, spare=True), 1960, [False, False, True]),
        (GPU_0, DeviceWish(spare=True), 2048, [False, True]),
    ],
)
def test_a_spare_is_one_worker_more_that_counts(device, wish, limit_mib, spares):
    planned = plan_workers((device,), {device.name: wish}, mosaics=8)
    assert isinstance(planned, Plan)
    assert [worker.is_spare for worker in planned.workers] == spares
    assert {worker.limit_mib for worker in planned.workers} == {limit_mib}
    assert planned.warnings == ()


@pytest.mark.parametrize(
    ("wish", "warning"),
    [
        (
            DeviceWish(2, fraction=0.25, spare=True),
            "device gpu-0: there is no room for a spare: 3 workers of 0.25 of 8192 MiB need 8456 MiB (each 2048 + 600 "
            "overhead, reserve 512), but 8192 MiB are free (foreign processes hold 0); the largest fraction that fits "
            "is 0.23",
        ),
        (
            DeviceWish(1, memory_mode=MemoryMode.ALL, spare=True),
            "device gpu-0: there is no room for a spare: 2 workers with memory mode all on 8192 MiB need 15872 MiB "
            "(each 7080 + 600 overhead, reserve 512), but 8192 MiB are free (foreign processes hold 0); the largest "
            "fraction that fits is 0.39",
        ),
    ],
)
def test_without_room_for_a_spare_the_others_run_and_a_warning_says_so(wish, warning):
    planned = plan_workers((GPU_0,), {"gpu-0": wish}, mosaics=8)
    assert isinstance(planned, Plan)
    assert [worker.is_spare for worker in planned.workers] == [False] * wish.workers
    assert planned.warnings == (warning,)


def test_threads_and_mode_reach_the_worker():
    planned = plan_workers((CPU,), {"cpu": DeviceWish(1, 3, MemoryMode.ALL)}, mosaics=8)
    assert [(w.threads, w.memory_mode) for w in planned.workers] == [(3, MemoryMode.ALL)]


def test_several_growing_workers_are_planned_with_a_warning():
    planned = plan_workers((GPU_0,), {"gpu-0": DeviceWish(3, memory_mode=MemoryMode.GROWTH)}, mosaics=8)
    assert len(planned.workers) == 3
    assert planned.warnings == (
        "device gpu-0: 3 workers share the memory without a limit, so one can starve the others; set a fraction",
    )


def test_the_quota_of_each_device_is_told():
    wishes = {"GPU-bbbb": DeviceWish(workers=1, fraction=0.4), "cpu": DeviceWish(workers=2)}
    memories = {"gpu-1": DeviceMemory(8192, 3000), "cpu": DeviceMemory(16000, overhead_mib=0)}
    planned = plan_workers((GPU_0, GPU_1, CPU), wishes, mosaics=8)
    assert planned.quotas == (
        Quota("gpu-1", MemoryMode.FRACTION, memories["gpu-1"], admit(memories["gpu-1"], MemoryMode.FRACTION, 1, 0.4)),
        Quota("cpu", MemoryMode.FRACTION, memories["cpu"], admit(memories["cpu"], MemoryMode.FRACTION, 2)),
    )


@pytest.mark.parametrize(
    ("wish", "workers"),
    [
        (DeviceWish(), 2),
        (DeviceWish(overhead_mib=300), 3),
        (DeviceWish(overhead_mib=0, reserve_mib=0), 4),
        (DeviceWish(reserve_mib=3000), 1),
    ],
)
def test_overhead_and_reserve_that_are_set_count(wish: DeviceWish, workers: int):
    planned = plan_workers((GPU_0,), {"gpu-0": wish}, mosaics=8)
    assert len(planned.workers) == workers


@pytest.mark.parametrize(
    ("wish", "workers", "warning"),
    [
        (DeviceWish(3, fraction=0.23, measured_overhead_mib=500), 3, ""),
        (
            DeviceWish(3, fraction=0.23, measured_overhead_mib=700),
            2,
            "device gpu-0: 3 workers are wanted, but there is room for 2: each takes 700 MiB beyond its limit, as was "
            "measured; give a smaller memory.fraction, or fewer workers",
        ),
        (DeviceWish(measured_overhead_mib=2000), 1, ""),
        (DeviceWish(3, measured_overhead_mib=700), 3, ""),
    ],
)
def test_a_measured_overhead_counts_and_leaves_as_many_as_fit(wish: DeviceWish, workers: int, warning: str):
    planned = plan_workers((GPU_0,), {"gpu-0": wish}, mosaics=8)
    assert isinstance(planned, Plan)
    assert len(planned.workers) == workers
    assert planned.warnings == ((warning,) if warning else ())
    assert planned.quotas[0].basis is Basis.MEASURED
    assert planned.quotas[0].memory.overhead_mib == wish.measured_overhead_mib


@pytest.mark.parametrize(
    "wish",
    [
        DeviceWish(3, fraction=0.3, measured_overhead_mib=700),  # refused by what is assumed too
        DeviceWish(3, fraction=0.23, overhead_mib=700, measured_overhead_mib=500),  # what is set counts
        DeviceWish(1, fraction=0.8, measured_overhead_mib=2000),  # not even one
    ],
)
def test_what_is_wrong_without_a_measurement_is_refused_with_one(wish: DeviceWish):
    assert isinstance(plan_workers((GPU_0,), {"gpu-0": wish}, mosaics=8), Unplannable)


def test_all_problems_are_named_at_once():
    wishes = {
        "gpu-7": DeviceWish(),
        "gpu-0": DeviceWish(workers=3, fraction=0.3),
        "GPU-aaaa": DeviceWish(),
        "gpu-1": DeviceWish(workers=0, threads=0, fraction=1.5),
        "cpu": DeviceWish(workers=1),
    }
    refused = plan_workers((GPU_0, GPU_1, CPU), wishes, mosaics=8)
    assert isinstance(refused, Unplannable)
    assert refused.problems == (
        "device gpu-7 was not found; there are: gpu-0 (GPU-aaaa), gpu-1 (GPU-bbbb), cpu",
        "device gpu-0: 3 workers of 0.30 of 8192 MiB need 9683 MiB (each 2457 + 600 overhead, reserve 512), but "
        "8192 MiB are free (foreign processes hold 0); the largest fraction that fits is 0.23",
        "device GPU-aaaa is the same as gpu-0; name it once",
        "device gpu-1: workers must be at least 1, not 0",
        "device gpu-1: threads must be at least 1, not 0",
        "device gpu-1: fraction must be over 0 and at most 1, not 1.5",
    )
    assert [(quota.device, type(quota.decision)) for quota in refused.quotas] == [("gpu-0", Denied), ("cpu", Granted)]


def test_one_worker_that_does_not_fit_is_a_problem_even_when_the_number_is_left_to_us():
    small = Device("gpu-0", DeviceKind.GPU, "GPU-a", 2048, foreign_mib=900)
    refused = plan_workers((small,), {"gpu-0": DeviceWish()}, mosaics=8)
    assert isinstance(refused, Unplannable)
    assert refused.problems[0].startswith("device gpu-0: 1 worker of 0.25 of 2048 MiB need")


def test_no_wish_is_a_problem():
    assert plan_workers((CPU,), {}, mosaics=8) == Unplannable(("no device is named, so nothing could run",))


@pytest.mark.parametrize(
    ("devices", "named"), [((GPU_0, GPU_1, CPU), ["gpu-0", "gpu-1"]), ((GPU_0, CPU), ["gpu-0"]), ((CPU,), ["cpu"])]
)
def test_auto_takes_the_gpus_or_else_the_cpu(devices, named):
    assert list(auto_wishes(devices)) == named
