"""How fast footage is analyzed: `mosaicd analyze` against a plain OpenCV-and-Keras script, in one run.

    python bench/analyze.py [--rounds 3] [--fps 5] [--model NAME|CFG] [--json] [FILE ...]

The script is what one writes first: `cv2.VideoCapture`, one file after the other; frames that are not looked at are
grabbed but not converted, the others are letterboxed into the same tile and given to `model.predict`, and boxes are
read and suppressed by the same code. It is as nice as mosaicd's own processes are; it follows nothing and keeps
nothing. The same script with the engine that mosaicd uses, on all cores, tells what is the engine's part in the
difference. All take the same frames a second from the same files, and the same model at the same tile size. Each is a
program of its own, in turn, and over again; figures are medians over the rounds. "Whole" begins with the program, and
has its imports and the loading of the model in it; "at work" begins with the first frames that were looked at.

Without files it takes the real footage in ../shared/data with yolo-fastest-1.1-xl, and the simulator's scenes with the
model that comes with mosaicd.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from math import floor
from pathlib import Path

from rich.console import Console
from rich.table import Table

if __name__ == "__main__":
    # Python puts this folder first, where capture.py and simulator.py would stand for the packages of their names.
    sys.path[0] = str(Path(__file__).parents[1])

import cv2
import numpy as np

from capture.layout import GREY, letterbox, to_source
from capture.lookmessages import Looked
from daemon.analysis.clips import given, parts_of
from daemon.analysis.lookers import Lookers
from daemon.analysis.run import Interrupt, inspect, order_of
from daemon.analysis.site import places_of, read_site
from daemon.benchcli import files_of
from events.life import iou
from inference.engine import EngineOptions, ModelFiles
from inference.loading import Detector, load_engine
from inference.model import inspect_model
from inference.worker import NICE
from simulator.world.clip import ClipSpec, render_clip
from simulator.world.scene import SHOWCASE

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent / "shared" / "data"
CACHE = Path.home() / ".cache" / "mosaicd" / "bench"
TILE_WH = (416, 256)
"""Of the settings' default canvas."""
SCENE_FPS, SCENE_S = 10, 20.0
SURE = 0.35
"""Boxes are compared that are a little above the threshold: at it, the last digit decides."""
SAME_IOU = 0.7
WAYS = {
    "analyze": "mosaicd analyze",
    "keras": "OpenCV and Keras",
    "engine": "OpenCV and mosaicd's engine",
}

Boxes = list[tuple[str, float, tuple[float, float, float, float]]]
"""Label, score, pixels."""


@dataclass(frozen=True, slots=True)
class Run:
    """One program's run."""

    whole_s: float
    work_s: float
    frames: int
    """Looked at."""
    footage_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Material:
    """What is analyzed, with what."""

    title: str
    files: tuple[Path, ...]
    model: str


def plain(files: Sequence[Path], model: ModelFiles, fps: float, way: str) -> Iterator[tuple[float, Boxes]]:
    """The script. Yields (time, boxes) of each frame that it looks at; a time of -1 once the model is loaded and warm,
    then one for the beginning of each file."""
    options = EngineOptions(TILE_WH, threads=len(os.sched_getaffinity(0)), cache_dir=CACHE / "graphs")
    if way == "keras":
        from inference.evaluation.predict import load

        network, labels = inspect_model(model, TILE_WH)
        detector = Detector(load(model, options), network.heads, labels, options)
    else:
        detector = load_engine("openvino", model, options)
    tile = np.full((1, TILE_WH[1], TILE_WH[0], 3), GREY, np.uint8)
    detector.detect(tile)
    yield -1.0, []
    for path in files:
        yield -1.0, []
        video = cv2.VideoCapture(str(path))
        rate_hz = video.get(cv2.CAP_PROP_FPS)
        number, last = -1, -1
        while video.grab():
            number += 1
            window = floor((number / rate_hz + 0.5 / max(fps, rate_hz)) * fps)
            if window == last:
                continue
            last = window
            picture = video.retrieve()[1]
            size_wh = (picture.shape[1], picture.shape[0])
            place = letterbox(size_wh, TILE_WH)
            small = cv2.resize(picture, (place.w, place.h), interpolation=cv2.INTER_AREA)
            tile[:] = GREY
            tile[0][place.slices] = cv2.cvtColor(small, cv2.COLOR_BGR2RGB)
            found = detector.detect(tile)[0]
            boxes = to_source(found.xyxy, place, size_wh).tolist()
            names = [detector.labels[each] for each in found.class_ids]
            yield number / rate_hz, list(zip(names, found.scores.tolist(), map(tuple, boxes), strict=True))
        video.release()


