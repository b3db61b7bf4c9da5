"""The ledger counts exactly: over generations, through repeats and gaps, and never on a lie."""

from dataclasses import replace
from math import inf, nan

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from capture.grouping import MosaicPlan
from capture.messages import Answer, CameraCounts, CameraReport, CameraTransition, MosaicReport, Sighting, TileAnswer
from capture.slot import MAX_SIDE
from capture.words import CameraState, Reason
from daemon.job import ANSWERED_WITHIN_S
from daemon.ledger import LAST_AT, LATENCY_BOUNDS_S, Ledger, UntrustworthyError
from daemon.statistics import CameraStatistics, MosaicStatistics
from events.words import event_id

PLANS = (MosaicPlan("m1", ("a", "b", None, "c")), MosaicPlan("m2", (None, "d", None, None)))
LABELS = frozenset({"dog", "cat"})
DOG = Sighting("dog", 0.5, (0.0, 0.0, 10.0, 10.0))
SLOT = 7


def new_ledger() -> Ledger:
    return Ledger(PLANS, LABELS, {plan.name: ANSWERED_WITHIN_S for plan in PLANS}, now_s=100.0)


def tile(camera: str = "a", number: int = 1, *sightings: Sighting, **changes: object) -> TileAnswer:
    plain = TileAnswer(
        camera=camera,
        epoch=0,
        composed_number=number,
        frame_time_s=1.0,
        captured_at=1.7e9,
        captured_mono_s=200.0,
        source_wh=(640, 480),
        sightings=sightings,
    )
    return msgspec.structs.replace(plain, **changes)


def answer(*tiles: TileAnswer, mosaic: str = "m1", slot_id: int = SLOT) -> Answer:
    number = max((tile.composed_number for tile in tiles), default=1)
    return Answer(mosaic, slot_id, canvas_number=number, composed_mono_s=200.0, inference_s=0.1, tiles=tiles)


def note(ledger: Ledger, *tiles: TileAnswer, now_s: float = 200.1, **changes: object) -> list[str]:
    """Names of the cameras whose tiles were new."""
    return [seen.camera for seen in ledger.note_answer("w1", answer(*tiles, **changes), SLOT, now_s)]


def camera(ledger: Ledger, name: str = "a", now_s: float = 200.0) -> CameraStatistics:
    return next(found for found in ledger.cameras(now_s) if found.name == name)


def mosaic(ledger: Ledger, name: str = "m1", now_s: float = 200.0) -> MosaicStatistics:
    return next(found for found in ledger.mosaics({"m1": "w1"}, {}, now_s) if found.name == name)


def report(name: str = "a", failures: dict[Reason, int] | None = None, **counts: int) -> CameraReport:
    return CameraReport(
        name, CameraState.STREAMING, None, CameraCounts(**counts), failures or {}, source_wh=(8, 6), last_frame_at=5.0
    )


def test_every_camera_and_mosaic_is_there_before_anything_is_heard():
    ledger = new_ledger()
    assert [(c.name, c.mosaic, c.tile) for c in ledger.cameras(130.0)] == [
        ("a", "m1", 0),
        ("b", "m1", 1),
        ("c", "m1", 3),
        ("d", "m2", 1),
    ]
    first = camera(ledger, now_s=130.0)
    assert (first.state, first.since_s, first.counts, first.failures) == (
        CameraState.CONNECTING,
        30.0,
        CameraCounts(),
        {},
    )
    assert [(m.name, m.composed, m.worker, m.is_answered) for m in ledger.mosaics({"m1": "w1"}, {}, 130.0)] == [
        ("m1", 0, "w1", False),
        ("m2", 0, None, False),
    ]
    assert Ledger((), frozenset(), {}, 0.0).cameras(1.0) == ()


# --- reports and generations ---


