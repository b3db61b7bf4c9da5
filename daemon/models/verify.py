"""Judges stored models: whether their bytes are still those that were stored, and make a model together."""

from collections.abc import Iterator
from pathlib import Path

from daemon.models.catalog import CATALOG, EMBEDDED, Catalog, Digest, offered
from daemon.models.disk import is_file_with, on_disk
from daemon.models.errors import ModelsError
from daemon.models.store import ModelPaths, read_source, remedy, resolve
from inference.engine import ModelFiles, ModelUnusable
from inference.model import inspect_model


def faults(name: str, state_dir: Path, catalog: Catalog = CATALOG) -> tuple[str, ...]:
    """What is wrong with the stored or embedded model of this name, a sentence each; () if nothing is. Reads all of
    its files."""
    try:
        paths = resolve(name, state_dir, catalog)
        changed = () if name == EMBEDDED else tuple(_changed(paths, state_dir, catalog))
    except ModelsError as error:
        return (str(error),)
    return changed or tuple(_not_together(paths))


def _changed(paths: ModelPaths, state_dir: Path, catalog: Catalog) -> Iterator[str]:
    source, model = read_source(paths.source), offered(paths.name, catalog)
    what_to_do = remedy(paths.name, state_dir, catalog)
    for path, stored in zip(paths.files, (source.cfg, source.weights, source.names), strict=True):
        with on_disk(path):
            is_same = is_file_with(path, stored.size_bytes, Digest("sha256", stored.sha256))
        if not is_same:
            yield f"{path} has changed since it was stored: another size or sha256. {what_to_do}"
    for path, remote in ((paths.cfg, model.cfg), (paths.weights, model.weights)) if model else ():
        with on_disk(path):
            is_same = is_file_with(path, remote.size_bytes, remote.digest)
        if not is_same:
            yield f"{path} is not the catalog's: another size or {remote.digest.algorithm}. {what_to_do}"


def _not_together(paths: ModelPaths) -> Iterator[str]:
    try:
        inspect_model(ModelFiles(paths.cfg, paths.weights, paths.names), None)
    except ModelUnusable as error:
        yield str(error)
