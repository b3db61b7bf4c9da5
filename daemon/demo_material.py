"""Footage and model for the demo: what was asked for, else what developers have beside the repository.

Only looks at the disk. DemoError, here because this is where a demo fails first, is the error of the whole demo.
"""

from dataclasses import dataclass
from pathlib import Path

DATA = Path(__file__).parents[2] / "shared" / "data"
"""Footage and model of developers, beside the repository; never part of it."""

_MANY_PEOPLE = "Retail02_short.mp4"


class DemoError(Exception):
    """The demo cannot go on; ``str()`` is what a person reads."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What ``mosaicd demo`` was asked for."""

    seconds: float = 0.0
    """0 until Ctrl-C."""
    videos: tuple[str, ...] = ()
    """FILE or FILE:COUNT; none for the developers' footage."""
    cfg: Path | None = None
    """None for the developers' model."""
    weights: Path | None = None
    """None for the file beside the cfg."""
    names: Path | None = None
    cameras: int = 32


@dataclass(frozen=True, slots=True)
class Material:
    """Footage and model, all of it found on disk."""

    videos: tuple[str, ...]
    cfg: Path
    weights: Path
    names: Path


def find_material(options: DemoOptions, data: Path = DATA) -> Material:
    """Return what was asked for, and the developers' footage and model for the rest; DemoError where there is none."""
    videos = options.videos or _default_videos(data / "videos", options.cameras)
    cfg = options.cfg or data / "weights" / "yolo-fastest" / "yolo-fastest-1.1-xl.cfg"
    lacking = [
        *([] if videos else ["footage (VIDEO=file.mp4)"]),
        *([] if options.cfg or cfg.is_file() else ["model (MODEL=net.cfg, its .weights and .names beside it)"]),
    ]
    if lacking:
        raise DemoError(f"no {' and no '.join(lacking)}, and none in {data}")
    for video in videos:
        if not Path(video).is_file() and not Path(video.rpartition(":")[0]).is_file():
            raise DemoError(f"no such footage: {video}")
    weights = options.weights or cfg.with_suffix(".weights")
    names = options.names or _names_beside(cfg)
    for path, option in ((cfg, "--model"), (weights, "--weights"), (names, "--names")):
        if not path.is_file():
            raise DemoError(f"no such file: {path} (give it with {option})")
    return Material(tuple(videos), cfg.absolute(), weights.absolute(), names.absolute())


def _default_videos(folder: Path, cameras: int) -> tuple[str, ...]:
    """All footage of the folder: four cameras of the one with many people, which is heavy, the rest spread evenly."""
    files = sorted(folder.glob("*.mp4"))
    heavy = [file for file in files if file.name == _MANY_PEOPLE]
    light = [str(file) for file in files if file.name != _MANY_PEOPLE]
    if not heavy or cameras <= 4:
        return tuple(str(file) for file in (heavy or files))
    return (f"{heavy[0]}:4", *light) if light else (str(heavy[0]),)


def _names_beside(cfg: Path) -> Path:
    """The network's own names, else those of COCO, else the only ones there are."""
    for name in (cfg.with_suffix(".names"), cfg.with_name("coco.names")):
        if name.is_file():
            return name
    others = sorted(cfg.parent.glob("*.names"))
    return others[0] if len(others) == 1 else cfg.with_suffix(".names")
