"""How the model is run on each kind of device: files, engine, precision, input, batch, threads.

Turns every `auto` of the settings into a value, before any worker is planned, and says why. Reads the model's files
and, the first time, has the choices measured (`inference.tuning`), which takes seconds.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import get_args

from capture.layout import Canvas
from daemon.devices import Device, DeviceKind
from daemon.logs import fields
from daemon.models.errors import ModelsError
from daemon.models.store import resolve
from daemon.overhead import Subject, subject_of
from daemon.settings import Device as WantedDevice
from daemon.settings import Settings
from inference.cache import model_digest
from inference.engine import EngineError, ModelFiles, ModelUnusable, Precision
from inference.engines import Choice, Impossible, choose_engine, choose_precision, cpu_flags, installed_engines
from inference.evaluation.process import Measurer, MeasurerError
from inference.evaluation.verdicts import VerdictsError, is_refuted, load_verdicts
from inference.export import exported, is_built
from inference.inputs import InputKind, ModelInput
from inference.model import inspect_model
from inference.tuning import Question, Tuned, tune

log = logging.getLogger(__name__)

BATCH = {DeviceKind.CPU: 1, DeviceKind.GPU: 4}
"""What `batch: auto` is: a GPU does several images in little more time than one, a CPU thread does not."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """All that a worker has to know of its model."""

    files: ModelFiles
    engine: str
    precision: Precision
    input: InputKind
    batch: int
    threads: int
    """CPU threads of a worker; on a GPU of its host side."""
    why: str
    """For the log."""

    @property
    def spoken(self) -> dict[str, object]:
        """Fields of a log line."""
        return {
            "engine": self.engine,
            "precision": self.precision,
            "input": self.input,
            "batch": self.batch,
            "threads": self.threads,
            "why": self.why,
        }


class CannotRunError(Exception):
    """The settings want what cannot be had here; the message names key and remedy."""


def model_files(settings: Settings) -> ModelFiles:
    """The model's three files. Raises ModelsError for a name whose files are not there."""
    model = settings.model
    if model.name is not None:
        paths = resolve(model.name, settings.state_dir)
        return ModelFiles(paths.cfg, paths.weights, paths.names)
    assert model.cfg and model.weights and model.names, "the settings are valid"
    return ModelFiles(model.cfg, model.weights, model.names)


def plan_runs(
    settings: Settings,
    devices: Sequence[Device],
    wanted: Mapping[str, WantedDevice],
    *,
    mosaics: int,
    say: Callable[[str], None] = log.info,
    environ: Mapping[str, str] | None = None,
) -> dict[DeviceKind, ModelRun]:
    """How the model is run on each kind of these devices, which are those that are to be used; `wanted` says what the
    settings want of them, by name or UUID. Blocks while it measures and builds, the first time.

    `say` is told before that; `environ` is the whole environment of what measures, this process's when None.
    Raises CannotRunError.
    """
    try:
        files = model_files(settings)
        digest = model_digest(files)
    except ModelsError as error:
        raise CannotRunError(f"model.name: {error}") from error
    except OSError as error:
        raise CannotRunError(f"{error.filename}: {error.strerror}. Check path and permissions") from error
    runs: dict[DeviceKind, ModelRun] = {}
    for device in devices:
        if device.kind in runs:
            continue
        kind = device.kind
        engine, precision = _numerics(settings, kind, digest)
        question = _question(
            settings,
            device,
            wanted.get(device.name) or wanted[device.uuid],
            files=files,
            engine=engine,
            precision=precision,
            mosaics=mosaics,
        )
        environ_there = None if environ is None else {**environ, "CUDA_VISIBLE_DEVICES": device.uuid or "-1"}
        tuned = _tuned(question, say, environ_there)
        batch = settings.model.batch
        runs[kind] = ModelRun(
            files=files,
            engine=question.engine,
            precision=question.precision,
            input=tuned.input,
            batch=batch if isinstance(batch, int) else max(1, min(BATCH[kind], mosaics)),
            threads=tuned.threads,
            why=_why(engine, precision, tuned),
        )
        _build(runs[kind], question, say)
    return runs


def subjects_of(settings: Settings, devices: Sequence[Device]) -> dict[str, Subject]:
    """What a worker's overhead would be of on each of these devices, by name; measures and builds nothing. Those where
    the model cannot be run are left out."""
    found: dict[str, Subject] = {}
    with suppress(ModelsError, OSError):
        digest = model_digest(model_files(settings))
        for device in devices:
            with suppress(CannotRunError):
                engine, precision = _numerics(settings, device.kind, digest)
                found[device.name] = subject_of(device, digest, engine.value, precision.value)
    return found


