"""Builds a model's graph for one engine, in a process of its own: `python -m inference.export`.

Building takes Keras and several times the weights' memory, neither of which a worker should keep. The order comes on
stdin, the outcome goes to stdout, both JSON. Entry point: it chooses Keras's backend by the environment, which Keras
reads when it is imported. `exported` is the other side: it starts the process and translates its outcome.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from inference import cache
from inference.engine import EngineFailed, ModelFiles, ModelUnusable, OutOfMemory
from inference.engines import ENGINES
from inference.forms import Form, choose_form

PR_SET_PDEATHSIG: Final = 1
"""linux/prctl.h."""
LEAST_FREE_BYTES: Final = 1 << 20
"""A disk with less is full."""
COMMAND: Final = (sys.executable, "-P", "-m", "inference.export")


class Order(msgspec.Struct, frozen=True):
    """What to build, and into which folder."""

    engine: str
    cfg: str
    weights: str
    names: str
    input_wh: tuple[int, int]
    folder: str
    form: Form


class Outcome(msgspec.Struct, frozen=True):
    """How it went. `error` is the name of what was raised, empty where all is well."""

    error: str = ""
    message: str = ""


@contextmanager
def exported(
    engine: str,
    files: ModelFiles,
    input_wh: tuple[int, int],
    cache_dir: Path | None,
    memory_mib: int | None = None,
) -> Iterator[Path]:
    """The folder with the model's graph for this engine, from the cache or built now; takes seconds then.

    `memory_mib` is how much data the process that is to run it may hold; None is no limit.
    Raises ModelUnusable, OutOfMemory, EngineFailed.
    """
    try:
        name = graph_name(engine, files, input_wh, memory_mib)
        form = _form(engine, files, memory_mib)
        with cache.kept(cache_dir, name, lambda folder: _build(engine, files, input_wh, folder, form)) as folder:
            yield folder
    except OSError as error:
        raise EngineFailed(f"the model's graph cannot be built: {error}") from error


def is_built(
    engine: str, files: ModelFiles, input_wh: tuple[int, int], cache_dir: Path, memory_mib: int | None = None
) -> bool:
    """Whether the cache has it. Raises ModelUnusable."""
    return (cache_dir / graph_name(engine, files, input_wh, memory_mib)).is_dir()


def graph_name(
    engine: str,
    files: ModelFiles,
    input_wh: tuple[int, int],
    memory_mib: int | None = None,
    version_of: Callable[[str], str] = version,
) -> str:
    """What the cache calls this graph: another cfg, weights, size, form or version of any part is another name.

    Raises ModelUnusable.
    """
    try:
        digest = cache.model_digest(files)
        form = _form(engine, files, memory_mib)
    except OSError as error:
        raise ModelUnusable(f"{error.filename}: {error.strerror}. Check path and permissions") from error
    kind = ENGINES[engine]
    here = Path(__file__).parent
    modules = (kind.module.rpartition(".")[2], "model", "kerasfile")
    code = cache.source_digest([*(here / "darknet").glob("*.py"), *(here / f"{name}.py" for name in modules)])
    versions = [version_of(name) for name in ("keras", kind.keras_backend)]
    return f"{engine}-{cache.digest_of(digest, input_wh, form, code, versions)}"


def _form(engine: str, files: ModelFiles, memory_mib: int | None) -> Form:
    return choose_form(engine, files.weights.stat().st_size, memory_mib)


def _build(engine: str, files: ModelFiles, input_wh: tuple[int, int], folder: Path, form: Form) -> None:
    order = Order(engine, str(files.cfg), str(files.weights), str(files.names), input_wh, str(folder), form)
    done = subprocess.run(COMMAND, input=msgspec.json.encode(order), stdout=subprocess.PIPE, check=False)
    try:
        outcome = msgspec.json.decode(done.stdout, type=Outcome)
    except msgspec.DecodeError:
        if done.returncode in (-signal.SIGKILL, -signal.SIGABRT):
            raise OutOfMemory(f"building the model's graph ended by signal {-done.returncode}") from None
        raise EngineFailed(f"building the model's graph ended with code {done.returncode}") from None
    match outcome.error:
        case "":
            return
        case "OSError":
            raise OSError(outcome.message)
        case "ModelUnusable":
            raise ModelUnusable(outcome.message)
        case "OutOfMemory" | "MemoryError":
            raise OutOfMemory(f"building the model's graph: {outcome.message}")
        case _:
            raise EngineFailed(f"building the model's graph: {outcome.error}: {outcome.message}")


def build(order: Order) -> None:
    """Carry out an order; this process's Keras must not have been imported yet. Raises EngineError, OSError."""
    from inference.model import read_model

    model = read_model(ModelFiles(Path(order.cfg), Path(order.weights), Path(order.names)), order.input_wh)
    import_module(ENGINES[order.engine].module).export(model, Path(order.folder), order.form)


def attempt(order: Order) -> Outcome:
    """Carry out an order and say how it went."""
    try:
        build(order)
    except OSError as error:
        return Outcome("OSError", str(error))
    except Exception as error:  # noqa: BLE001 - the top of the process: report and end
        # Frameworks have other words for a full disk: OpenVINO "iostream error", TensorFlow even "resource exhausted".
        if shutil.disk_usage(order.folder).free < LEAST_FREE_BYTES:
            return Outcome("OSError", f"no space left in {order.folder}")
        return Outcome(type(error).__name__, str(error)[:2000])
    return Outcome()


def main() -> None:
    """Entry point of ``python -m inference.export``."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # whoever asked is gone: nobody wants it
    order = msgspec.json.decode(sys.stdin.buffer.read(), type=Order)
    answer = os.dup(1)
    os.dup2(2, 1)  # libraries print where they like
    os.environ["KERAS_BACKEND"] = ENGINES[order.engine].keras_backend
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # the device is the worker's; building needs none
    with tempfile.TemporaryDirectory() as keras_home:
        os.environ["KERAS_HOME"] = keras_home  # a user's own Keras settings are not the graph's
        outcome = attempt(order)
    with os.fdopen(answer, "wb") as out:
        out.write(msgspec.json.encode(outcome))
    sys.stderr.flush()
    os._exit(0 if not outcome.error else 1)


if __name__ == "__main__":
    main()
