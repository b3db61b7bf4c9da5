"""From one roster to another by value: who keeps reader and tile, what each process is told, what a person reads."""

from hypothesis import given
from hypothesis import strategies as st

from capture.grouping import MosaicPlan
from daemon.change import Change, plan_change
from daemon.devices import Plan
from daemon.job import Job, plan_groups, plan_job
from daemon.orders import Difference
from tests.daemon.test_job import ENVIRON, RUNS, W1, roster_of, settings_of

Cameras = dict[str, str]
"""Keys of each camera, as the roster has them, by name."""


def job_of(cameras: Cameras, previous: tuple[MosaicPlan, ...] = (), settings: str = "") -> Job:
    lines = "".join(f"  {name}: {{url: 'rtsp://h/{name}'{keys}}}\n" for name, keys in cameras.items())
    roster = roster_of(f"cameras:\n{lines}" if lines else "cameras: {}\n")
    plans = plan_groups(roster, previous)
    plan = Plan((W1,))
    return plan_job(settings_of(settings), roster, plans, plan, labels=["dog"], runs=RUNS, cores=2, environ=ENVIRON)


def change(before: Cameras | Job, after: Cameras) -> Change:
    old = before if isinstance(before, Job) else job_of(before)
    return plan_change(old, job_of(after, old.plans))


def epochs(job: Job) -> dict[str, int]:
    return {camera.name: camera.epoch for opening in job.openings.values() for camera in opening.cameras if camera}


def plain(count: int) -> Cameras:
    return {f"c{n}": "" for n in range(1, count + 1)}


def test_the_same_roster_changes_nothing():
    found = change(plain(6), plain(6))
    assert found.difference == Difference()
    assert found.openings == found.closings == {}
    assert found.job.openings == job_of(plain(6)).openings


def test_other_rules_for_events_leave_the_cameras_their_readers():
    old = job_of(plain(3))
    line = "lines: {gate: {start: [0, 0], end: [1, 1]}}"
    new = job_of(plain(3) | {"c2": f", {line}"}, old.plans)
    found = plan_change(old, new)
    assert found.difference == Difference(followed=("c2",))
    assert found.openings == found.closings == {}
    assert found.job.events is not None
    assert [each.name for each in found.job.events.cameras["c2"].rules.lines] == ["gate"]

    none = "events: {enabled: false}"
    old = job_of(plain(3), settings=none)
    assert plan_change(old, job_of(plain(3) | {"c2": f", {line}"}, old.plans, none)).difference == Difference()


def test_one_added_and_one_changed_leave_all_others_their_readers():
    old = job_of(plain(6))
    found = change(old, plain(6) | {"c2": ", fps: 1", "c7": ""})
    assert found.difference == Difference(added=("c7",), changed=("c2",))
    assert epochs(found.job) == {"c1": 0, "c2": 1, "c3": 0, "c4": 0, "c5": 0, "c6": 0, "c7": 1}
    assert found.openings == {"c1": ("m1",), "c2": ("m2",)}
    assert found.closings == {}
    assert found.job.captures == old.captures


def test_a_new_mosaic_goes_to_the_process_that_has_fewest():
    old = job_of(plain(12))
    assert [mosaics for _, mosaics in old.captures.values()] == [("m1", "m3"), ("m2",)]
    found = change(old, plain(14))
    assert found.openings == {"c2": ("m4",)}
    assert found.difference == Difference(added=("c13", "c14"), opened=("m4",))


def test_the_last_camera_of_a_mosaic_closes_it():
    found = change(plain(5), plain(4))
    assert found.difference == Difference(removed=("c5",), closed=("m2",))
    assert found.closings == {"c2": ("m2",)}
    assert found.openings == {}


def test_who_asks_for_another_mosaic_is_moved_and_read_anew():
    found = change(plain(5), plain(5) | {"c1": ", mosaic: yard"})
    assert found.difference == Difference(moved=("c1",), opened=("yard",))
    assert epochs(found.job)["c1"] == 1


def test_other_labels_touch_no_reader():
    found = change(plain(5), plain(5) | {"c1": ", labels: [dog]", "c5": ", priority: high"})
    assert found.difference == Difference(judged=("m1", "m2"))
    assert found.openings == {}
    assert found.job.assignments["m1"].labels == {"c1": ("dog",)}


def test_a_lower_score_is_what_workers_load_and_a_higher_one_is_not():
    lower = change(plain(2), plain(2) | {"c1": ", min_score: 0.05"}).job
    assert [worker.load.score for worker in lower.workers] == [0.05]
    assert [worker.load.score for worker in change(lower, plain(2)).job.workers] == [0.05]


def test_a_camera_that_comes_back_is_not_what_it_was():
    first = change(plain(2), plain(1)).job
    second = change(first, plain(2)).job
    assert epochs(second) == {"c1": 0, "c2": 2}


def test_no_camera_and_from_there():
    found = change(plain(2), {})
    assert found.difference == Difference(removed=("c1", "c2"), closed=("m1",))
    assert change(found.job, plain(2)).openings == {"c1": ("m1",)}


keys = st.sampled_from(["", ", fps: 1", ", fps: 2.5", ", mosaic: yard", ", enabled: false", ", labels: [dog]"])
rosters = st.dictionaries(st.integers(1, 9).map("c{}".format), keys, max_size=9).filter(
    lambda cameras: sum("yard" in each for each in cameras.values()) <= 4
)


@given(st.lists(rosters, min_size=2, max_size=5))
def test_whatever_comes_everybody_is_captured_once_and_only_the_same_keep_their_epoch(several):
    job = job_of(several[0])
    seen = {(name, epoch): spec for name, epoch, spec in _specs(job)}
    for cameras in several[1:]:
        before, found = job, change(job, cameras)
        job = found.job
        assert found.job.captures.keys() == before.captures.keys()
        captured = sorted(mosaic for _, mosaics in job.captures.values() for mosaic in mosaics)
        assert captured == sorted(job.openings) == sorted(job.assignments) == sorted(plan.name for plan in job.plans)
        assert {wanted.name for wanted in job.wanted} == job.openings.keys()
        for mosaic in set(before.openings) & set(job.openings):
            assert _captor(before, mosaic) == _captor(job, mosaic), "no mosaic changes its process"
        for name, epoch, spec in _specs(job):
            assert seen.setdefault((name, epoch), spec) == spec, "an epoch is of one camera as it was"
        assert plan_change(job, job_of(cameras, job.plans)).difference == Difference()
        told = {mosaic for mosaics in found.openings.values() for mosaic in mosaics}
        assert told == {m for m in job.openings if before.openings.get(m, None) is None or _changed(before, job, m)}


def _specs(job: Job):
    for mosaic, opening in job.openings.items():
        for tile, camera in enumerate(opening.cameras):
            if camera:
                yield camera.name, camera.epoch, (mosaic, tile, camera)


def _captor(job: Job, mosaic: str) -> str:
    return next(name for name, (_, mosaics) in job.captures.items() if mosaic in mosaics)


def _changed(before: Job, job: Job, mosaic: str) -> bool:
    return before.openings[mosaic].cameras != job.openings[mosaic].cameras
