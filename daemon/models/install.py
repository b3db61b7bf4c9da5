"""Puts models into the store: fetched from where the catalog says, or added from files at hand.

Either way the model is made ready aside and takes its place when all of it is there and checked.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from daemon.models.catalog import CATALOG, EMBEDDED, NAME, Catalog, CatalogModel, RemoteFile, offered
from daemon.models.disk import copy_file, digest_of, is_file_with, on_disk, write_file
from daemon.models.download import PATIENT, Patience, download
from daemon.models.errors import FilesRefusedError, ModelsError, NameRefusedError, UnknownModelError
from daemon.models.store import (
    FileSource,
    ModelPaths,
    Source,
    models_dir,
    paths_in,
    publish,
    resolve,
    staged,
)
from inference.engine import ModelFiles, ModelUnusable
from inference.model import inspect_model

OnFetch = Callable[[RemoteFile, int], None]
"""Is told which file is being fetched and how many of its bytes are there."""


def find_offered(name: str, catalog: Catalog = CATALOG) -> CatalogModel:
    """The model of this name that can be fetched. Raises UnknownModelError."""
    if name == EMBEDDED:
        raise UnknownModelError(f"'{EMBEDDED}' comes with mosaicd: there is nothing to fetch")
    model = offered(name, catalog)
    if model is None:
        names = ", ".join(model.name for model in catalog)
        raise UnknownModelError(
            f"'{name[:80]}' cannot be fetched; these can: {names}. Bring in another with `mosaicd models add`"
        )
    return model


def is_installed(model: CatalogModel, state_dir: Path) -> bool:
    """Whether the store holds this model as the catalog wants it, by its digests. Raises StoreError."""
    paths = paths_in(models_dir(state_dir) / model.name, model.name)
    with on_disk(paths.cfg.parent):
        return (
            paths.source.is_file()
            and _has(paths.cfg, model.cfg)
            and _has(paths.weights, model.weights)
            and paths.names.is_file()
            and paths.names.read_bytes() == _names_content(model)
        )


def fetch(
    model: CatalogModel,
    state_dir: Path,
    on_fetch: OnFetch,
    *,
    stored_at: datetime,
    user_agent: str = "mosaicd",
    patience: Patience = PATIENT,
) -> ModelPaths:
    """Fetch the model into the store, going on where an earlier try stopped; return its files.

    `stored_at` is the time of day, aware. Raises StoreError, BusyError, DownloadError or DigestError.
    """
    with staged(model.name, state_dir) as stage:
        if is_installed(model, state_dir):  # by another process, meanwhile
            return resolve(model.name, state_dir, (model,))
        paths = paths_in(stage, model.name)
        with on_disk(stage):
            stage.mkdir(exist_ok=True)
        for remote, path in ((model.cfg, paths.cfg), (model.weights, paths.weights)):
            if _has(path, remote):  # an earlier try came so far
                on_fetch(remote, remote.size_bytes)
            else:
                download(
                    remote,
                    path,
                    partial(on_fetch, remote),
                    user_agent=user_agent,
                    patience=patience,
                )
        write_file(paths.names, _names_content(model))
        source = Source(
            name=model.name,
            kind="fetched",
            stored_at=_iso(stored_at),
            input_wh=(model.input_px, model.input_px),
            licence=model.licence,
            cfg=_file_source(paths.cfg, model.cfg.url),
            weights=_file_source(paths.weights, model.weights.url),
            names=_file_source(paths.names, "mosaicd"),
        )
        write_file(paths.source, _encoded(source))
        publish(stage, model.name)
    return resolve(model.name, state_dir, (model,))


def add(
    name: str,
    files: ModelFiles,
    state_dir: Path,
    *,
    stored_at: datetime,
    replace: bool = False,
    catalog: Catalog = CATALOG,
) -> ModelPaths:
    """Copy a model's files into the store under a new name, or with `replace` over an old one; return the copies.

    A name of the catalog is for the catalog's own files: so a machine without Internet gets them. Raises
    NameRefusedError, FilesRefusedError, StoreError or BusyError.
    """
    _check_name(name)
    input_wh, labels = _inspected(files)
    known = offered(name, catalog)
    with staged(name, state_dir) as stage:
        paths = paths_in(stage, name)
        with on_disk(stage):
            if stage.with_name(name).exists() and not replace:
                raise NameRefusedError(f"there is a model '{name}' already. Choose another name, or use --force")
            if stage.exists():
                shutil.rmtree(stage)
            stage.mkdir()
        try:
            copy_file(files.cfg, paths.cfg)
            copy_file(files.weights, paths.weights)
            if known is None:
                copy_file(files.names, paths.names)
            else:
                _check_catalogued(known, paths, files, labels)
                write_file(paths.names, _names_content(known))
            source = Source(
                name=name,
                kind="added",
                stored_at=_iso(stored_at),
                input_wh=input_wh,
                licence=known.licence if known else None,
                cfg=_file_source(paths.cfg, str(files.cfg.absolute())),
                weights=_file_source(paths.weights, str(files.weights.absolute())),
                names=_file_source(paths.names, "mosaicd" if known else str(files.names.absolute())),
            )
            write_file(paths.source, _encoded(source))
        except ModelsError:
            with suppress(OSError):
                shutil.rmtree(stage)  # there is nothing in it to go on with
            raise
        publish(stage, name)
    return resolve(name, state_dir, catalog)


@contextmanager
def labels_file(name: str, given: Path | None, catalog: Catalog = CATALOG) -> Iterator[Path]:
    """The file of labels that was given; for a model of the catalog, whose labels are known, one of ours else.

    Raises FilesRefusedError.
    """
    if given is not None:
        yield given
        return
    known = offered(name, catalog)
    if known is None:
        raise FilesRefusedError(f"'{name[:80]}' is not in the catalog: say its labels with --names FILE, one a line")
    with tempfile.NamedTemporaryFile(suffix=".names") as file:
        file.write(_names_content(known))
        file.flush()
        yield Path(file.name)


def _check_name(name: str) -> None:
    if name == EMBEDDED:
        raise NameRefusedError(f"'{EMBEDDED}' is the model that comes with mosaicd. Choose another name")
    if not NAME.fullmatch(name):
        raise NameRefusedError(
            f"'{name[:80]}' is no name for a model. A name is 1 to 63 letters, digits, '.', '_' and '-', beginning "
            "with a letter or digit"
        )


def _inspected(files: ModelFiles) -> tuple[tuple[int, int], tuple[str, ...]]:
    """Width and height in pixels that the cfg states, and the labels; raises FilesRefusedError unless the three files
    belong together."""
    for path in (files.cfg, files.weights, files.names):
        if not path.is_file():
            raise FilesRefusedError(f"{path}: there is no such file. Check the path")
    try:
        network, labels = inspect_model(files, None)
    except ModelUnusable as error:
        raise FilesRefusedError(str(error)) from error
    return (network.input_shape.width, network.input_shape.height), labels


def _check_catalogued(model: CatalogModel, copies: ModelPaths, files: ModelFiles, labels: tuple[str, ...]) -> None:
    """Raise NameRefusedError unless these are the files that the catalog knows by this name; their names may be the
    older words."""
    other = None
    if not _has(copies.cfg, model.cfg):
        other = files.cfg
    elif not _has(copies.weights, model.weights):
        other = files.weights
    elif labels != model.labels:
        other = files.names
    if other is not None:
        raise NameRefusedError(f"'{model.name}' is the catalog's name for another file than {other}. Choose another")


def _has(path: Path, remote: RemoteFile) -> bool:
    with on_disk(path):
        return is_file_with(path, remote.size_bytes, remote.digest)


def _names_content(model: CatalogModel) -> bytes:
    return ("\n".join(model.labels) + "\n").encode()


def _file_source(path: Path, source: str) -> FileSource:
    with on_disk(path):
        return FileSource(source, path.stat().st_size, digest_of(path, "sha256"))


def _encoded(source: Source) -> bytes:
    return msgspec.json.format(msgspec.json.encode(source), indent=2) + b"\n"


def _iso(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="seconds")