def script(way: str, model: Sequence[str], fps: float, files: Sequence[Path]) -> None:
    """Be the script; print what it found and how long it took as JSON."""
    frames: list[list[tuple[float, Boxes]]] = []
    began_s: float | None = None
    for at_s, boxes in plain(files, ModelFiles(*map(Path, model)), fps, way):
        if at_s >= 0.0:
            frames[-1].append((at_s, boxes))
        elif began_s is None:
            began_s = time.perf_counter()
        else:
            frames.append([])
    assert began_s is not None
    print(json.dumps({"work_s": time.perf_counter() - began_s, "files": frames}))


def measure(way: str, material: Material, model: ModelFiles, fps: float, folder: Path) -> tuple[Run, list[object]]:
    """Run one program over the material; return what it cost and, of a script, what it found in each file."""
    if way == "analyze":
        program = [
            sys.executable,
            "-P",
            "-m",
            "daemon.cli",
            "analyze",
            *map(str, material.files),
            "--model",
            material.model,
        ]
        program += ["--names", str(model.names)]
        program += ["--fps", str(fps), "--out", str(folder / "out"), "--force", "--json"]
    else:
        paths = [str(model.cfg), str(model.weights), str(model.names)]
        program = [
            "nice",
            "-n",
            str(NICE),
            sys.executable,
            __file__,
            "--script",
            way,
            *paths,
            "--fps",
            str(fps),
            *map(str, material.files),
        ]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    before, began_s = os.times(), time.perf_counter()
    done = subprocess.run(program, env=environ, capture_output=True, check=False)
    whole_s, after = time.perf_counter() - began_s, os.times()
    if done.returncode:
        raise RuntimeError(f"{way}: {done.stderr.decode()[-2000:]}")
    cpu_s = after.children_user + after.children_system - before.children_user - before.children_system
    told = json.loads(done.stdout)
    if way == "analyze":
        frames = sum(each["frames"] for each in told["files"])
        return Run(whole_s, told["seconds"] - told["start_s"], frames, told["footage_s"], cpu_s), []
    return Run(whole_s, told["work_s"], sum(map(len, told["files"])), 0.0, cpu_s), told["files"]


