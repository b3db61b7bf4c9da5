"""Watch: what is told of a picture or stream, after how long, and after how long it is taken back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.watch import (
    BLACK_LUMA,
    BLIND_CONTRAST,
    FLOOD_LEAST_BPS,
    FLOOD_RATIO,
    HOLD_S,
    BitRate,
    Flaws,
    Frozen,
    explain,
)
from capture.words import Flaw

STEP_S = 0.1


@pytest.mark.parametrize("flaw", Flaw)
def test_a_flaw_is_told_and_taken_back_after_it_has_held(flaw: Flaw) -> None:
    flaws, hold_s = Flaws(), HOLD_S[flaw]
    for is_there, before, after in ((True, set(), {flaw}), (False, {flaw}, set())):
        began_s = 100.0 if is_there else 200.0
        if hold_s > 0:
            flaws.set(flaw, is_there, began_s)
            flaws.set(flaw, is_there, began_s + hold_s - STEP_S)
            assert flaws.told == before
        flaws.set(flaw, is_there, began_s + hold_s)
        assert flaws.told == after


@pytest.mark.parametrize("is_told", [False, True])
def test_what_comes_and_goes_is_neither_told_nor_taken_back(is_told: bool) -> None:
    flaws = Flaws()
    flaws.set(Flaw.FLOOD, is_told, 0.0)
    flaws.set(Flaw.FLOOD, is_told, HOLD_S[Flaw.FLOOD])
    for i in range(100):
        flaws.set(Flaw.FLOOD, i % 2 == 0, 10.0 + i)
        assert (Flaw.FLOOD in flaws.told) is is_told


def test_flaws_are_told_each_for_itself_and_all_forgotten_at_the_end() -> None:
    flaws = Flaws()
    for now_s in (0.0, 20.0):
        flaws.set(Flaw.FLOOD, True, now_s)
        flaws.set(Flaw.LONG_GOP, True, now_s)
    flaws.set(Flaw.BEHIND, True, 20.0)
    assert flaws.told == {Flaw.FLOOD, Flaw.LONG_GOP}
    flaws.clear()
    assert flaws.told == set()
    flaws.set(Flaw.BEHIND, True, 25.0)
    assert flaws.told == set(), "what was about to be told is forgotten, too"


@pytest.mark.parametrize(
    ("mean", "contrast", "told"),
    [
        (120.0, 40.0, set()),
        (16.0, 1.0, {Flaw.BLACK}),
        (120.0, 2.0, {Flaw.BLIND}),
        (BLACK_LUMA, 2.0, {Flaw.BLIND}),
        (BLACK_LUMA - 0.1, BLIND_CONTRAST - 0.1, {Flaw.BLACK}),
        (20.0, BLIND_CONTRAST, set()),  # a lamp at night
        (235.0, 0.0, {Flaw.BLIND}),
    ],
)
def test_black_and_blind_pictures(mean: float, contrast: float, told: set[Flaw]) -> None:
    flaws = Flaws()
    for i in range(60):
        flaws.see(mean, contrast, i * STEP_S)
    assert flaws.told == told


def test_a_picture_that_goes_black_and_comes_back() -> None:
    flaws, told = Flaws(), []
    for i in range(300):
        flaws.see(*((16.0, 0.5) if 50 <= i < 150 else (120.0, 40.0)), i * STEP_S)
        told.append(Flaw.BLACK in flaws.told)
    hold = round(HOLD_S[Flaw.BLACK] / STEP_S)
    assert told.index(True) == pytest.approx(50 + hold, abs=1)
    assert 300 - told[::-1].index(True) == pytest.approx(150 + hold, abs=1)


@pytest.mark.parametrize("flaw", Flaw)
def test_each_flaw_has_its_sentence(flaw: Flaw) -> None:
    text = explain(flaw, 7.5, 1.254)
    assert len(text) > 10
    assert ("7.5 s" in text) is (flaw is Flaw.LONG_GOP)
    assert ("1.25 times" in text) is (flaw is Flaw.CLOCK)


# --- bit rate ---------------------------------------------------------------------------------------------------------


class Flow:
    """Packets at 25 a second."""

    def __init__(self) -> None:
        self.rate = BitRate()
        self.at_s = 0.0

    def send(self, bps: float, seconds: float) -> list[bool]:
        """What is said after each second."""
        said = []
        for i in range(round(25 * seconds)):
            self.at_s += 0.04
            self.rate.packet(round(bps / 8 / 25), self.at_s)
            if i % 25 == 24:
                said.append(self.rate.is_flood)
        return said


@pytest.mark.parametrize(
    ("usual_bps", "bps", "is_flood"),
    [
        (2e6, 2e6 * FLOOD_RATIO * 1.1, True),
        (2e6, 2e6 * FLOOD_RATIO * 0.9, False),
        (1e4, FLOOD_LEAST_BPS * 1.1, True),
        (1e4, FLOOD_LEAST_BPS * 0.9, False),
    ],
)
def test_which_rate_is_a_flood(usual_bps: float, bps: float, is_flood: bool) -> None:
    flow = Flow()
    assert not any(flow.send(usual_bps, 30))
    assert any(flow.send(bps, 5)) is is_flood


def test_a_flood_ends_and_one_that_lasts_becomes_usual() -> None:
    flow = Flow()
    flow.send(1e6, 60)
    assert flow.send(20e6, 5)[-1]
    assert not flow.send(1e6, 5)[-1]
    said = flow.send(20e6, 200)
    assert all(said[5:50])
    assert not any(said[-50:])


def test_the_first_seconds_are_no_flood_whatever_their_rate() -> None:
    assert not any(Flow().send(100e6, 60))


def test_a_burst_after_a_standstill_is_over_before_a_flood_is_told() -> None:
    """Ten seconds' packets at once."""
    flow = Flow()
    flow.send(1e6, 30)
    flow.at_s += 10.0
    for _ in range(250):
        flow.rate.packet(5000, flow.at_s)
    assert sum(flow.send(1e6, 10)) < HOLD_S[Flaw.FLOOD]


