"""Lines by value; then real files: rotation, age, a disk that is really full, and a thread that drains."""

import ctypes
import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

import pytest

from capture.messages import Sighting
from daemon.sinks.jsonl import JsonlOptions, JsonlSink, SightedTile, line_of

NEW_YEAR = 1767225600.0  # 2026-01-01T00:00:00Z
DAY_S = 86_400
DOG = Sighting("dog", 0.913149, (10.504, 20.0, 110.25, 219.999))


class Clock:
    """A wall clock that we turn."""

    def __init__(self, now=NEW_YEAR):
        self.now = now

    def __call__(self):
        return self.now


def tile(camera="cam-01", number=0, sightings=(DOG,), captured_at=NEW_YEAR):
    return SightedTile(camera, "m1", "w1", float(number), captured_at, (1920, 1080), sightings, 0.0)


def tiles(count, **changes):
    return [tile(number=number, **changes) for number in range(count)]


LINE_BYTES = len(line_of(tile()))
MIB_PER_LINE = LINE_BYTES / (1 << 20)


def numbers(path):
    """The frame times in a file, each line of which must be whole."""
    text = path.read_text()
    assert text == "" or text.endswith("\n")
    return [json.loads(line)["frame_time"] for line in text.splitlines()]


def write(sink, offered):
    sink.offer(offered)
    sink.step()


# --- lines -----------------------------------------------------------------------------------------------------------


def test_a_line_has_exactly_these_keys():
    assert line_of(tile(number=12.48, captured_at=NEW_YEAR + 0.0625)) == (
        b'{"camera":"cam-01","mosaic":"m1","worker":"w1","frame_time":12.48,"captured_at":"2026-01-01T00:00:00.062Z",'
        b'"frame_wh":[1920,1080],"sightings":[{"label":"dog","score":0.9131,"box":[10.5,20.0,110.25,220.0]}]}\n'
    )


def test_a_whole_second_keeps_its_milliseconds():
    assert json.loads(line_of(tile()))["captured_at"] == "2026-01-01T00:00:00.000Z"


def test_what_a_label_says_cannot_end_the_line():
    line = line_of(tile(sightings=(Sighting('a"b\nc', 0.5, (0, 0, 1, 1)),)))
    assert line.count(b"\n") == 1
    assert json.loads(line)["sightings"][0]["label"] == 'a"b\nc'


BAD_TILES = [
    tile(captured_at=float("nan")),
    tile(captured_at=1e300),
    tile(number=float("inf")),
    tile(sightings=(Sighting("dog", float("nan"), (0, 0, 1, 1)),)),
    tile(sightings=(Sighting("dog", 0.5, (0, 0, float("inf"), 1)),)),
    tile(sightings=(Sighting("\udc80", 0.5, (0, 0, 1, 1)),)),
]


@pytest.mark.parametrize("bad", BAD_TILES)
def test_numbers_that_are_none_are_refused(bad):
    with pytest.raises(ValueError, match=r"."):
        line_of(bad)


def test_bad_tiles_are_counted_and_the_others_written(tmp_path):
    sink = JsonlSink(tmp_path, clock=Clock())
    write(sink, [tile(number=1), *BAD_TILES, tile(number=2)])
    assert numbers(tmp_path / "sightings.jsonl") == [1, 2]
    assert sink.statistics().written == 2
    assert sink.statistics().dropped == {"queue_full": 0, "disk": 0, "invalid": len(BAD_TILES)}


# --- files -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("empty", "written"), [(False, [1]), (True, [0, 1])])
def test_tiles_without_sightings_are_written_only_when_asked_for(tmp_path, empty, written):
    sink = JsonlSink(tmp_path, JsonlOptions(empty=empty), clock=Clock())
    write(sink, [tile(number=0, sightings=()), tile(number=1)])
    assert numbers(tmp_path / "sightings.jsonl") == written
    assert sink.statistics().dropped["queue_full"] == 0


def test_one_file_a_camera(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(per_camera=True), clock=Clock())
    write(sink, [tile("cam-01", 1), tile("cam-02", 2), tile("cam-01", 3)])
    assert numbers(tmp_path / "sightings" / "cam-01.jsonl") == [1, 3]
    assert numbers(tmp_path / "sightings" / "cam-02.jsonl") == [2]


