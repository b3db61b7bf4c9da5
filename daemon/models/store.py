"""Where models lie: `STATE_DIR/models/NAME/`, with `model.cfg`, `model.weights`, `model.names` and `source.json`.

A folder NAME is whole or not there: it is made as `.NAME.part` and renamed when nothing is missing. Who makes it holds
a lock (on `.NAME.lock`, an empty file that stays), which the kernel releases whatever becomes of the process. Knows
neither networks nor what is in the files.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

import inference
from daemon.models.catalog import CATALOG, EMBEDDED, NAME, Catalog, offered
from daemon.models.disk import FOLDER_MODE, on_disk, sync_folder
from daemon.models.errors import BusyError, NotInstalledError, StoreError, UnknownModelError


@dataclass(frozen=True, slots=True)
class ModelPaths:
    """A model's three files, and the one that says where they came from."""

    name: str
    cfg: Path
    weights: Path
    names: Path
    source: Path
    """What `read_source` reads. The embedded model has none."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The three that a worker needs."""
        return self.cfg, self.weights, self.names


@dataclass(frozen=True, slots=True)
class FileSource:
    """Where one stored file came from, and what it was then."""

    source: str
    """Its URL, or its absolute path; "mosaicd" for names that mosaicd wrote."""
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Source:
    """The content of `source.json`."""

    name: str
    kind: Literal["fetched", "added"]
    stored_at: str
    """ISO 8601, UTC."""
    input_wh: tuple[int, int]
    """Width and height in pixels: of a fetched model the catalog's, of an added one its cfg's."""
    licence: str | None
    cfg: FileSource
    weights: FileSource
    names: FileSource


def models_dir(state_dir: Path) -> Path:
    """The folder with a folder for each model."""
    return state_dir / "models"


def paths_in(folder: Path, name: str, stem: str = "model") -> ModelPaths:
    """Where the files of a model lie in its folder."""
    cfg, weights, names = (folder / f"{stem}.{suffix}" for suffix in ("cfg", "weights", "names"))
    return ModelPaths(name, cfg, weights, names, folder / "source.json")


def embedded_paths() -> ModelPaths:
    """The files of the model that comes with mosaicd."""
    return paths_in(Path(inference.__path__[0]) / "models", EMBEDDED, "demo")


def resolve(name: str, state_dir: Path, catalog: Catalog = CATALOG) -> ModelPaths:
    """The files of the model that is stored, or comes with mosaicd, under this name. Looks whether they are there, not
    into them.

    Raises UnknownModelError, NotInstalledError with the command that fetches it, or StoreError.
    """
    if name == EMBEDDED:
        paths, what_to_do = embedded_paths(), "Install mosaicd again"
    else:
        _check_known(name, state_dir, catalog)
        paths, what_to_do = paths_in(models_dir(state_dir) / name, name), remedy(name, state_dir, catalog)
    with on_disk(paths.cfg.parent):
        missing = [path for path in paths.files if not path.is_file()]
    if len(missing) == len(paths.files):
        raise NotInstalledError(f"the model '{name}' is not in {paths.cfg.parent.parent}. {what_to_do}")
    if missing:
        raise NotInstalledError(f"{missing[0]} is missing. {what_to_do}")
    return paths


def _check_known(name: str, state_dir: Path, catalog: Catalog) -> None:
    if offered(name, catalog) is None and name not in stored_names(state_dir):
        known = sorted({EMBEDDED, *(model.name for model in catalog), *stored_names(state_dir)})
        listed = ", ".join(known)
        raise UnknownModelError(
            f"there is no model '{name[:80]}'. There are: {listed}. Bring in another with `mosaicd models add`"
        )


def remedy(name: str, state_dir: Path, catalog: Catalog) -> str:
    """What brings a model into the store that is not in it, or not whole."""
    if offered(name, catalog) is not None:
        return f"Run: mosaicd models fetch {name} --state-dir {state_dir}"
    return f"Run: mosaicd models add {name} --force --state-dir {state_dir} --cfg FILE --weights FILE --names FILE"


def stored_names(state_dir: Path) -> tuple[str, ...]:
    """The names under which something is stored, sorted; () where there is no store yet. Raises StoreError."""
    folder = models_dir(state_dir)
    with on_disk(folder):
        if not folder.is_dir():
            return ()
        return tuple(sorted(entry.name for entry in folder.iterdir() if NAME.fullmatch(entry.name) and entry.is_dir()))


def read_source(path: Path) -> Source:
    """The content of a `source.json`. Raises StoreError where it cannot be read."""
    with on_disk(path):
        content = path.read_bytes() if path.is_file() else b""
    try:
        return msgspec.json.decode(content, type=Source)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{path} is missing or damaged. Fetch or add the model again") from error


def check_state_dir(state_dir: Path) -> None:
    """Raise StoreError unless the state folder is there: it is the installer's to make."""
    with on_disk(state_dir):
        if not state_dir.is_dir():
            raise StoreError(
                f"there is no state folder {state_dir}. As root: install -d -m 0700 -o mosaicd {state_dir}; or name "
                "the daemon's settings with --settings FILE, or a folder with --state-dir DIR"
            )


def stage_of(name: str, state_dir: Path) -> Path:
    """The folder in which a model is made ready."""
    return models_dir(state_dir) / f".{name}.part"


@contextmanager
def staged(name: str, state_dir: Path) -> Iterator[Path]:
    """The folder in which to make a model ready, nobody else's meanwhile. It may be missing, or hold what an earlier
    try has left; it is kept for the next, unless `publish` has turned it into the model's own.

    Raises StoreError, or BusyError where another process is at it.
    """
    check_state_dir(state_dir)
    stage = stage_of(name, state_dir)
    with on_disk(stage.parent):
        if not stage.parent.is_dir():
            stage.parent.mkdir(exist_ok=True)
            stage.parent.chmod(FOLDER_MODE)
        lock = os.open(stage.with_name(f".{name}.lock"), os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError(f"another process is fetching or adding '{name}'. Wait for it to end") from None
        with on_disk(stage):
            _recover(name, stage.parent)
        yield stage
    finally:
        os.close(lock)


def publish(stage: Path, name: str) -> Path:
    """Turn what `staged` gave into the model's folder, in place of an older one; return that. Raises StoreError."""
    folder, old = stage.with_name(name), _old(name, stage.parent)
    with on_disk(folder):
        stage.chmod(FOLDER_MODE)
        sync_folder(stage)
        if folder.exists():
            folder.rename(old)
        stage.rename(folder)
        sync_folder(folder.parent)
        if old.exists():
            shutil.rmtree(old)
    return folder


def _recover(name: str, models: Path) -> None:
    """Mend what a `publish` that was killed has left."""
    folder, old = models / name, _old(name, models)
    if old.exists() and folder.exists():
        shutil.rmtree(old)
    elif old.exists():
        old.rename(folder)


def _old(name: str, models: Path) -> Path:
    return models / f".{name}.old"