def test_reports_replace_each_other_and_generations_add_up():
    ledger = new_ledger()
    ledger.note_camera(report(packets=10, frames=5, failures={Reason.TIMEOUT: 1}))
    ledger.note_camera(report(packets=12, frames=6, failures={Reason.TIMEOUT: 1, Reason.ENDED: 1}))
    ledger.note_capture_gone(["m1"], 150.0)
    assert camera(ledger).counts == CameraCounts(packets=12, frames=6)
    ledger.note_camera(report(packets=3, frames=1, failures={Reason.TIMEOUT: 2}))
    assert camera(ledger).counts == CameraCounts(packets=15, frames=7)
    assert camera(ledger).failures == {Reason.TIMEOUT: 3, Reason.ENDED: 1}
    ledger.note_capture_gone(["m1"], 160.0)
    ledger.note_capture_gone(["m1"], 170.0)
    assert camera(ledger).counts == CameraCounts(packets=15, frames=7)


def test_a_mosaics_canvases_add_up_too():
    ledger = new_ledger()
    assert ledger.note_mosaic(MosaicReport("m1", 10, 2, 3)) == 10
    assert ledger.note_mosaic(MosaicReport("m1", 15, 2, 3)) == 5
    assert ledger.note_mosaic(MosaicReport("m1", 15, 7, 0)) == 0
    ledger.note_capture_gone(["m1"], 150.0)
    assert mosaic(ledger).live_tiles == 0
    assert ledger.note_mosaic(MosaicReport("m1", 4, 1, 2)) == 4
    found = mosaic(ledger)
    assert (found.composed, found.skipped, found.live_tiles) == (19, 8, 2)


def test_a_capture_process_takes_only_its_own_cameras_down():
    ledger = new_ledger()
    for name in "abcd":
        ledger.note_transition(CameraTransition(name, 0, CameraState.STREAMING), 110.0)
    ledger.note_capture_gone(["m2"], 150.0)
    down = {c.name: (c.state, c.reason, c.since_s) for c in ledger.cameras(160.0) if not c.is_up}
    assert down == {"d": (CameraState.BACKOFF, Reason.BROKEN, 10.0)}


def test_counters_that_fell_without_a_death_have_begun_anew():
    ledger = new_ledger()
    ledger.note_camera(report(packets=10, frames=5, failures={Reason.TIMEOUT: 4}))
    ledger.note_camera(report(packets=2, frames=6, failures={}))
    assert camera(ledger).counts == CameraCounts(packets=12, frames=11)
    assert camera(ledger).failures == {Reason.TIMEOUT: 4}
    ledger.note_mosaic(MosaicReport("m1", 10, 0, 0))
    assert ledger.note_mosaic(MosaicReport("m1", 3, 0, 0)) == 3
    assert mosaic(ledger).composed == 13


def test_transitions_are_of_known_cameras_and_the_current_epoch():
    ledger = new_ledger()
    up = CameraTransition("a", 0, CameraState.STREAMING)
    assert ledger.note_transition(up, 110.0)
    assert camera(ledger, now_s=115.0).since_s == 5.0
    assert camera(ledger).is_up
    assert not ledger.note_transition(msgspec.structs.replace(up, camera="nobody"), 111.0)
    assert not ledger.note_transition(CameraTransition("a", 1, CameraState.BACKOFF, Reason.ENDED), 111.0)
    assert camera(ledger).is_up


def test_what_is_said_of_strangers_is_dropped():
    ledger = new_ledger()
    before = ledger.cameras(200.0), ledger.mosaics({}, {}, 200.0)
    ledger.note_camera(report("nobody", packets=1))
    assert ledger.note_mosaic(MosaicReport("m9", 1, 1, 1)) == 0
    assert note(ledger, tile(), mosaic="m9") == []
    assert (ledger.cameras(200.0), ledger.mosaics({}, {}, 200.0)) == before


# --- answers ---


def test_a_new_tile_is_delivered_and_counted():
    ledger = new_ledger()
    [seen] = ledger.note_answer("w2", answer(tile("a", 1, DOG, DOG), mosaic="m1"), SLOT, 200.1)
    assert (seen.camera, seen.mosaic, seen.worker, seen.frame_time_s, seen.captured_at) == ("a", "m1", "w2", 1.0, 1.7e9)
    assert (seen.source_wh, seen.sightings) == ((640, 480), (DOG, DOG))
    found = camera(ledger)
    assert (found.analyzed, found.unread, found.outdated, found.sightings) == (1, 0, 0, {"dog": 2})