@pytest.mark.parametrize("camera", ["../x", "a/b", "", ".x", "a\0b", "x" * 101])
def test_a_camera_cannot_name_a_file_elsewhere(tmp_path, camera):
    sink = JsonlSink(tmp_path / "state", JsonlOptions(per_camera=True), clock=Clock())
    write(sink, [tile(camera)])
    assert sink.statistics().dropped["invalid"] == 1
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_a_second_life_appends_and_cuts_the_half_line_of_the_first(tmp_path):
    path = tmp_path / "sightings.jsonl"
    path.write_bytes(line_of(tile(number=1)) + b'{"camera":"' + b"x" * 200_000)
    write(JsonlSink(tmp_path, clock=Clock()), [tile(number=2)])
    assert numbers(path) == [1, 2]


def test_a_file_without_any_full_line_starts_anew(tmp_path):
    path = tmp_path / "sightings.jsonl"
    path.write_bytes(b"x" * 100_000)
    write(JsonlSink(tmp_path, clock=Clock()), [tile(number=2)])
    assert numbers(path) == [2]


def test_a_file_that_was_moved_away_is_made_anew(tmp_path):
    path = tmp_path / "sightings.jsonl"
    sink = JsonlSink(tmp_path, clock=Clock())
    write(sink, [tile(number=1)])
    path.rename(tmp_path / "mine.jsonl")
    write(sink, [tile(number=2)])
    assert numbers(path) == [2]


# --- rotation --------------------------------------------------------------------------------------------------------


def test_files_are_rotated_by_size_within_a_batch(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(max_mib=3 * MIB_PER_LINE), clock=Clock())
    write(sink, tiles(8))
    assert numbers(tmp_path / "sightings.20260101T000000Z.jsonl") == [0, 1, 2]
    assert numbers(tmp_path / "sightings.20260101T000000Z-1.jsonl") == [3, 4, 5]
    assert numbers(tmp_path / "sightings.jsonl") == [6, 7]


def test_files_are_rotated_by_size_over_batches(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(max_mib=3 * MIB_PER_LINE), clock=Clock())
    for number in range(4):
        write(sink, [tile(number=number)])
    assert numbers(tmp_path / "sightings.20260101T000000Z.jsonl") == [0, 1, 2]
    assert numbers(tmp_path / "sightings.jsonl") == [3]


def test_a_line_larger_than_a_file_has_one_of_its_own(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(max_mib=0.5 * MIB_PER_LINE), clock=Clock())
    write(sink, tiles(3))
    assert len(list(tmp_path.glob("sightings*.jsonl"))) == 3
    assert numbers(tmp_path / "sightings.jsonl") == [2]


def test_files_are_rotated_after_a_day_even_over_a_restart(tmp_path):
    clock = Clock()
    write(JsonlSink(tmp_path, clock=clock), [tile(number=1)])
    clock.now += DAY_S - 1
    sink = JsonlSink(tmp_path, clock=clock)
    write(sink, [tile(number=2)])
    assert numbers(tmp_path / "sightings.jsonl") == [1, 2]
    clock.now += 1
    write(sink, [tile(number=3)])
    assert numbers(tmp_path / "sightings.20260102T000000Z.jsonl") == [1, 2]
    assert numbers(tmp_path / "sightings.jsonl") == [3]


def test_old_files_are_bounded_together_and_the_oldest_go_first(tmp_path):
    clock = Clock()
    options = JsonlOptions(per_camera=True, max_mib=MIB_PER_LINE, max_old_mib=3 * MIB_PER_LINE)
    sink = JsonlSink(tmp_path, options, clock=clock)
    for number in range(4):
        write(sink, [tile("cam-01", number), tile("cam-02", number)])
        clock.now += 1
    old = sorted(path.name for path in (tmp_path / "sightings").iterdir())
    assert len(old) == 5
    assert set(old) > {"cam-01.20260101T000003Z.jsonl", "cam-01.jsonl", "cam-02.20260101T000003Z.jsonl", "cam-02.jsonl"}


