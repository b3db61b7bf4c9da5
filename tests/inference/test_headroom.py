"""The wall of a quota: what the kernel counts, and when there is too little left."""

import mmap
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.headroom import STEP_MIB, Headroom, QuotaReached, QuotaTooSmall, data_mib, peak_of_call_mib, wall_mib

amounts = st.floats(0, 100_000)


def status_mib(name: str) -> float:
    """A line of this process's status."""
    return int(re.search(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


@given(amounts, amounts, st.integers(1, 200_000))
def test_whoever_has_loaded_has_room_to_begin(call, used, wall):
    headroom = Headroom(call)
    try:
        headroom.check_loaded(used, wall)
    except QuotaTooSmall as error:
        needed = int(re.search(r"needs (\d+)", str(error))[1])
        headroom.check_loaded(used, needed)
        assert wall < needed
    else:
        headroom.check(used + STEP_MIB / 2, wall)


@given(amounts, amounts, st.integers(1, 200_000))
def test_whoever_cannot_pay_for_the_next_call_leaves(call, used, wall):
    headroom = Headroom(call)
    if used + call + STEP_MIB > wall:
        with pytest.raises(QuotaReached, match=f"of {wall} MiB are taken"):
            headroom.check(used, wall)
    else:
        headroom.check(used, wall)


def test_data_is_what_the_kernel_counts():
    assert data_mib() == pytest.approx(status_mib("VmData") + status_mib("VmStk"), abs=0.1)
    before = data_mib()
    with mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS):
        assert data_mib() - before == pytest.approx(64, abs=1)
    with mmap.mmap(-1, 64 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS):
        assert data_mib() - before == pytest.approx(0, abs=1)


def test_the_peak_of_a_call_is_what_it_took_and_gave_back():
    taken = []

    def call() -> None:
        with mmap.mmap(-1, 48 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as pages:
            for at in range(0, len(pages), mmap.PAGESIZE):
                pages[at] = 1
        taken.append(1)

    assert peak_of_call_mib(call) == pytest.approx(48, abs=4)
    assert peak_of_call_mib(lambda: taken.append(1)) < 2
    assert len(taken) == 2


def test_without_the_kernels_peak_the_call_is_made_all_the_same(tmp_path):
    taken = []
    assert peak_of_call_mib(lambda: taken.append(1), tmp_path / "absent") == 0
    assert taken == [1]


def test_the_wall_is_where_the_kernel_has_it():
    code = """
import resource
from inference.headroom import data_mib, lacks_memory, wall_mib
assert wall_mib() is None and not lacks_memory()
resource.setrlimit(resource.RLIMIT_DATA, (4000 << 20, 4000 << 20))
assert wall_mib() == 4000 and not lacks_memory()
kept = bytearray(int(3980 - data_mib()) << 20)
print(lacks_memory())
"""
    assert resource.getrlimit(resource.RLIMIT_DATA)[0] == resource.RLIM_INFINITY
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60).stdout
    assert re.match(r"39\d\d of the quota of 4000 MiB are taken. Give a larger", said)
    assert wall_mib() is None
