"""Orders for pictures and clips on their way: to whoever has the camera, and back to whoever ordered."""

from types import SimpleNamespace

import msgspec
import pytest

from capture.mediamessages import Prolong, Record, Recorded, Snapped, Snapshot
from capture.words import Shortfall
from daemon.lifecycle import Phase
from daemon.mediadesk import MediaDesk

ID = "20261130T021305.123Z-yard-7k3f9a"
RECORD = Record("yard", 0, ID, from_mono_s=95.0, until_mono_s=111.0)
SNAPSHOT = Snapshot("yard", 0, ID, at_mono_s=100.5)
PROLONG = Prolong("yard", 0, ID, until_mono_s=120.0)
FDS = (42,)


class Post:
    """Takes what is sent to one process."""

    def __init__(self) -> None:
        self.letters: list[tuple[msgspec.Struct, tuple[int, ...]]] = []
        self.life = SimpleNamespace(phase=Phase.UP)
        self.is_full = False

    def send(self, message: msgspec.Struct, fds: tuple[int, ...] = ()) -> bool:
        if not self.is_full:
            self.letters.append((message, fds))
        return not self.is_full

    @property
    def messages(self) -> list[msgspec.Struct]:
        return [message for message, _ in self.letters]


@pytest.fixture
def captures() -> dict[str, Post]:
    return {"c1": Post(), "c2": Post()}


@pytest.fixture
def events() -> Post:
    return Post()


@pytest.fixture
def desk(captures, events) -> MediaDesk:
    homes = {"yard": ("c2", 7)}
    return MediaDesk(SimpleNamespace(home=homes.get), events, captures)


def test_an_order_goes_to_the_process_that_has_the_camera_as_it_is_now(desk, captures, events):
    for order, fds in ((RECORD, FDS), (SNAPSHOT, FDS), (PROLONG, ())):
        desk.hear("e1", order, fds)
    wanted = [msgspec.structs.replace(order, epoch=7) for order in (RECORD, SNAPSHOT, PROLONG)]
    assert captures["c2"].letters == [(wanted[0], FDS), (wanted[1], FDS), (wanted[2], ())]
    assert captures["c1"].letters == events.letters == []


def test_a_reply_goes_back_once_and_only_from_whoever_owes_it(desk, events):
    desk.hear("e1", RECORD, FDS)
    desk.hear("e1", SNAPSHOT, FDS)
    reply = Recorded("yard", 7, ID, size_bytes=8)
    desk.hear("c1", reply, ())
    desk.hear("c2", Recorded("yard", 7, "another event", size_bytes=8), ())
    assert events.messages == []
    desk.hear("c2", reply, ())
    desk.hear("c2", reply, ())
    desk.hear("c2", Snapped("yard", 7, ID, size_bytes=9), ())
    assert events.messages == [reply, Snapped("yard", 7, ID, size_bytes=9)]


def test_a_reply_is_of_the_camera_of_its_order_whatever_it_says(desk, events):
    desk.hear("e1", RECORD, FDS)
    desk.hear("c2", Recorded("../../etc", 7, ID, size_bytes=8), ())
    assert events.messages == [Recorded("yard", 7, ID, size_bytes=8)]


def test_what_a_dead_process_owed_is_refused_in_its_name(desk, events):
    desk.hear("e1", RECORD, FDS)
    desk.hear("e1", SNAPSHOT, FDS)
    desk.note_death("c1")
    assert events.messages == []
    desk.note_death("c2")
    desk.note_death("c2")
    assert events.messages == [
        Recorded("yard", 7, ID, reason=Shortfall.DIED),
        Snapped("yard", 7, ID, reason=Shortfall.DIED),
    ]


@pytest.mark.parametrize("trouble", ["starting", "full"])
def test_an_order_that_nobody_takes_is_refused_at_once(desk, captures, events, trouble):
    captures["c2"].is_full = trouble == "full"
    captures["c2"].life.phase = Phase.STARTING if trouble == "starting" else Phase.UP
    for order, fds in ((RECORD, FDS), (PROLONG, ())):
        desk.hear("e1", order, fds)
    assert events.messages == [Recorded("yard", 7, ID, reason=Shortfall.DIED)]
    assert captures["c2"].letters == []


def test_an_order_for_a_camera_that_has_left_is_refused(desk, events):
    desk.hear("e1", msgspec.structs.replace(SNAPSHOT, camera="door"), FDS)
    assert events.messages == [Snapped("door", 0, ID, reason=Shortfall.UNKNOWN)]
