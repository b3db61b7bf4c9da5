"""What workers take beyond their limits: as the kernel shows it, as it is remembered, and what follows from it."""

import mmap
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.devices import Device, DeviceKind, DeviceWish, Plan, plan_workers
from daemon.overhead import (
    Consequence,
    Overhead,
    Subject,
    Watched,
    excess_mib,
    follow,
    is_growing,
    recall_each,
    remember,
    subject_of,
    uncounted_mib,
    watch_each,
)
from daemon.quota import Basis, MemoryMode

GPU = Device("gpu-0", DeviceKind.GPU, "GPU-aaaa", 8192)
CPU = Device("cpu", DeviceKind.CPU, "", 16000, cores=4)
SUBJECT = Subject("GPU-aaaa", "d1", "tensorflow", "float16")

SMAPS = """\
55d0c0000000-55d0c0021000 r--p 00000000 08:01 1234   /usr/bin/python3.11
Size:                132 kB
Pss:                2048 kB
Pss_Dirty:             0 kB
7f0000000000-7f0004000000 rw-p 00000000 00:00 0
Pss:               60000 kB
7f0010000000-7f0011000000 r-xp 00001000 08:01 77     /opt/lib with a space.so
Pss:                1000 kB
7f0012000000-7f0013000000 rw-p 00001000 08:01 77     /opt/lib with a space.so
Pss:                 500 kB
7f0020000000-7f0020400000 r--s 00000000 00:01 9      /memfd:slot (deleted)
Pss:                 700 kB
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0      [stack]
Pss:                  80 kB
VmFlags: rd wr mr mw me gd ac
"""


def test_what_is_private_and_writable_is_counted_already_and_all_else_is_not():
    assert uncounted_mib(SMAPS) == 4  # (2048 + 1000 + 700 + 80) KiB, rounded up
    assert uncounted_mib("") == 0


def data_kib() -> int:
    """This process's data, by the kernel's own count."""
    return int(re.search(r"VmData:\s+(\d+)", Path("/proc/self/status").read_text())[1])


def test_the_rest_is_what_the_kernel_counts():
    """This process's mappings that are taken for counted are VmData, to the page."""
    before_kib = data_kib()
    smaps = Path("/proc/self/smaps").read_text()
    counted_kib = sum(
        int(size)
        for permissions, path, size in re.findall(r"^\S+-\S+ (\S{4}) \S+ \S+ \S+ *(.*)\nSize: +(\d+) kB", smaps, re.M)
        if permissions.startswith(("rw", "-w")) and permissions.endswith("p") and path != "[stack]"
    )
    assert before_kib <= counted_kib <= data_kib(), "reading allocates a little"


def smaps_of_own() -> str:
    """This process's mappings but those of files: libraries are shared with processes that come and go."""
    mappings = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    return "".join(each for each in mappings if not re.match(r"(\S+ +){5}/(?!dev/zero)", each))


@pytest.mark.parametrize(("flags", "grows_mib"), [(mmap.MAP_SHARED, 32), (mmap.MAP_PRIVATE, 0)])
def test_shared_memory_is_overhead_and_ones_own_is_not(flags, grows_mib):
    before = uncounted_mib(smaps_of_own())
    with mmap.mmap(-1, 32 << 20, flags | mmap.MAP_ANONYMOUS) as pages:
        pages.write(b"x" * len(pages))
        after = uncounted_mib(smaps_of_own())
    assert after - before == pytest.approx(grows_mib, abs=2)


@pytest.mark.parametrize(("used", "limit", "excess"), [(2600, 2048, 552), (2000, 2048, 0), (2000, None, None)])
def test_on_a_gpu_it_is_what_nvml_shows_above_the_limit(used, limit, excess):
    assert excess_mib(used, limit) == excess


def test_it_is_remembered_by_all_that_it_depends_on():
    other = replace_subject(precision="float32")
    overheads = remember((Overhead(SUBJECT, 500), Overhead(other, 700)), Overhead(SUBJECT, 550))
    assert set(overheads) == {Overhead(SUBJECT, 550), Overhead(other, 700)}
    subjects = {"gpu-0": SUBJECT, "gpu-1": replace_subject(device="GPU-bbbb")}
    assert recall_each(overheads, subjects) == {"gpu-0": 550}


def replace_subject(**changes: str) -> Subject:
    fields = {name: getattr(SUBJECT, name) for name in SUBJECT.__struct_fields__}
    return Subject(**(fields | changes))


def test_parts_of_the_cpu_share_what_is_known_and_gpus_do_not():
    parts = [subject_of(replace(CPU, name=name), "d1", "openvino", "float32") for name in ("cpu", "cpu:0", "cpu:1")]
    assert len(set(parts)) == 1
    assert subject_of(GPU, "d1", "openvino", "float32").device == "GPU-aaaa"