def looked(material: Material, model: ModelFiles, fps: float) -> list[dict[int, Boxes]]:
    """What the processes of `mosaicd analyze` see in each file, by the millisecond."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    site = read_site(None, None, model, (), cache=CACHE.parent, fps=fps)
    wanted = given([f"f{number}={path}" for number, path in enumerate(material.files)], ())
    _, places = places_of(site, [each.camera for each in wanted], environ, lambda _: None)
    found: list[dict[int, Boxes]] = [{} for _ in wanted]
    with closing(Lookers(places)) as lookers:
        lookers.start()
        clips = inspect(lookers, wanted, site, Interrupt())
        parts = {part.number: part for part in parts_of(clips)}
        lookers.begin()
        for heard in lookers.look([order_of(part, site) for part in parts.values()]):
            if isinstance(heard, Looked):
                for tile in heard.tiles:
                    boxes = [(each.label, each.score, each.box) for each in tile.sightings]
                    found[parts[tile.epoch].clip.number][round(1000 * tile.frame_time_s)] = boxes
    return found


def agreement(mine: list[dict[int, Boxes]], theirs: list[object]) -> tuple[int, int, int]:
    """How many frames both looked at; of the sure boxes there, how many there are on either side, and how many of them
    the other side has."""
    frames = boxes = same = 0
    for seen, file in zip(mine, theirs, strict=True):
        for at_s, other in file:  # type: ignore[attr-defined]
            if (own := seen.get(round(1000 * at_s))) is None:
                continue
            frames += 1
            for some, others in ((own, other), (other, own)):
                sure = [each for each in some if each[1] >= SURE]
                boxes += len(sure)
                same += sum(any(each[0] == o[0] and iou(each[2], o[2]) >= SAME_IOU for o in others) for each in sure)
    return frames, boxes, same


def materials(files: Sequence[Path], model: str | None) -> list[Material]:
    """What there is to analyze."""
    if files:
        return [Material("your files", tuple(files), model or "demo")]
    found = []
    videos = tuple(sorted((DATA / "videos").glob("*.mp4")))
    if videos:
        weights = DATA / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl.cfg"
        found.append(Material("real footage", videos, model or str(weights)))
    scenes = [render_clip(ClipSpec(seed, fps=SCENE_FPS, duration_s=SCENE_S), CACHE / "tracking") for seed in SHOWCASE]
    found.append(Material("the simulator's scenes", tuple(scenes), model or "demo"))
    return found


def show(material: Material, runs: dict[str, list[Run]], agreed: tuple[int, int, int]) -> None:
    """Print what a person reads."""
    footage_s = runs["analyze"][0].footage_s

    def factor(way: str, *, whole: bool) -> float:
        return footage_s / statistics.median(each.whole_s if whole else each.work_s for each in runs[way])

    table = Table("", "whole, x real time", "ratio", "at work, x real time", "ratio", "frames", "CPU-s, whole")
    for way, title in WAYS.items():
        each = runs[way]
        whole, work = factor(way, whole=True), factor(way, whole=False)
        ratios = [f"{factor('analyze', whole=w) / factor(way, whole=w):.2f}" for w in (True, False)]
        cpu_s = statistics.median(one.cpu_s for one in each)
        table.add_row(title, f"{whole:.1f}", ratios[0], f"{work:.1f}", ratios[1], str(each[0].frames), f"{cpu_s:.1f}")
    console = Console(width=140)
    console.print(f"{material.title}: {len(material.files)} files, {footage_s:.0f} s, {Path(material.model).stem}")
    console.print(table)
    frames, boxes, same = agreed
    console.print(
        f"Frames that both looked at: {frames}; of {boxes} boxes over {SURE:g} there, {same} "
        f"({same / max(boxes, 1):.1%}) are the other side's too (IoU {SAME_IOU:g}, same label)"
    )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=3, help="how often (3)")
    parser.add_argument("--fps", type=float, default=5.0, help="frames looked at a second of footage (5)")
    parser.add_argument("--model", help="in place of both")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--script", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.script:
        script(arguments.script[0], arguments.script[1:], arguments.fps, arguments.files)
        return 0
    CACHE.mkdir(parents=True, exist_ok=True)
    said = {}
    for material in materials(arguments.files, arguments.model):
        names = DATA / "cfg" / "coco.names" if material.model != "demo" and not arguments.files else None
        model = files_of(Path(material.model), None, names, Path("/var/lib/mosaicd"))
        runs: dict[str, list[Run]] = {way: [] for way in WAYS}
        theirs: list[object] = []
        with tempfile.TemporaryDirectory(prefix="mosaicd-bench-") as name:
            mine = looked(material, model, arguments.fps)  # and whatever is built and measured once is there then
            for _ in range(arguments.rounds):
                for way in WAYS:
                    run, found = measure(way, material, model, arguments.fps, Path(name))
                    runs[way].append(run)
                    theirs = found if way == "keras" else theirs
        agreed = agreement(mine, theirs)
        if arguments.json:
            said[material.title] = {way: [asdict(run) for run in each] for way, each in runs.items()} | {
                "agreed": agreed
            }
        else:
            show(material, runs, agreed)
    if arguments.json:
        print(json.dumps(said, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