# --- frozen -----------------------------------------------------------------------------------------------------------


def look(frozen: Frozen, seconds: float, from_s: float = 0.0, gop_s: float = 1.0, is_identical: bool = True) -> bool:
    """Look five times a second; a key frame comes every ``gop_s``."""
    for i in range(round(5 * seconds) + 1):
        at_s = from_s + i / 5
        frozen.observe(is_identical, int(at_s / gop_s + 1e-9), at_s)
    return frozen.is_frozen


def test_a_picture_that_stays_the_same_is_frozen_after_its_time() -> None:
    assert not look(Frozen(60.0), 59.8)
    assert look(Frozen(60.0), 60.0)


def test_a_picture_that_changes_is_frozen_no_longer_at_once() -> None:
    frozen = Frozen(10.0)
    assert look(frozen, 12.0)
    frozen.observe(False, 13, 12.4)
    assert not frozen.is_frozen
    assert not look(frozen, 9.0, from_s=13.0)
    assert look(frozen, 2.0, from_s=22.2)


def test_a_still_scene_between_two_key_frames_is_not_frozen() -> None:
    """Some encoders skip what does not change: only the same key frame again tells a frozen picture."""
    assert not look(Frozen(5.0), 19.0, gop_s=10.0)
    assert look(Frozen(5.0), 21.0, gop_s=10.0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.floats(0.0, 5.0)), max_size=60))
def test_only_what_was_the_same_for_so_long_is_frozen(looks) -> None:
    frozen, now_s, keys, changed_s, changed_keys = Frozen(7.0), 0.0, 0, None, 0
    for is_identical, new_keys, step_s in looks:
        now_s, keys = now_s + step_s, keys + new_keys
        if changed_s is None or not is_identical:
            changed_s, changed_keys = now_s, keys
        frozen.observe(is_identical, keys, now_s)
        assert frozen.is_frozen is (now_s - changed_s >= 7.0 and keys - changed_keys >= 2)