def _numerics(settings: Settings, kind: DeviceKind, digest: str) -> tuple[Choice, Choice]:
    """Engine and precision. Raises CannotRunError."""
    engine = _taken("engine", choose_engine(settings.model.engine, kind.value, installed_engines()))
    refuted = _refuted(settings, digest, engine.value)
    precision = choose_precision(settings.model.precision, engine.value, kind.value, cpu_flags(), refuted)
    return engine, _taken("precision", precision)


def _question(
    settings: Settings,
    device: Device,
    wanted: WantedDevice,
    *,
    files: ModelFiles,
    engine: Choice,
    precision: Choice,
    mosaics: int,
) -> Question:
    cores = device.cores or 1
    counts = (1,) if device.kind is DeviceKind.GPU else tuple(sorted({1, cores}))
    return Question(
        files=files,
        engine=engine.value,
        precision=_precision(precision.value),
        device=device.kind.value,
        canvas_wh=(settings.mosaic.canvas.width, settings.mosaic.canvas.height),
        cores=cores,
        memory_mib=device.total_mib,
        mosaics=mosaics,
        workers=wanted.workers if isinstance(wanted.workers, int) else None,
        inputs=_inputs(settings, files),
        threads=(wanted.threads,) if isinstance(wanted.threads, int) else counts,
        cache_dir=settings.cache_folder,
    )


def _inputs(settings: Settings, files: ModelFiles) -> tuple[InputKind, ...]:
    """The inputs that are in question: with `auto` those whose size the network can take."""
    wanted = settings.model.input
    if wanted != "auto":
        return (wanted,)
    fitting: list[InputKind] = []
    canvas = Canvas(settings.mosaic.canvas.width, settings.mosaic.canvas.height)
    for kind in get_args(InputKind):
        try:
            inspect_model(files, ModelInput(kind, canvas).input_wh)
        except ModelUnusable:
            continue  # what is wrong with it `daemon.check` has said, or the worker will
        fitting.append(kind)
    return tuple(fitting) or ("mosaic",)


def _build(run: ModelRun, question: Question, say: Callable[[str], None]) -> None:
    """Have the graph built before a worker waits for it: workers are judged by the time that they take to start."""
    canvas = Canvas(*question.canvas_wh)
    try:
        if not is_built(run.engine, run.files, ModelInput(run.input, canvas).input_wh, question.cache_dir):
            say("building the model")
        with exported(run.engine, run.files, ModelInput(run.input, canvas).input_wh, question.cache_dir):
            pass
    except EngineError as error:
        log.warning("the model was not built", extra=fields(error=str(error)))  # the worker will say so again, and end


def _taken(key: str, choice: Choice | Impossible) -> Choice:
    if isinstance(choice, Impossible):
        raise CannotRunError(f"model.{key}: {choice.why}")
    return choice


def _precision(value: str) -> Precision:
    return next(name for name in get_args(Precision) if name == value)


def _refuted(settings: Settings, digest: str, engine: str) -> tuple[str, ...]:
    """The precisions that `auto` may not take. If what was measured cannot be read, that is all but float32."""
    try:
        verdicts = load_verdicts(settings.cache_folder)
    except VerdictsError as error:
        log.warning("measured precisions cannot be read, so auto takes float32", extra=fields(error=str(error)))
        return get_args(Precision)
    return tuple(name for name in get_args(Precision) if is_refuted(verdicts, digest, engine, name))


def _tuned(question: Question, say: Callable[[str], None], environ: Mapping[str, str] | None) -> Tuned:
    first = Tuned(question.inputs[0], question.threads[0], {})
    if not question.is_open:
        return first
    try:
        return tune(question, say, partial(Measurer, environment=environ))
    except (MeasurerError, EngineError, OSError) as error:
        # Workers will say more if they cannot load it either.
        log.warning("not measured, so the plainest way is taken", extra=fields(error=str(error)))
        return replace(first, mosaics_per_s={})


def _why(engine: Choice, precision: Choice, tuned: Tuned) -> str:
    rates = ", ".join(f"{way} {rate:.1f}/s" for way, rate in tuned.mosaics_per_s.items())
    return f"engine: {engine.why}; precision: {precision.why}" + (f"; measured mosaics: {rates}" if rates else "")
