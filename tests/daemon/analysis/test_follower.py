"""A camera's footage is followed in its order, whichever part comes first."""

import random
from pathlib import Path

import pytest

from capture.messages import Sighting, TileAnswer
from daemon.analysis.clips import Given, clips_of
from daemon.analysis.follower import Followed, Follower
from events.analyst import CameraRules
from events.rules import Line
from events.words import Ending, Event
from tests.daemon.analysis.test_clips import facts

WH = (640, 384)
GATE = CameraRules(lines=(Line("gate", (0.5, 0.0), (0.5, 1.0), "in", "out", frozenset()),))


def walk(part: int, from_s: float, to_s: float) -> list[TileAnswer]:
    """Somebody who walks to the right, 20 pixels a second, five answers a second."""
    answers = []
    for number, tick in enumerate(range(round(from_s * 5), round(to_s * 5)), 1):
        x = 4.0 * tick
        seen = Sighting("person", 0.9, (x, 100.0, x + 40.0, 200.0))
        answers.append(TileAnswer("yard", part, number, tick / 5, 0.0, 0.0, WH, (seen,)))
    return answers


class Footage:
    """A file of 30 seconds in three parts, and what a follower tells of it."""

    def __init__(self) -> None:
        self.told: list[Followed] = []
        clips = clips_of([Given("yard", Path("yard.mp4"), 1000.0)], [facts(30.0, cuts=2)], [0.0])
        chance = random.Random(1)
        self.follower = Follower(clips, GATE, lambda: chance.getrandbits(30), self.told.append)
        self.answers = {part: walk(part, 10.0 * part, 10.0 * part + 10.0) for part in range(3)}

    def look(self, *parts: int) -> None:
        """Look at these parts, one after the other."""
        for part in parts:
            for answer in self.answers[part]:
                self.follower.give(answer)
            self.follower.end(part)

    @property
    def events(self) -> list[Event]:
        """Each as it was told of last."""
        return list({event.id: event for each in self.told for event in each.batch.events}.values())


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_the_order_in_which_parts_are_looked_at_changes_nothing(order: tuple[int, ...]) -> None:
    first, footage = Footage(), Footage()
    first.look(0, 1, 2)
    footage.look(*order)
    assert footage.told == first.told
    [event] = footage.events
    assert event.ending is Ending.CAMERA_DOWN
    assert [(each.line, each.direction) for each in event.crossings] == [("gate", "out")]
    assert event.started_at == pytest.approx(1015.0, abs=1.0)
    [result] = footage.follower.results
    assert (result.frames, result.is_whole, dict(result.events)) == (150, True, {"person": 1})


def test_parts_that_come_by_turns_are_followed_in_their_order() -> None:
    first, footage = Footage(), Footage()
    first.look(0, 1, 2)
    for answers in zip(*footage.answers.values(), strict=True):
        for answer in reversed(answers):
            footage.follower.give(answer)
    for part in (2, 0, 1):
        footage.follower.end(part)
    assert footage.told == first.told
    assert footage.follower.is_done


@pytest.mark.parametrize("part", [0, 1])
def test_what_a_process_told_before_it_died_is_not_counted_twice(part: int) -> None:
    first, footage = Footage(), Footage()
    first.look(0, 1, 2)
    for answer in footage.answers[part][:20]:
        footage.follower.give(answer)
    footage.look(2, 1, 0)
    assert footage.told == first.told


def test_a_part_that_fails_is_a_gap_and_the_rest_goes_on() -> None:
    footage = Footage()
    footage.look(0)
    footage.follower.end(1, error="it has crashed the decoder")
    footage.look(2)
    [result] = footage.follower.results
    assert (result.frames, result.error, result.is_whole) == (100, "it has crashed the decoder", True)
    assert result.until_s == pytest.approx(29.8)


def test_who_stops_ends_what_is_open_and_gives_up_what_waits() -> None:
    footage = Footage()
    footage.look(0, 2)
    for answer in footage.answers[1][:40]:
        footage.follower.give(answer)
    footage.follower.stop()
    footage.follower.stop()
    [event] = footage.events
    assert event.ending is Ending.STOPPED
    [result] = footage.follower.results
    assert (result.frames, result.is_whole) == (90, False)
    assert result.until_s == pytest.approx(17.8)


def test_a_frames_number_is_the_files() -> None:
    footage = Footage()
    footage.look(0)
    assert [each.frame for each in footage.told[:3]] == [1, 6, 11]


def test_damage_is_told_from_where_it_first_was() -> None:
    footage = Footage()
    footage.follower.end(1, lost_frames=3, lost_at_s=14.0)
    footage.follower.end(0, lost_frames=2, lost_at_s=4.0)
    [result] = footage.follower.results
    assert (result.lost_frames, result.lost_at_s) == (5, 4.0)


def test_a_file_that_ends_before_its_time_was_cut_off() -> None:
    footage = Footage()
    footage.look(0, 1)
    footage.follower.end(2)
    [result] = footage.follower.results
    assert result.error == "it ends 10 s before its time: it was cut off"
    assert result.analysed_s == pytest.approx(19.8)
