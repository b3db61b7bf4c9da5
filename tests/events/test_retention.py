"""What is removed and why: by tables, then any kept files and any bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.retention import DAY_S, Cause, KeptFile, Retention, removals, surplus_rows
from tests.events.sample import NIGHT

MIB = 1 << 20
ROOMY = 1 << 50


def file(number, *, camera="yard", days=1.0, mib=1, is_open=False):
    """``days`` old."""
    return KeptFile(f"{camera}/{number}", str(number), camera, NIGHT - days * DAY_S, mib * MIB, is_open)


def removed(files, *, free=ROOMY, **keep):
    found = removals(files, NIGHT, free, Retention(**keep))
    return [(int(removal.file.event), removal.cause.value) for removal in found]


def test_nothing_goes_while_there_is_room():
    assert removed([file(1), file(2)]) == []


def test_what_is_too_old_goes():
    assert removed([file(1, days=15), file(2, days=13)]) == [(1, "age")]


def test_a_camera_with_more_than_its_share_loses_its_own_oldest():
    files = [file(1, camera="street"), file(2), file(3), file(4)]
    assert removed(files, camera_max_media_mib=2) == [(2, "camera")]
    assert removed(files, camera_max_media_mib=2, cameras={"yard": 3}) == []
    assert removed(files, cameras={"yard": 0}) == [(2, "camera"), (3, "camera"), (4, "camera")]


def test_when_all_are_too_much_the_oldest_of_all_go():
    files = [file(1, camera="street"), file(2), file(3, camera="street"), file(4)]
    assert removed(files, max_media_mib=2) == [(1, "size"), (2, "size")]


def test_what_a_camera_lost_counts_for_all():
    files = [file(1, camera="street"), file(2), file(3), file(4)]
    assert removed(files, camera_max_media_mib=1, max_media_mib=2) == [(2, "camera"), (3, "camera")]


def test_before_the_disk_is_full_the_oldest_go():
    files = [file(1), file(2), file(3)]
    assert removed(files, free=8 * MIB, min_free_mib=10) == [(1, "disk"), (2, "disk")]
    assert removed(files, free=0, min_free_mib=10) == [(1, "disk"), (2, "disk"), (3, "disk")]


def test_media_of_an_open_event_stay():
    files = [file(1, days=99, is_open=True), file(2), file(3)]
    assert removed(files, free=0, min_free_mib=1, max_media_mib=1) == [(2, "size"), (3, "size")]


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.floats(0, 30), st.integers(0, 9), st.booleans()), max_size=30),
    st.integers(0, 60),
    st.integers(0, 40),
    st.integers(0, 40),
    st.integers(0, 60),
)
def test_afterwards_every_bound_holds_and_nothing_went_in_vain(kept, total, share, floor, free):
    files = [
        file(number, camera=camera, days=days, mib=mib, is_open=is_open)
        for number, (camera, days, mib, is_open) in enumerate(sorted(kept, key=lambda one: -one[1]))
    ]
    keep = Retention(max_media_mib=total, camera_max_media_mib=share, min_free_mib=floor)
    gone = list(removals(files, NIGHT, free * MIB, keep))
    left = [one for one in files if one not in [removal.file for removal in gone]]
    movable = [one for one in left if not one.is_open]
    assert not any(removal.file.is_open for removal in gone)
    assert len({removal.file.path for removal in gone}) == len(gone)
    free_now = free + sum(removal.file.size_bytes for removal in gone) / MIB
    if movable:
        assert all(one.made_at >= NIGHT - 14 * DAY_S for one in movable)
        assert sum(one.size_bytes for one in left) <= total * MIB
        assert free_now >= floor
    for camera in "ab":
        if any(one.camera == camera for one in movable):
            assert sum(one.size_bytes for one in left if one.camera == camera) <= share * MIB
    if gone and gone[-1].cause is Cause.DISK:
        assert free_now - gone[-1].file.size_bytes / MIB < floor


@pytest.mark.parametrize(
    ("count", "used_mib", "rows"), [(100, 10, 0), (100, 20, 51), (100, 11, 10), (1, 1000, 1), (0, 20, 0)]
)
def test_a_database_that_is_too_large_loses_rows_in_proportion(count, used_mib, rows):
    assert surplus_rows(count, used_mib * MIB, Retention(max_database_mib=10)) == rows
