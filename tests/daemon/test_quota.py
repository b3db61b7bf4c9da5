"""Quotas by value: the GTX 1080 of 2019, then what must hold for every device."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from daemon.quota import Denied, DeviceMemory, Granted, MemoryMode, admit, largest_fraction

GTX_1080 = DeviceMemory(total_mib=8192)


@pytest.mark.parametrize(
    ("asked", "limit_mib", "needed_mib"),
    [
        ((GTX_1080, MemoryMode.FRACTION, 2, 0.30), 2457, 6626),
        ((GTX_1080, MemoryMode.FRACTION, 3, 0.23), 1884, 7964),
        ((GTX_1080, MemoryMode.FRACTION, 3, None), 1960, 8192),
        ((GTX_1080, MemoryMode.GROWTH, 1, None), None, 1112),
        ((GTX_1080, MemoryMode.GROWTH, 3, None), None, 2312),
        ((GTX_1080, MemoryMode.ALL, 1, None), 7080, 8192),
        ((DeviceMemory(16384, overhead_mib=0), MemoryMode.FRACTION, 4, 0.2), 3276, 13616),
        ((DeviceMemory(8192, foreign_mib=1500), MemoryMode.ALL, 1, None), 5580, 6692),
    ],
)
def test_workers_that_fit_get_their_limit(asked, limit_mib, needed_mib):
    decision = admit(*asked)
    assert isinstance(decision, Granted)
    assert decision.limit_mib == limit_mib
    assert decision.needed_mib == needed_mib


@pytest.mark.parametrize(
    ("asked", "needed_mib", "free_mib", "largest"),
    [
        ((GTX_1080, MemoryMode.FRACTION, 3, 0.30), 9683, 8192, 0.23),
        ((GTX_1080, MemoryMode.FRACTION, 4, 0.25), 11104, 8192, 0.16),
        ((DeviceMemory(8192, foreign_mib=3000), MemoryMode.FRACTION, 2, 0.30), 6626, 5192, 0.21),
        ((GTX_1080, MemoryMode.FRACTION, 13, 0.05), 13629, 8192, 0.0),
        ((GTX_1080, MemoryMode.ALL, 2, None), 15872, 8192, 0.39),
        ((DeviceMemory(1024), MemoryMode.GROWTH, 1, None), 1112, 1024, 0.0),
        ((DeviceMemory(0), MemoryMode.FRACTION, 1, None), 1113, 0, 0.0),
    ],
)
def test_workers_that_do_not_fit_are_denied_with_numbers(asked, needed_mib, free_mib, largest):
    decision = admit(*asked)
    assert isinstance(decision, Denied)
    assert (decision.needed_mib, decision.free_mib, decision.largest_fraction) == (needed_mib, free_mib, largest)


def test_the_refusal_says_what_to_do():
    assert str(admit(GTX_1080, MemoryMode.FRACTION, 3, 0.30)) == (
        "3 workers of 0.30 of 8192 MiB need 9683 MiB (each 2457 + 600 overhead, reserve 512), but 8192 MiB are free "
        "(foreign processes hold 0); the largest fraction that fits is 0.23"
    )
    assert str(admit(DeviceMemory(1024), MemoryMode.GROWTH, 1)).endswith("no fraction fits so many")
    assert "memory mode all" in str(admit(GTX_1080, MemoryMode.ALL, 2))


def test_the_grant_says_what_is_taken():
    assert str(admit(GTX_1080, MemoryMode.FRACTION, 2, 0.30)) == (
        "2 workers of 2457 MiB: 6626 of 8192 MiB taken with overhead and reserve"
    )
    assert str(admit(GTX_1080, MemoryMode.GROWTH, 1)).startswith("1 worker without limit")


def test_only_several_growing_workers_are_warned_about():
    for mode, workers, is_warned in (
        (MemoryMode.GROWTH, 1, False),
        (MemoryMode.GROWTH, 2, True),
        ("fraction", 2, False),
    ):
        decision = admit(GTX_1080, MemoryMode(mode), workers)
        assert isinstance(decision, Granted)
        assert bool(decision.warning) is is_warned


@pytest.mark.parametrize(("workers", "fraction"), [(0, 0.5), (1, 0.0), (1, 1.01), (1, -0.1), (1, float("nan"))])
def test_numbers_out_of_range_are_an_error(workers, fraction):
    with pytest.raises(ValueError, match="must be"):
        admit(GTX_1080, MemoryMode.FRACTION, workers, fraction)


memories = st.builds(
    DeviceMemory,
    total_mib=st.integers(0, 200_000),
    foreign_mib=st.integers(0, 200_000),
    overhead_mib=st.integers(0, 3000),
    reserve_mib=st.integers(0, 3000),
)


@given(memories, st.sampled_from(MemoryMode), st.integers(1, 64), st.none() | st.floats(0.001, 1))
def test_what_is_granted_fits(memory, mode, workers, fraction):
    decision = admit(memory, mode, workers, fraction)
    assume(isinstance(decision, Granted))
    used_mib = workers * ((decision.limit_mib or 0) + memory.overhead_mib) + memory.reserve_mib
    assert used_mib == decision.needed_mib <= memory.free_mib


@given(memories, st.integers(1, 64))
def test_the_largest_fraction_is_granted_and_the_next_one_is_not(memory, workers):
    largest = largest_fraction(memory, workers)
    if largest:
        assert isinstance(admit(memory, MemoryMode.FRACTION, workers, largest), Granted)
    if largest < 1 and memory.total_mib >= 100:
        assert isinstance(admit(memory, MemoryMode.FRACTION, workers, round(largest + 0.01, 2)), Denied)
