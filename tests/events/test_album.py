"""Pictures and clips of events: what is ordered when, and what becomes of the files."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.words import Shortfall
from events.album import UNSURE_S, Album, Order, Recording
from events.mediapaths import MediaKind, media_path
from events.store import MediaFile
from events.words import Moment, Notice

ID = "20261130T021305.123Z-yard-7k3f9a"
BOX = (10.0, 20.0, 30.0, 80.0)
MOMENT = Moment(ID, "yard", is_over=False, is_stationary=False, began_s=100.0, best_s=100.5, best_box=BOX, seen_s=101.0)
RECORDING = Recording(pre_s=5.0, post_s=10.0, max_s=60.0)


class Studio:
    """An album with everybody whom it talks to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.orders: list[Order] = []
        self.files: dict[str, int] = {}
        """Descriptors by kind of order."""
        self.kept: list[MediaFile] = []
        self.told: list[tuple[object, ...]] = []
        self.notices: list[Notice] = []
        self.takes_orders = self.has_room = True
        self.album = self.new_album()
        self.album.follow("yard", RECORDING)

    def new_album(self) -> Album:
        return Album(
            self.folder,
            send=self.send,
            keep=self.kept.append,
            pictured=lambda *each: self.told.append(each),
            filmed=lambda *each: self.told.append(each),
            tell=self.notices.append,
            has_room=lambda: self.has_room,
            clock=lambda: 1_796_004_785.0,
        )

    def send(self, order: Order, fds: Sequence[int]) -> bool:
        if not self.takes_orders:
            return False
        self.orders.append(order)
        if fds:
            (fd,) = fds
            self.files[type(order).__name__] = os.dup(fd)
        return True

    def write(self, kind: str, content: bytes) -> int:
        return os.write(self.files[kind], content)

    def snap(self, content: bytes = b"JPEG", **words: object) -> None:
        """Make the picture that was ordered last."""
        size = self.write("Snapshot", content) if content else 0
        self.album.hear(msgspec.structs.replace(Snapped("yard", 7, ID, size_bytes=size), **words))

    def path(self, kind: MediaKind) -> Path:
        return self.folder / media_path(ID, "yard", kind)

    def of(self, kind: type) -> list[Order]:
        return [order for order in self.orders if isinstance(order, kind)]


@pytest.fixture
def studio(tmp_path: Path) -> Iterator[Studio]:
    studio = Studio(tmp_path)
    yield studio
    for fd in studio.files.values():
        os.close(fd)


def moment(**changes: object) -> Moment:
    return msgspec.structs.replace(MOMENT, **changes)