@pytest.mark.parametrize(
    ("numbers", "analyzed", "unread"),
    [
        ([1, 2, 3], 3, 0),
        ([1, 1, 1, 2], 2, 0),
        ([5], 1, 4),
        ([1, 4, 4, 5, 9], 4, 5),
        ([3, 2, 1, 3], 1, 2),
        ([0, -1], 0, 0),
    ],
)
def test_repeats_count_once_and_gaps_as_unread(numbers, analyzed, unread):
    ledger = new_ledger()
    delivered = sum(len(note(ledger, tile("a", number, DOG))) for number in numbers)
    found = camera(ledger)
    assert (delivered, found.analyzed, found.unread, found.sightings.get("dog", 0)) == (
        analyzed,
        analyzed,
        unread,
        analyzed,
    )


def test_one_camera_twice_in_one_answer_is_a_repeat():
    ledger = new_ledger()
    assert note(ledger, tile("a", 1), tile("a", 1)) == ["a"]


def test_a_new_slot_numbers_anew():
    ledger = new_ledger()
    note(ledger, tile("a", 50))
    assert [t.camera for t in ledger.note_answer("w1", answer(tile("a", 3), slot_id=8), 8, 201.0)] == ["a"]
    assert (camera(ledger).analyzed, camera(ledger).unread) == (2, 49 + 2)


@pytest.mark.parametrize(
    ("late", "changes"),
    [
        (tile("a", 2), {"slot_id": SLOT - 1}),
        (tile("a", 2), {"slot_id": SLOT + 1}),
        (tile("a", 2, epoch=1), {}),
        (tile("a", 2), {"mosaic": "m2"}),
    ],
    ids=["old slot", "unknown slot", "other epoch", "another mosaic's camera"],
)
def test_outdated_tiles_are_counted_and_not_delivered(late, changes):
    ledger = new_ledger()
    assert note(ledger, late, **changes) == []
    found = camera(ledger)
    assert (found.analyzed, found.unread, found.outdated, found.sightings) == (0, 0, 1, {})
    assert note(ledger, tile("a", 2)) == ["a"], "its number was not used up"


def test_an_outdated_tile_costs_its_neighbours_nothing():
    ledger = new_ledger()
    assert note(ledger, tile("a", 1), tile("b", 1, epoch=9), tile("c", 1)) == ["a", "c"]


def test_an_answer_for_an_old_slot_does_not_answer_the_mosaic():
    ledger = new_ledger()
    note(ledger, tile(), slot_id=SLOT - 1)
    assert (mosaic(ledger).answered, mosaic(ledger).last_answer_age_s) == (0, None)
    assert ledger.note_answer("w1", answer(tile()), -1, 200.0) == [], "there is no slot at all"


def test_an_empty_answer_is_an_answer():
    ledger = new_ledger()
    assert note(ledger, now_s=200.0) == []
    assert mosaic(ledger, now_s=200.0 + ANSWERED_WITHIN_S).is_answered
    late = mosaic(ledger, now_s=200.1 + ANSWERED_WITHIN_S)
    assert (late.answered, late.is_answered, late.last_answer_age_s) == (1, False, pytest.approx(5.1))


def seen(label: str = "dog", score: float = 0.5, box: tuple[float, float, float, float] = (0, 0, 10, 10)) -> Sighting:
    return Sighting(label, score, box)


@pytest.mark.parametrize(
    "lie",
    [
        *(tile(frame_time_s=number) for number in (nan, inf, -inf)),
        *(tile(captured_at=number) for number in (nan, inf, 1e18, 253402300800.0, -0.001)),
        *(tile(captured_mono_s=number) for number in (nan, -inf, inf, -0.001, 261.0, 1e300)),
        *(tile(source_wh=wh) for wh in ((0, 480), (640, 0), (-640, 480), (MAX_SIDE + 1, 480), (640, MAX_SIDE + 1))),
        *(tile("a", 1, seen(score=score)) for score in (nan, inf, -0.01, 1.01)),
        *(tile("a", 1, seen(label=label)) for label in ("", "Dog", "person")),
        *(
            tile("a", 1, seen(box=box))
            for box in (
                (nan, 0, 10, 10),
                (0, nan, 10, 10),
                (0, 0, nan, 10),
                (0, 0, 10, nan),
                (0, 0, inf, 10),
                (-inf, 0, 10, 10),
                (-0.5, 0, 10, 10),
                (0, -0.5, 10, 10),
                (0, 0, 640.5, 10),
                (0, 0, 10, 480.5),
                (10, 0, 10, 10),
                (0, 10, 10, 5),
            )
        ),
    ],
)
def test_what_cannot_be_is_refused_whole(lie):
    ledger = new_ledger()
    before = ledger.cameras(200.0), ledger.mosaics({}, {}, 200.0), ledger.latency()
    with pytest.raises(UntrustworthyError, match=r"a (tile|sighting) of a"):
        note(ledger, tile("b", 1, DOG), lie, tile("c", 1, DOG))
    assert (ledger.cameras(200.0), ledger.mosaics({}, {}, 200.0), ledger.latency()) == before