def test_files_that_are_too_old_are_removed_and_foreign_ones_left_alone(tmp_path):
    clock = Clock(NEW_YEAR + 10 * DAY_S)
    for name in (
        "sightings.20260101T000000Z.jsonl",
        "sightings.20260109T000000Z.jsonl",
        "sightings.20269999T000000Z.jsonl",
        "sightings.notes.jsonl",
        "others.20200101T000000Z.jsonl",
    ):
        (tmp_path / name).write_text("{}\n")
    write(JsonlSink(tmp_path, JsonlOptions(max_age_days=7), clock=clock), [tile(captured_at=clock.now)])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "others.20200101T000000Z.jsonl",
        "sightings.20260109T000000Z.jsonl",
        "sightings.20269999T000000Z.jsonl",
        "sightings.jsonl",
        "sightings.notes.jsonl",
    ]


def test_the_file_of_a_camera_that_left_is_removed_too(tmp_path):
    clock = Clock()
    sink = JsonlSink(tmp_path, JsonlOptions(per_camera=True, max_age_days=7), clock=clock)
    write(sink, [tile("left"), tile("stays")])
    for name in ("left", "stays"):
        os.utime(tmp_path / "sightings" / f"{name}.jsonl", (clock.now, clock.now))
    clock.now += 8 * DAY_S
    write(sink, [tile("stays", captured_at=clock.now)])
    assert sorted(path.name for path in (tmp_path / "sightings").iterdir()) == [
        "stays.20260109T000000Z.jsonl",
        "stays.jsonl",
    ]


# --- disks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 64 KiB."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder = tmp_path / "disk"
    folder.mkdir()
    if libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=64k") != 0:
        pytest.skip(f"cannot mount a small disk: {os.strerror(ctypes.get_errno())}")
    yield folder
    assert libc.umount2(bytes(folder), 2) == 0  # MNT_DETACH


def test_a_full_disk_costs_lines_and_recovers(small_disk, caplog):
    caplog.set_level(logging.INFO, "daemon.sinks.jsonl")
    clock = Clock()
    sink = JsonlSink(small_disk, clock=clock)
    path = small_disk / "sightings.jsonl"
    (small_disk / "film.bin").write_bytes(b"x" * 40_000)
    for _ in range(3):
        write(sink, tiles(400))
        clock.now += 1
    before = sink.statistics()
    assert 0 < before.written < 400
    assert before.written + before.dropped["disk"] == 1200
    assert len(numbers(path)) == before.written
    (small_disk / "film.bin").unlink()
    clock.now += 10
    write(sink, tiles(5))
    after = sink.statistics()
    assert (after.written - before.written, after.dropped["disk"]) == (5, before.dropped["disk"])
    assert numbers(path)[-5:] == [0, 1, 2, 3, 4]
    assert [(record.getMessage(), record.fields) for record in caplog.records] == [
        ("sink cannot write", {"sink": "jsonl", "reason": "No space left on device", "path": str(path)}),
        ("sink writes again", {"sink": "jsonl", "lost": before.dropped["disk"]}),
    ]


def test_a_device_that_is_always_full_costs_every_line(tmp_path):
    (tmp_path / "sightings.jsonl").symlink_to("/dev/full")
    sink = JsonlSink(tmp_path, clock=Clock())
    write(sink, tiles(7))
    assert (sink.statistics().written, sink.statistics().dropped["disk"]) == (0, 7)


LIMITED = """
import resource, sys
from pathlib import Path
from capture.messages import Sighting
from daemon.sinks.jsonl import JsonlSink, SightedTile
folder, limit = Path(sys.argv[1]), int(sys.argv[2])
def tile(number):
    sightings = (Sighting("dog", 0.913149, (10.504, 20.0, 110.25, 219.999)),)
    return SightedTile("cam-01", "m1", "w1", float(number), 1767225600.0, (1920, 1080), sightings, 0.0)
sink = JsonlSink(folder, clock=lambda: 1767225600.0)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
sink.offer(map(tile, range(10)))
sink.step()
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.offer([tile(10)])
sink.step()
print(sink.statistics().written, sink.statistics().dropped["disk"])
"""


