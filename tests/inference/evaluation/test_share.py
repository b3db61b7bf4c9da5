"""Workers that are measured together: the same window for all, after all are ready, and failures told by worker."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from inference.engine import ModelFiles
from inference.engines import installed_engines
from inference.evaluation.messages import Failed, Loaded, Reply, Worked
from inference.evaluation.process import Measurer
from inference.evaluation.share import SharePlan, Team, measure
from tests.system.colours import CELL, write_model

PLAN = SharePlan(
    ModelFiles(Path("/a.cfg"), Path("/a.weights"), Path("/a.names")), "openvino", "float32", "tiles", (128, 64), 0.1
)
LOADED = Loaded(("person",), 0.1)
WORKED = Worked((0.1, 0.3), False, 80.0, None)


def team_of(diary: Path, *answers: tuple[Reply, ...]) -> Callable[[], Measurer]:
    """Starts measuring processes that write down each order with who got it, and answer with these, in turn."""
    places = iter(range(len(answers)))
    program = (
        "import sys\n"
        "place, diary, *answers = sys.argv[1:]\n"
        "for order, answer in zip(sys.stdin, answers):\n"
        "    with open(diary, 'a') as file: file.write(place + ' ' + order)\n"
        "    print(answer, flush=True)\n"
    )

    def start() -> Measurer:
        place = next(places)
        said = [msgspec.json.encode(answer).decode() for answer in answers[place]]
        return Measurer((sys.executable, "-c", program, str(place), str(diary), *said))

    return start


def test_all_are_loaded_before_any_works_and_all_work_in_the_same_window(tmp_path: Path) -> None:
    diary, told = tmp_path / "diary", []
    gpu = Worked((0.2,), False, 90.0, 700.0)
    start = team_of(diary, (LOADED, WORKED), (LOADED, gpu), (LOADED, WORKED))
    team = Team(3, batch=2, threads=1, memory_mode="fraction", limit_mib=300)
    assert measure(PLAN, team, told.append, start).frame_s == pytest.approx((0.1, 0.1, 0.1))  # two mosaics a call
    entries = [line.split(" ", 1) for line in diary.read_text().splitlines()]
    orders = [(int(place), json.loads(order)) for place, order in entries]
    assert [(place, order["type"]) for place, order in orders[:3]] == [(0, "Load"), (1, "Load"), (2, "Load")]
    assert sorted((place, order["type"]) for place, order in orders[3:]) == [(0, "Work"), (1, "Work"), (2, "Work")]
    assert len({(order["from_s"], order["until_s"]) for _, order in orders[3:]}) == 1
    window = orders[3][1]
    assert window["until_s"] - window["from_s"] == pytest.approx(PLAN.seconds)
    load = orders[0][1]
    assert (load["batch"], load["input_wh"], load["threads"]) == (8, [64, 32], 1)  # two mosaics of four tiles
    assert (load["memory_mode"], load["memory_limit_mib"]) == ("fraction", 300)
    assert told[-1] == PLAN.seconds


def test_the_peak_is_the_devices_where_it_counts_its_own(tmp_path: Path) -> None:
    start = team_of(tmp_path / "diary", (LOADED, WORKED), (LOADED, Worked((0.2,), False, 90.0, 700.0)))
    assert measure(PLAN, Team(2), lambda _: None, start).peak_mib == (80.0, 700.0)


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ((Failed("OutOfMemory", "no memory for that"),), "worker 2 of 2: no memory for that"),
        ((), "worker 2 of 2: the measuring process ended with exit code 0"),
        ((LOADED, Failed("OutOfMemory", "now it ran out")), "worker 2 of 2: now it ran out"),
        ((LOADED, LOADED), "worker 2 of 2: answered with Loaded"),
        ((LOADED, Worked((), False, 1.0, None)), "finished no call within the window: give more --seconds"),
        ((LOADED, Worked((0.1,), True, 1.0, None)), "too busy to measure"),
    ],
)
def test_who_fails_is_told_and_nothing_is_measured(tmp_path: Path, answers: tuple[Reply, ...], words: str) -> None:
    found = measure(PLAN, Team(2), lambda _: None, team_of(tmp_path / "diary", (LOADED, WORKED), answers))
    assert words in found.problem
    assert (found.frame_s, found.peak_mib) == ((), ())


@pytest.mark.slow
def test_real_workers_work_within_their_limits(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    files = ModelFiles(model.cfg, model.weights, model.names)
    engine = installed_engines()[0]
    plan = SharePlan(files, engine, "float32", "tiles", (8 * CELL, 6 * CELL), 0.3, cache_dir=tmp_path / "cache")
    found = measure(plan, Team(2, memory_mode="fraction", limit_mib=4000), lambda _: None)
    assert found.problem == ""
    assert len(found.frame_s) == len(found.peak_mib) == 2
    assert min(found.frame_s) > 0
    assert all(50 < peak < 4000 for peak in found.peak_mib)
    # A limit that nothing fits in: a real process under the kernel's limit.
    assert measure(plan, Team(1, memory_mode="fraction", limit_mib=16), lambda _: None).problem.startswith("worker 1")