def test_a_new_event_has_its_picture_and_clip_ordered(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    assert studio.orders == [
        Record("yard", 0, ID, from_mono_s=95.0, until_mono_s=111.0),
        Snapshot("yard", 0, ID, at_mono_s=100.5),
    ]
    assert studio.path("clip").exists() and not studio.path("snapshot").exists()


def test_a_camera_without_record_has_pictures_only(studio: Studio) -> None:
    studio.album.follow("yard", None)
    studio.album.note([MOMENT], 102.0)
    assert [type(order) for order in studio.orders] == [Snapshot]
    assert not studio.path("clip").exists()


def test_a_picture_takes_its_place_once_it_is_whole(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.snap()
    assert studio.path("snapshot").read_bytes() == b"JPEG"
    assert studio.told == [("yard", ID, BOX)]
    assert [(file.path, file.kind, file.size_bytes, file.box) for file in studio.kept] == [
        (f"yard/20261130/{ID}.jpg", "snapshot", 4, BOX)
    ]
    assert not list(studio.folder.rglob("*.part"))


def test_a_better_moment_replaces_the_picture_and_the_same_one_does_not(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.snap()
    studio.album.note([moment(seen_s=103.0)], 104.0)
    assert len(studio.of(Snapshot)) == 1
    studio.album.note([moment(best_s=104.5)], 106.0)
    assert studio.path("snapshot").read_bytes() == b"JPEG"
    studio.snap(b"better")
    assert studio.path("snapshot").read_bytes() == b"better"


def test_a_moment_that_comes_while_a_picture_is_made_has_its_turn_afterwards(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.album.note([moment(best_s=103.0)], 104.0)
    studio.album.note([moment(best_s=103.5, best_box=(0.0, 0.0, 9.0, 9.0), is_over=True)], 105.0)
    assert len(studio.of(Snapshot)) == 1
    studio.snap()
    assert studio.kept[-1].box == BOX, "where the object was in the picture that is there"
    assert [order.at_mono_s for order in studio.of(Snapshot) if isinstance(order, Snapshot)] == [100.5, 103.5]


def test_a_small_picture_does_not_replace_a_full_one(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.snap()
    studio.album.note([moment(best_s=104.5)], 106.0)
    studio.snap(b"tile", is_tile=True, reason=Shortfall.GONE)
    assert studio.path("snapshot").read_bytes() == b"JPEG"
    assert not list(studio.folder.rglob("*.part"))
    assert studio.album.statistics().made == {"snapshot": 1}


def test_a_picture_for_which_nobody_had_time_is_ordered_again(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.snap(b"", reason=Shortfall.BUSY)
    assert len(studio.of(Snapshot)) == 1
    studio.album.step([MOMENT], 103.0)
    studio.snap()
    assert studio.path("snapshot").exists()
    studio.album.step([MOMENT], 104.0)
    assert len(studio.of(Snapshot)) == 2


def test_a_clip_goes_on_while_its_object_is_seen_and_ends_after_it(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.album.step([moment(seen_s=104.0)], 104.5)
    studio.album.step([moment(seen_s=104.0)], 112.0)  # not seen for long: but the event has not ended
    studio.album.note([moment(seen_s=112.2, is_over=True)], 114.0)
    assert [order.until_mono_s for order in studio.of(Prolong) if isinstance(order, Prolong)] == [
        114.0,
        112.0 + UNSURE_S,
        122.2,
    ]


def test_no_clip_is_longer_than_it_may_be(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    for now_s in (120.0, 150.0, 180.0, 200.0):
        studio.album.step([moment(seen_s=now_s)], now_s)
    prolongs = [order.until_mono_s for order in studio.of(Prolong) if isinstance(order, Prolong)]
    assert prolongs == [130.0, 95.0 + RECORDING.max_s]


def test_a_clip_does_not_wait_for_what_stands_still(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.album.step([moment(seen_s=130.0, is_stationary=True)], 130.0)
    assert not studio.of(Prolong)


def test_a_clip_is_told_of_once_it_can_be_played_and_kept_when_it_has_ended(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.album.step([MOMENT], 103.0)
    assert studio.told == []
    studio.write("Record", b"fragment")
    studio.album.step([MOMENT], 104.0)
    studio.album.step([MOMENT], 105.0)
    assert studio.told == [("yard", ID)] and studio.kept == []
    studio.album.hear(Recorded("yard", 7, ID, duration_s=21.0, size_bytes=8))
    assert [(file.path, file.size_bytes) for file in studio.kept] == [(f"yard/20261130/{ID}.mp4", 8)]


def test_what_a_process_that_died_has_written_is_kept(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.write("Record", b"some fragments")
    studio.album.hear(Recorded("yard", 7, ID, reason=Shortfall.DIED))
    assert [(file.kind, file.size_bytes) for file in studio.kept] == [("clip", 14)]
    assert studio.album.statistics().shortfalls == {("clip", Shortfall.DIED): 1}


def test_nothing_is_left_of_a_clip_of_which_nothing_came(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.album.hear(Recorded("yard", 7, ID, reason=Shortfall.CODEC))
    assert not studio.path("clip").exists() and studio.kept == []
    assert [notice.fields["reason"] for notice in studio.notices] == ["codec"]


def test_a_shortfall_is_told_once_and_counted(studio: Studio) -> None:
    for second in range(3):
        studio.album.note([moment(best_s=100.0 + second)], 102.0 + second)
        studio.snap(b"tile", is_tile=True, reason=Shortfall.OFF)
    assert studio.album.statistics().shortfalls == {("snapshot", Shortfall.OFF): 3}
    assert len(studio.notices) == 1


@pytest.mark.parametrize("lacks", ["room", "supervisor", "folder"])
def test_without_room_or_anybody_to_order_from_there_is_no_file_and_no_trouble(studio: Studio, lacks: str) -> None:
    studio.has_room = lacks != "room"
    studio.takes_orders = lacks != "supervisor"
    if lacks == "folder":
        (studio.folder / "yard").write_text("in the way")
    studio.album.note([MOMENT], 102.0)
    studio.album.step([MOMENT], 103.0)
    studio.album.note([moment(is_over=True)], 104.0)
    assert [path for path in studio.folder.rglob("*") if path.suffix] == []
    reason = {"room": Shortfall.NO_ROOM, "supervisor": Shortfall.BUSY, "folder": Shortfall.UNWRITABLE}[lacks]
    assert studio.album.statistics().shortfalls == {("clip", reason): 1, ("snapshot", reason): 1}


def test_a_reply_to_an_earlier_life_is_kept_all_the_same(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.write("Record", b"fragment")
    studio.album = studio.new_album()
    assert not list(studio.folder.rglob("*.part"))
    studio.album.hear(Recorded("yard", 7, ID, duration_s=3.0, size_bytes=8))
    studio.snap()
    assert [file.kind for file in studio.kept] == ["clip"]


def test_a_clip_that_was_removed_meanwhile_does_not_come_back(studio: Studio) -> None:
    studio.album.note([MOMENT], 102.0)
    studio.write("Record", b"fragment")
    studio.path("clip").unlink()
    studio.album.hear(Recorded("yard", 7, ID, duration_s=3.0, size_bytes=8))
    assert studio.kept == []


def test_nothing_is_ordered_any_more_at_the_end(studio: Studio) -> None:
    studio.album.stop()
    studio.album.note([MOMENT], 102.0)
    assert studio.orders == [] and not list(studio.folder.rglob("*.*"))
