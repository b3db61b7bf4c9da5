"""Recovery: whose waiting ends with which answer, by tables; then what holds for any sequence of events."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.recovery import BOUNDS_S, Recovery
from daemon.statistics import Histogram

WORKERS = ("w1", "w2")

Event = tuple[str, str, float] | tuple[str, str, str, float]


def play(events: Sequence[Event]) -> Recovery:
    """Let it take note of events: ``(died, worker, MOSAICS, s)``, ``(answered, worker, mosaic, s)``, and the others."""
    recovery = Recovery(WORKERS)
    for event in events:
        match event:
            case ("died", worker, mosaics, now_s):
                recovery.note_death(worker, mosaics.split(), now_s)
            case ("answered", worker, mosaic, now_s):
                recovery.note_answer(worker, mosaic, now_s)
            case ("given up", worker, _):
                recovery.note_given_up(worker)
            case ("slots gone", mosaics, _):
                recovery.note_slots_gone(mosaics.split())
    return recovery


def seen(histogram: Histogram) -> tuple[int, float]:
    """How many times there were, and their sum."""
    return histogram.total, pytest.approx(histogram.sum)


@pytest.mark.parametrize(
    ("events", "mosaics", "workers"),
    [
        ((), (0, 0.0), {}),
        ((("answered", "w1", "m1", 1.0),), (0, 0.0), {}),
        # Its successor is the first to answer.
        ((("died", "w1", "m1", 10.0), ("answered", "w1", "m1", 12.5)), (1, 2.5), {"w1": (1, 2.5)}),
        # Another answers first.
        (
            (("died", "w1", "m1", 10.0), ("answered", "w2", "m1", 10.5), ("answered", "w1", "m1", 13.0)),
            (1, 0.5),
            {"w1": (1, 3.0)},
        ),
        # Each of its mosaics counts, and each once.
        (
            (
                ("died", "w1", "m1 m3", 10.0),
                ("answered", "w2", "m1", 10.5),
                ("answered", "w2", "m1", 11.5),
                ("answered", "w2", "m3", 12.0),
            ),
            (2, 2.5),
            {},
        ),
        # Another's own mosaics have not waited.
        ((("died", "w1", "m1", 10.0), ("answered", "w2", "m2", 11.0)), (0, 0.0), {}),
        # The successor may answer another mosaic than it did.
        ((("died", "w1", "m1", 10.0), ("answered", "w1", "m2", 11.0)), (0, 0.0), {"w1": (1, 1.0)}),
        # Deaths in a row: the first counts, for the guest's as well.
        (
            (
                ("died", "w1", "m1", 10.0),
                ("died", "w1", "", 11.0),
                ("died", "w2", "m1 m2", 12.0),
                ("answered", "w1", "m1", 14.0),
                ("answered", "w1", "m2", 14.5),
                ("answered", "w2", "m2", 16.0),
            ),
            (2, 4.0 + 2.5),
            {"w1": (1, 4.0), "w2": (1, 4.0)},
        ),
        # ... but not one before an answer.
        (
            (
                ("died", "w1", "m1", 10.0),
                ("answered", "w1", "m1", 11.0),
                ("died", "w1", "m1", 20.0),
                ("answered", "w1", "m1", 22.0),
            ),
            (2, 3.0),
            {"w1": (2, 3.0)},
        ),
        # Who had nothing to do is not missed.
        ((("died", "w1", "", 10.0), ("answered", "w1", "m1", 99.0)), (0, 0.0), {}),
        # Who is given up is not waited for; its mosaics are.
        (
            (
                ("died", "w1", "m1", 10.0),
                ("given up", "w1", 10.0),
                ("answered", "w2", "m1", 11.0),
                ("answered", "w1", "m1", 5000.0),
            ),
            (1, 1.0),
            {},
        ),
        # Without a slot a mosaic waits for its capture process.
        (
            (("died", "w1", "m1 m2", 10.0), ("slots gone", "m1", 10.5), ("answered", "w1", "m1", 15.0)),
            (0, 0.0),
            {"w1": (1, 5.0)},
        ),
    ],
)
def test_times_from_a_death_to_the_next_answer(
    events: Sequence[Event], mosaics: tuple[int, float], workers: dict[str, tuple[int, float]]
) -> None:
    recovery = play(events)
    assert seen(recovery.of_mosaics()) == mosaics
    assert {name: seen(h) for name, h in recovery.of_workers().items()} == dict.fromkeys(WORKERS, (0, 0.0)) | workers


def test_buckets_tell_a_tenth_of_a_second_from_two_minutes() -> None:
    assert (BOUNDS_S[0], BOUNDS_S[-1]) == (0.1, 120.0)
    assert list(BOUNDS_S) == sorted(set(BOUNDS_S))
    histogram = play([("died", "w1", "m1", 0.0), ("answered", "w1", "m1", 0.1)]).of_mosaics()
    assert histogram.counts == (1,) * len(BOUNDS_S)


MOSAICS = st.sampled_from(["m1", "m2", "m3"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(
            st.just("died"), st.sampled_from(WORKERS), st.lists(MOSAICS, unique=True).map(" ".join), st.just(0.0)
        ),
        st.tuples(st.just("answered"), st.sampled_from(WORKERS), MOSAICS, st.just(0.0)),
        st.tuples(st.just("given up"), st.sampled_from(WORKERS), st.just(0.0)),
        st.tuples(st.just("slots gone"), MOSAICS, st.just(0.0)),
    )
)


@given(EVENTS)
def test_nobody_recovers_more_often_than_it_was_lost(events: list[Event]) -> None:
    recovery = play([(*event[:-1], float(at)) for at, event in enumerate(events)])
    losses = [event for event in events if event[0] == "died"]
    assert recovery.of_mosaics().total <= sum(len(event[2].split()) for event in losses)
    for worker, histogram in recovery.of_workers().items():
        assert histogram.total <= sum(event[1] == worker and event[2] != "" for event in losses)
        assert 0 <= histogram.sum <= len(events)
