"""Footage and model for the demo: what was asked for, else synthetic scenes and the model that comes with mosaicd.

Only looks at the disk. DemoError, here because this is where a demo fails first, is the error of the whole demo.
"""

from dataclasses import dataclass
from pathlib import Path

from daemon.models.catalog import EMBEDDED


class DemoError(Exception):
    """The demo cannot go on; ``str()`` is what a person reads."""


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What ``mosaicd demo`` was asked for."""

    cache_dir: Path
    """Where rendered scenes and built models are kept for the next time."""
    seconds: float = 0.0
    """0 until Ctrl-C."""
    videos: tuple[str, ...] = ()
    """FILE or FILE:COUNT; none for synthetic scenes."""
    cfg: Path | None = None
    """None for the model that comes with mosaicd, which knows those scenes only."""
    weights: Path | None = None
    """None for the file beside the cfg."""
    names: Path | None = None
    cameras: int = 32


@dataclass(frozen=True, slots=True)
class Material:
    """Footage and model, all of it found on disk."""

    videos: tuple[str, ...]
    """None: synthetic scenes."""
    model: dict[str, str]
    """The model as the settings write it."""
    note: str = ""
    """What a person should know about it; empty where there is nothing."""


def find_material(options: DemoOptions) -> Material:
    """Return what was asked for, and mosaicd's own for the rest; DemoError for a file that is not there."""
    for video in options.videos:
        if not Path(video).is_file() and not Path(video.rpartition(":")[0]).is_file():
            raise DemoError(f"no such footage: {video}")
    if options.cfg is None:
        note = "the model of the demo knows synthetic scenes only; for real footage give another with --model"
        return Material(options.videos, {"name": EMBEDDED}, note if options.videos else "")
    weights = options.weights or options.cfg.with_suffix(".weights")
    names = options.names or _names_beside(options.cfg)
    for path, option in ((options.cfg, "--model"), (weights, "--weights"), (names, "--names")):
        if not path.is_file():
            raise DemoError(f"no such file: {path} (give it with {option})")
    files = {"cfg": options.cfg, "weights": weights, "names": names}
    note = "" if options.videos else "synthetic scenes: a model for real footage sees little in them; give --video too"
    return Material(options.videos, {key: str(path.absolute()) for key, path in files.items()}, note)


def _names_beside(cfg: Path) -> Path:
    """The network's own names, else those of COCO, else the only ones there are."""
    for name in (cfg.with_suffix(".names"), cfg.with_name("coco.names")):
        if name.is_file():
            return name
    others = sorted(cfg.parent.glob("*.names"))
    return others[0] if len(others) == 1 else cfg.with_suffix(".names")