def watched(device: Device, wish: DeviceWish, mosaics: int = 8) -> Watched:
    """The device as it was planned."""
    planned = plan_workers((device,), {device.uuid or device.name: wish}, mosaics=mosaics)
    assert isinstance(planned, Plan)
    [found] = watch_each(planned.workers, {device.uuid or device.name: wish}, {device.name: SUBJECT}, mosaics=mosaics)
    return found


@pytest.mark.parametrize(
    ("device", "wish", "mib", "retired"),
    [
        # three of 1884 and 600 each are 7964 of 8192 MiB: 76 more of each is the most
        (GPU, DeviceWish(3, fraction=0.23), 600, ()),
        (GPU, DeviceWish(3, fraction=0.23), 676, ()),
        (GPU, DeviceWish(3, fraction=0.23), 677, ("w3",)),
        (GPU, DeviceWish(3, fraction=0.23), 3000, ("w2", "w3")),
        # one that is there is better than none
        (GPU, DeviceWish(3, fraction=0.23), 9000, ("w2", "w3")),
        # their number is left to us
        (GPU, DeviceWish(), 2000, ("w2",)),
        # equal shares: the next start gives smaller ones
        (GPU, DeviceWish(3), 1500, ()),
        (CPU, DeviceWish(), 200, ()),
        (CPU, DeviceWish(2, fraction=0.45), 400, ()),
        (CPU, DeviceWish(2, fraction=0.45), 600, ("w2",)),
        # a spare goes first
        (GPU, DeviceWish(1, fraction=0.35, spare=True), 1000, ("w2",)),
        # set by a person, who is believed
        (GPU, DeviceWish(3, fraction=0.23, overhead_mib=600), 3000, ()),
        # smaller than before
        (GPU, DeviceWish(2, fraction=0.23, measured_overhead_mib=900), 700, ()),
    ],
)
def test_who_has_no_room_is_retired(device, wish, mib, retired):
    consequence = follow(watched(device, wish), mib)
    assert consequence.retired == retired
    assert bool(consequence.notice) is bool(retired)


def test_the_notice_has_the_figures_and_the_remedy():
    assert follow(watched(GPU, DeviceWish(3, fraction=0.23)), 700).notice == (
        "device gpu-0: a worker takes 700 MiB beyond its limit, not 600 as assumed, so that there is no room for w3, "
        "which is retired: give a smaller memory.fraction, or fewer workers"
    )
    known = DeviceWish(2, fraction=0.3, measured_overhead_mib=700)
    assert "not 700 as measured before" in follow(watched(GPU, known), 2000).notice


wishes = st.builds(
    DeviceWish,
    workers=st.none() | st.integers(1, 6),
    fraction=st.none() | st.floats(0.05, 0.5),
    spare=st.booleans(),
    measured_overhead_mib=st.none() | st.integers(0, 900),
)


@given(st.sampled_from((GPU, CPU)), wishes, st.integers(0, 20_000))
def test_whoever_stays_is_whom_the_next_start_plans(device, wish, mib):
    planned = plan_workers((device,), {device.name: wish}, mosaics=8)
    if not isinstance(planned, Plan):
        return
    [before] = watch_each(planned.workers, {device.name: wish}, {device.name: SUBJECT}, mosaics=8)
    consequence = follow(before, mib)
    assert before.workers[0].name not in consequence.retired
    if mib <= before.planned_mib:
        assert consequence == Consequence()
        return
    after = plan_workers((device,), {device.name: replace(wish, measured_overhead_mib=mib)}, mosaics=8)
    if isinstance(after, Plan):
        assert len(after.workers) <= len(before.workers)
        staying = [worker.name for worker in before.workers if worker.name not in consequence.retired]
        assert [worker.name for worker in after.workers] == staying
        assert after.quotas[0].basis is Basis.MEASURED
        # And then all is well.
        [again] = watch_each(
            after.workers, {device.name: replace(wish, measured_overhead_mib=mib)}, {device.name: SUBJECT}, mosaics=8
        )
        assert follow(again, mib) == Consequence()


def test_workers_without_a_limit_have_nothing_beyond_it():
    assert is_growing(watched(GPU, DeviceWish(1, memory_mode=MemoryMode.GROWTH)))
    assert not is_growing(watched(GPU, DeviceWish(1)))
    assert not is_growing(watched(CPU, DeviceWish(1, memory_mode=MemoryMode.GROWTH)))


def test_a_device_of_which_nothing_is_to_be_known_is_left_out():
    planned = plan_workers((GPU, CPU), {"GPU-aaaa": DeviceWish(1), "cpu": DeviceWish(1)}, mosaics=8)
    found = watch_each(planned.workers, {"GPU-aaaa": DeviceWish(1), "cpu": DeviceWish(1)}, {"cpu": SUBJECT}, mosaics=8)
    assert [each.device.name for each in found] == ["cpu"]
