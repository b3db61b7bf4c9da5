"""What `mosaicd models list` says: the embedded model, the catalog, and what was added, one row each."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from daemon.models.catalog import CATALOG, EMBEDDED, Catalog, CatalogModel, offered
from daemon.models.disk import on_disk
from daemon.models.errors import NotInstalledError, StoreError
from daemon.models.store import ModelPaths, embedded_paths, read_source, resolve, stage_of, stored_names
from inference.engine import ModelFiles, ModelUnusable
from inference.model import inspect_model

State = Literal["embedded", "installed", "partial", "damaged", "absent"]
"""Whether it can be used: of a partial one some bytes are there, of a damaged one a file is missing or unreadable."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model."""

    name: str
    state: State
    here_bytes: int
    """How much of it is on this machine."""
    size_bytes: int
    """How much it is."""
    input_wh: tuple[int, int] | None
    """Width and height in pixels that it was made for; None where that is not known."""
    licence: str | None
    folder: str | None
    """Where its files are, if they can be used."""


def rows(state_dir: Path, catalog: Catalog = CATALOG) -> tuple[Row, ...]:
    """All models: the embedded one, the catalog's in its order, then added ones by name. Raises StoreError."""
    stored = stored_names(state_dir)
    return (
        _embedded(),
        *(
            _stored(model.name, state_dir, catalog) if model.name in stored else _offered(model, state_dir)
            for model in catalog
        ),
        *(_stored(name, state_dir, catalog) for name in stored if offered(name, catalog) is None),
    )


def _embedded() -> Row:
    paths = embedded_paths()
    size_bytes = _bytes_of(paths)
    try:
        network, _ = inspect_model(ModelFiles(paths.cfg, paths.weights, paths.names), None)
    except ModelUnusable:
        return Row(EMBEDDED, "damaged", size_bytes, size_bytes, None, None, None)
    input_wh = (network.input_shape.width, network.input_shape.height)
    return Row(EMBEDDED, "embedded", size_bytes, size_bytes, input_wh, "as mosaicd", str(paths.cfg.parent))


def _offered(model: CatalogModel, state_dir: Path) -> Row:
    stage = stage_of(model.name, state_dir)
    with on_disk(stage):
        here = sum(path.stat().st_size for path in stage.iterdir()) if stage.is_dir() else 0
    input_wh = (model.input_px, model.input_px)
    return Row(model.name, "partial" if here else "absent", here, model.size_bytes, input_wh, model.licence, None)


def _stored(name: str, state_dir: Path, catalog: Catalog) -> Row:
    try:
        paths = resolve(name, state_dir, catalog)
        source = read_source(paths.source)
    except (NotInstalledError, StoreError):
        return Row(name, "damaged", 0, 0, None, None, None)
    size_bytes = _bytes_of(paths)
    return Row(name, "installed", size_bytes, size_bytes, source.input_wh, source.licence, str(paths.cfg.parent))


def _bytes_of(paths: ModelPaths) -> int:
    with on_disk(paths.cfg.parent):
        return sum(path.stat().st_size for path in paths.files if path.is_file())