@pytest.mark.parametrize(
    "edge",
    [
        tile("a", 1, seen(box=(0.0, 0.0, 640.0, 480.0))),
        tile("a", 1, seen(box=(-0.0, 0.0, 1e-9, 1e-9), score=0.0)),
        tile("a", 1, seen(score=1.0)),
        tile("a", 1, source_wh=(MAX_SIDE, 1)),
        tile("a", 1, captured_at=0.0, captured_mono_s=0.0),
        tile("a", 1, captured_at=LAST_AT, captured_mono_s=260.0),
    ],
)
def test_what_just_can_be_is_taken(edge):
    assert note(new_ledger(), edge) == ["a"]


@pytest.mark.parametrize("at", [0.0, LAST_AT])
def test_of_every_time_that_is_taken_there_can_be_an_event_that_lasts(at):
    year_s = 366 * 86_400.0
    assert event_id("gate", at, 0) < event_id("gate", at + year_s, 0)


# --- latency ---


def test_latency_is_a_cumulative_histogram():
    ledger = new_ledger()
    for number, seconds in enumerate((0.0, 0.025, 0.026, 4.0, 11.0, -3.0), 1):
        note(ledger, tile("a", number, captured_mono_s=200.0), now_s=200.0 + seconds)
    found = ledger.latency()
    assert found.bounds == LATENCY_BOUNDS_S
    assert found.total == 6
    assert found.sum == pytest.approx(0.025 + 0.026 + 4 + 11)
    at = dict(zip(found.bounds, found.counts, strict=True))
    assert (at[0.05], at[3.0], at[5.0], at[10.0]) == (4, 4, 5, 5)


@given(st.lists(st.floats(0, 20)))
def test_latency_counts_are_what_each_bound_holds(latencies):
    ledger = new_ledger()
    for number, seconds in enumerate(latencies, 1):
        note(ledger, tile("a", number, captured_mono_s=0.0), now_s=seconds)
    found = ledger.latency()
    assert found.counts == tuple(sum(s <= bound for s in latencies) for bound in found.bounds)
    assert found.total == len(latencies)


# --- whatever happens ---