def test_a_line_that_only_half_fits_is_cut(tmp_path):
    limit = 4 * LINE_BYTES + LINE_BYTES // 2
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path), str(limit)], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["5", "6"]
    assert numbers(tmp_path / "sightings.jsonl") == [0, 1, 2, 3, 10]


def test_a_folder_that_cannot_be_made_costs_lines_until_it_can(tmp_path):
    (tmp_path / "state").write_text("in the way")
    sink = JsonlSink(tmp_path / "state", clock=Clock())
    write(sink, tiles(2))
    assert sink.statistics().dropped["disk"] == 2
    (tmp_path / "state").unlink()
    write(sink, tiles(3))
    assert (sink.statistics().written, sink.statistics().dropped["disk"]) == (3, 2)


# --- queue and thread ------------------------------------------------------------------------------------------------


def test_a_full_queue_drops_and_counts_exactly(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(capacity=10), clock=Clock())
    sink.offer(tiles(7))
    sink.offer(tiles(7))
    sink.offer(tiles(2))
    sink.step()
    assert (sink.statistics().written, sink.statistics().dropped["queue_full"]) == (10, 6)
    assert numbers(tmp_path / "sightings.jsonl") == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2]


def test_the_thread_writes_within_a_second_and_drains_at_the_end(tmp_path):
    path = tmp_path / "sightings.jsonl"
    sink = JsonlSink(tmp_path)
    sink.start()
    try:
        sink.offer([tile(number=1, captured_at=time.time())])
        deadline = time.monotonic() + 5
        while sink.statistics().written < 1 and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert numbers(path) == [1]
        sink.offer(tiles(500, captured_at=time.time()))
    finally:
        assert sink.stop(deadline_s=5)
    assert len(numbers(path)) == 501
    sink.offer(tiles(3))
    assert (sink.statistics().written, sink.statistics().dropped["queue_full"]) == (501, 3)


def test_offers_from_many_threads_are_all_counted(tmp_path):
    sink = JsonlSink(tmp_path, JsonlOptions(capacity=100))
    sink.start()
    threads = [threading.Thread(target=lambda: [sink.offer(tiles(10)) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.stop(deadline_s=10)
    found = sink.statistics()
    assert found.written + found.dropped["queue_full"] == 2000
    assert len(numbers(tmp_path / "sightings.jsonl")) == found.written


def test_a_thread_that_breaks_says_so_and_ends(tmp_path, caplog):
    def broken():
        raise RuntimeError("no time")

    sink = JsonlSink(tmp_path, clock=broken)
    sink.offer(tiles(2))
    sink.start()
    assert sink.stop(deadline_s=5)
    sink.offer(tiles(3))
    assert [record.getMessage() for record in caplog.records] == ["sink failed"]
    assert sink.statistics().dropped["queue_full"] == 3


def test_the_stamp_of_a_rotated_file_is_utc(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        sink = JsonlSink(tmp_path, JsonlOptions(max_mib=MIB_PER_LINE), clock=Clock())
        write(sink, tiles(2))
        stamp = datetime.fromtimestamp(NEW_YEAR, UTC).strftime("%Y%m%dT%H%M%SZ")
        assert (tmp_path / f"sightings.{stamp}.jsonl").exists()
    finally:
        monkeypatch.undo()
        time.tzset()


def test_the_disks_room_is_looked_at_now_and_then(tmp_path):
    clock = Clock()
    sink = JsonlSink(tmp_path, clock=clock)
    assert sink.statistics().disk is None
    sink.step()
    found, seen = os.statvfs(tmp_path), sink.statistics().disk
    assert seen.size_bytes == found.f_blocks * found.f_frsize
    assert 0 < seen.free_bytes <= seen.size_bytes
    sink.step()
    assert sink.statistics().disk is seen
    clock.now -= DAY_S  # however the clock was set
    sink.step()
    assert sink.statistics().disk is not seen


def test_a_disk_that_is_gone_has_no_room_to_be_told_of(tmp_path):
    sink = JsonlSink(tmp_path / "gone", JsonlOptions())
    sink.step()
    assert sink.statistics().disk is None