class AnyTraffic(RuleBasedStateMachine):
    """Capture processes that die, reports that repeat, answers that come late, twice or never."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = new_ledger()
        self.slot_id = 1
        self.composed = 0
        """Frames of camera a on canvases of this slot."""
        self.answered_up_to = 0
        self.owed_before = 0
        """Frames of earlier slots that were answered or passed over."""
        self.told = CameraCounts()
        self.expected = CameraCounts()
        self.delivered = 0
        self.sent_outdated = 0
        self.last: CameraStatistics | None = None

    @rule(frames=st.integers(0, 5))
    def frames_come(self, frames):
        self.composed += frames
        self.told = replace_counts(self.told, frames)
        self.expected = replace_counts(self.expected, frames)
        self.ledger.note_camera(CameraReport("a", CameraState.STREAMING, None, self.told, {}))

    @rule(back=st.integers(0, 3))
    def an_answer_comes(self, back):
        number = self.composed - back
        if number < 1:
            return
        found = self.ledger.note_answer("w1", answer(tile("a", number, DOG), slot_id=self.slot_id), self.slot_id, 200.0)
        self.delivered += len(found)
        assert len(found) == (number > self.answered_up_to)
        self.answered_up_to = max(self.answered_up_to, number)

    @rule()
    def an_old_answer_comes(self):
        self.sent_outdated += 1
        assert not self.ledger.note_answer("w1", answer(tile("a", 1), slot_id=0), self.slot_id, 200.0)

    @rule()
    def the_capture_process_dies(self):
        self.ledger.note_capture_gone(["m1"], 200.0)
        self.slot_id += 1
        self.owed_before += self.answered_up_to
        self.told, self.composed, self.answered_up_to = CameraCounts(), 0, 0

    @invariant()
    def frames_are_conserved(self):
        now = camera(self.ledger)
        assert now.counts == self.expected
        assert now.analyzed == self.delivered == now.sightings.get("dog", 0)
        assert now.analyzed + now.unread == self.owed_before + self.answered_up_to
        assert now.outdated == self.sent_outdated
        assert self.ledger.latency().total == now.analyzed

    @invariant()
    def nothing_goes_down(self):
        now = camera(self.ledger)
        was, self.last = self.last or now, now
        assert now.analyzed >= was.analyzed
        assert now.unread >= was.unread
        assert now.counts.frames >= was.counts.frames


def replace_counts(counts: CameraCounts, frames: int) -> CameraCounts:
    return msgspec.structs.replace(counts, frames=counts.frames + frames, packets=counts.packets + 2 * frames)


TestAnyTraffic = pytest.mark.slow(AnyTraffic.TestCase)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50), st.booleans())))
def test_no_reports_whatever_make_a_total_fall(reports):
    ledger = new_ledger()
    totals = CameraCounts(), mosaic(ledger)
    for packets, frames, dies in reports:
        ledger.note_camera(report(packets=packets, frames=frames))
        ledger.note_mosaic(MosaicReport("m1", packets, frames, 0))
        if dies:
            ledger.note_capture_gone(["m1"], 200.0)
        now = camera(ledger).counts, mosaic(ledger)
        assert now[0].packets >= totals[0].packets
        assert now[0].frames >= totals[0].frames
        assert now[1].composed >= totals[1].composed
        assert now[1].skipped >= totals[1].skipped
        totals = now


def test_what_is_shown_cannot_be_changed():
    ledger = new_ledger()
    note(ledger, tile("a", 1, DOG))
    shown = camera(ledger)
    shown.sightings["dog"] = 99
    shown.failures[Reason.ENDED] = 99
    assert camera(ledger) == replace(shown, sightings={"dog": 1}, failures={})


def test_a_tile_that_is_shown_again_counts_in_the_ages_and_not_in_the_latency():
    ledger = new_ledger()
    note(ledger, tile("a"), tile("b"), now_s=200.1)
    note(ledger, tile("a"), tile("b", 2), now_s=200.6)
    ages = mosaic(ledger).tile_age
    assert (ages.total, ages.sum) == (4, pytest.approx(1.4))
    assert ledger.latency().total == 3
    # Of a slot that is gone: nobody's.
    note(ledger, tile("a"), now_s=200.7, slot_id=SLOT + 1)
    assert mosaic(ledger).tile_age.total == 4


def test_a_tile_is_missing_where_a_camera_has_no_fresh_frame():
    ledger = new_ledger()
    assert (mosaic(ledger).missing_tiles, mosaic(ledger, "m2").missing_tiles) == (3, 1)
    ledger.note_mosaic(MosaicReport("m1", composed=1, skipped=0, live_tiles=2))
    assert mosaic(ledger).missing_tiles == 1


def test_labels_that_are_looked_for_are_counted_from_zero_and_kept_over_a_reload() -> None:
    within_s = {plan.name: ANSWERED_WITHIN_S for plan in PLANS}
    ledger = Ledger(PLANS, LABELS, within_s, 100.0, {"a": ("dog", "cat")})
    assert (camera(ledger).sightings, camera(ledger, "b").sightings) == ({"dog": 0, "cat": 0}, {})
    note(ledger, tile("a", 1, DOG))
    ledger.adopt(PLANS, {}, within_s, 101.0, {"a": ("dog",), "b": ("cat",)})
    assert camera(ledger).sightings == {"dog": 1, "cat": 0}
    assert camera(ledger, "b").sightings == {"cat": 0}
