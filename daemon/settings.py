"""The settings: every key with its type, default, unit and meaning, once.

Owns the shape of `mosaicd.yaml` and what can be judged about it without looking at the disk or the devices. It must not
know cameras, nor hold any secret (it has their names). Pure, but for `load_settings`, which reads one file.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    model_validator,
)

from daemon import yamltext
from daemon.eventsettings import Events
from daemon.fieldtypes import (
    DEFAULT_CANVAS,
    AnyPath,
    AutoOrCount,
    AutoOrMib,
    Canvas,
    Mib,
    Positive,
    Seconds,
    Strict,
    Switch,
    fault,
)
from daemon.httpsettings import Http
from daemon.problems import Checked, KeyPath, Problem, Severity, from_pydantic, in_order, problem_at
from daemon.quota import RESERVE_MIB
from daemon.yamltext import YamlDocument

_CPU_PART = re.compile(r"cpu:(0|[1-9][0-9]?)")


def _auto_or_batch(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= 16):
        return value
    raise fault("should be auto or a whole number from 1 to 16")


def _devices(value: Any) -> Any:
    if value == "auto":
        return {"auto": {}}
    if not isinstance(value, dict) or not value:
        raise fault("should be auto, or a mapping of devices: auto, cpu, or a GPU's UUID")
    if "auto" in value and len(value) > 1:
        raise fault("auto stands for every device and cannot stand beside others", "name them all, or only auto")

    parts = [name for name in value if isinstance(name, str) and _CPU_PART.fullmatch(name)]
    if parts and "cpu" in value:
        raise fault(f"cpu is the whole of which {parts[0]} is a part", "name cpu alone, or only its parts")
    if missing := {f"cpu:{number}" for number in range(len(parts))} - set(parts):
        message = f"{len(parts)} parts of the CPU are named, but not {min(missing)}"
        raise fault(message, "number them from cpu:0 on")
    return value


def _device_name(value: str) -> str:
    kind, dash, rest = value.partition("-")
    uuid = rest.replace("-", "").replace("/", "")
    is_gpu = kind == "GPU" and dash and uuid.isalnum() and uuid.isascii()
    if value in {"auto", "cpu"} or _CPU_PART.fullmatch(value) or is_gpu:
        return value
    if kind == "MIG":
        raise fault(
            "slices of a GPU (MIG) are not supported: their memory is not in the inventory, so no quota would hold",
            "switch MIG off (`nvidia-smi -mig 0`) and name the GPU: its workers share it by memory.fraction",
        )
    message = "a device is auto, cpu, a part of it (cpu:0, cpu:1, …), or a GPU's UUID (GPU-…)"
    raise fault(message, "`nvidia-smi -L` lists the UUIDs")


def _or_auto(schema: dict[str, Any]) -> None:
    """Lets the schema of a mapping allow the word auto too."""
    mapping = {key: schema.pop(key) for key in ("type", "additionalProperties")}
    schema["anyOf"] = [{"const": "auto"}, mapping]


class Mosaic(Strict):
    """How cameras are put together."""

    canvas: Canvas = Field(
        default=DEFAULT_CANVAS,
        json_schema_extra={"default": str(DEFAULT_CANVAS)},
        description="Size of a mosaic, WIDTHxHEIGHT in pixels; half of each is a tile, a multiple of 32.",
    )
    fps: float = Field(
        default=5.0, gt=0, le=30, description="Mosaics composed a second; the highest rate of any camera."
    )
    stale_s: Seconds = Field(
        default=2.0, description="Age in seconds from which a tile is blanked and yields no sighting."
    )

    skip_still: Switch = Field(
        default=False, description="Whether mosaics in which nothing moves are left out, but for a look now and then."
    )
    refresh_s: Seconds = Field(
        default=10.0, description="skip_still: longest time in seconds between two looks at a still mosaic."
    )

    @model_validator(mode="after")
    def _stale_after_a_frame(self) -> "Mosaic":
        if self.stale_s * self.fps < 1:
            message = f"{self.stale_s:g} s is shorter than one frame at {self.fps:g} fps: every tile would be blank"
            raise fault(message, f"at least {1 / self.fps:.3g}", ("stale_s",))
        return self


class Capture(Strict):
    """The processes that read and decode the cameras."""

    processes: AutoOrCount = Field(
        default="auto", description="Capture processes; auto is one a mosaic, at most one a CPU core."
    )
    open_timeout_s: Seconds = Field(default=5.0, description="Longest wait in seconds for a camera to answer.")
    read_timeout_s: Seconds = Field(default=5.0, description="Longest wait in seconds for a packet.")


class Model(Strict):
    """The detector, a Darknet network: by name, or its three files."""

    name: str | None = Field(
        default=None, description="A model that `mosaicd models` fetched or added; or the three files instead."
    )
    cfg: AnyPath | None = Field(default=None, description="The network's description, a Darknet .cfg file.")
    weights: AnyPath | None = Field(default=None, description="Its weights, a Darknet .weights or a .keras file.")
    names: AnyPath | None = Field(default=None, description="Its labels, a text file with one a line.")
    engine: Literal["auto", "openvino", "tensorflow"] = Field(
        default="auto", description="What executes it; auto is openvino on an x86 CPU, else tensorflow."
    )
    precision: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        default="auto", description="Its arithmetic; auto is the fastest that was not measured to be clearly worse."
    )
    input: Literal["auto", "mosaic", "tiles"] = Field(
        default="auto", description="What it is given: the whole mosaic, or its tiles one by one; auto measures."
    )
    batch: Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=16)], BeforeValidator(_auto_or_batch)] = Field(
        default="auto", description="Mosaics answered at once where so many wait; auto is 1 on the CPU, 4 on a GPU."
    )
    score: Positive = Field(default=0.25, description="Lowest score of a detection, 0 to 1.")
    iou: Positive = Field(default=0.45, description="Overlap (0 to 1) above which the lower of two boxes is dropped.")

    @model_validator(mode="after")
    def _named_once(self) -> "Model":
        files = {"cfg": self.cfg, "weights": self.weights, "names": self.names}
        given = [key for key, path in files.items() if path is not None]
        if self.name is not None and given:
            raise fault(f"name stands for all three files, but {given[0]} is given too", "leave one out", (given[0],))
        missing = [key for key in files if key not in given]
        if self.name is None and len(missing) == len(files):
            raise fault("no model is named", "give name, or cfg, weights and names; `mosaicd models list` knows names")
        if self.name is None and missing:
            raise fault(f"missing key '{missing[0]}'", at=(missing[0],))
        return self


class Memory(Strict):
    """The memory of one worker."""

    mode: Literal["fraction", "growth", "all"] = Field(
        default="fraction", description="fraction: a fixed share; growth: grow on demand; all: the whole device."
    )
    fraction: Annotated[float, Field(gt=0, le=1)] | None = Field(
        default=None,
        description="One worker's share of the memory, 0 to 1; null is 0.25 on a GPU, an equal share on the CPU.",
    )
    reserve_mib: Mib = Field(default=RESERVE_MIB, description="MiB of the device that are left alone.")
    overhead_mib: AutoOrMib = Field(
        default="auto",
        description="MiB that each worker takes beyond its limit; auto is what was measured of this model here, before "
        "that 600 on a GPU (context and libraries) and 0 on the CPU, where the limit counts all of a worker's data.",
    )


class Device(Strict):
    """One device and the workers on it."""

    workers: AutoOrCount = Field(default="auto", description="Inference workers; auto is as many as fit.")
    threads: AutoOrCount = Field(
        default="auto", description="CPU threads of one worker; auto measures what is best, which is 1 for most models."
    )
    spare: Switch = Field(
        default=False,
        description="Whether one worker more is kept loaded, without mosaics, to take over at once when another dies.",
    )
    memory: Memory = Field(default=Memory(), description="The memory of one worker.")

    @model_validator(mode="after")
    def _quotas_fit(self) -> "Device":
        if not isinstance(self.workers, int) or self.workers == 1:
            return self
        if self.memory.mode == "all":
            message = f"mode all gives the whole device to one worker, but there are {self.workers}"
            raise fault(message, "use mode fraction, or workers: 1", ("memory", "mode"))
        fraction = self.memory.fraction
        if self.memory.mode == "fraction" and fraction is not None and self.workers * fraction > 1 + 1e-9:
            largest = int(10_000 / self.workers) / 10_000
            message = f"{self.workers} workers of {fraction:g} each are {self.workers * fraction:g} of the device"
            remedy = f"at most fraction: {largest:g}, or workers: {int(1 / fraction + 1e-9)}"
            raise fault(message, remedy, ("memory", "fraction"))
        return self


class Supervision(Strict):
    """When a child process is judged, ended and started again."""

    hang_s: Seconds = Field(default=30.0, description="Seconds without an answer, while work waits, that mean a hang.")
    start_timeout_s: Seconds = Field(
        default=120.0, description="Seconds a worker has for each step of its start: loading the model, warming it up."
    )
    stop_timeout_s: Seconds = Field(default=10.0, description="Seconds a child has to stop before it is killed.")
    stable_s: Seconds = Field(default=600.0, description="Seconds of health after which failures are forgotten.")
    max_restarts: int = Field(
        default=5, ge=0, le=1000, description="Restarts in the window before a worker is given up."
    )
    restart_window_s: Seconds = Field(default=600.0, description="Length of that window in seconds.")
    start_concurrency: int = Field(
        default=1, ge=1, le=64, description="Workers that load a model at once on one device."
    )


class JsonLines(Strict):
    """Sightings as JSON Lines in files that are rotated."""

    enabled: Switch = Field(default=True, description="Whether sightings are written.")
    per_camera: Switch = Field(
        default=False,
        description="One file a camera, sightings/CAMERA.jsonl in the state folder, instead of sightings.jsonl.",
    )
    empty: Switch = Field(default=False, description="Whether frames without a sighting are written too.")
    max_mib: float = Field(default=100.0, gt=0, le=1 << 20, description="Size in MiB from which a file is rotated.")
    max_age_days: float = Field(
        default=7.0, gt=0, le=3650, description="Age in days from which rotated files are deleted."
    )
    max_total_mib: float = Field(
        default=1000.0, gt=0, le=1 << 24, description="Size in MiB of all rotated files, the oldest of which go first."
    )


class Sinks(Strict):
    """Where sightings go."""

    jsonl: JsonLines = Field(default=JsonLines(), description="JSON Lines files.")


class Logging(Strict):
    """The daemon's own log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severity written.")
    format: Literal["text", "json"] = Field(default="text", description="Lines for people or for machines.")


class Settings(Strict):
    """All settings, valid and frozen. Paths are absolute or relative to the working directory, never to the file."""

    state_dir: AnyPath = Field(
        default=Path("/var/lib/mosaicd"), description="Folder the daemon writes to: sightings, last valid settings."
    )
    secrets_dir: AnyPath = Field(
        default=Path("/etc/mosaicd/secrets"),
        description="Folder with one file for each ${NAME} of the roster, and of these settings.",
    )
    cache_dir: AnyPath | None = Field(
        default=None, description="Folder for built models; null is the folder cache in the state folder."
    )
    roster: AnyPath = Field(
        default=Path("cameras.yaml"), description="The cameras' file; relative to the settings file."
    )
    http: Http = Field(default=Http(), description="Metrics, API and live page over HTTP.")
    mosaic: Mosaic = Field(default=Mosaic(), description="How cameras are put together.")
    capture: Capture = Field(default=Capture(), description="The processes that read and decode the cameras.")
    model: Model = Field(description="The detector.")
    devices: Annotated[Mapping[Annotated[str, AfterValidator(_device_name)], Device], BeforeValidator(_devices)] = (
        Field(
            default={"auto": Device()},
            description="auto: every NVIDIA GPU found, else the CPU; or a mapping of devices to workers: GPUs by UUID, "
            "cpu, or its equal parts, cpu:0, cpu:1 and so on, each with its own cores and memory.",
            json_schema_extra=_or_auto,
        )
    )
    supervision: Supervision = Field(
        default=Supervision(), description="When children are judged, ended and restarted."
    )
    sinks: Sinks = Field(default=Sinks(), description="Where sightings go.")
    events: Events = Field(default=Events(), description="What happened, made of what was seen.")
    logging: Logging = Field(default=Logging(), description="The daemon's own log.")

    @property
    def cpu_parts(self) -> int:
        """Into how many devices the CPU is divided; 0 where it is one, or none."""
        return sum(name.startswith("cpu:") for name in self.devices)

    @property
    def cache_folder(self) -> Path:
        """Where built models and measurements are kept."""
        return self.cache_dir or self.state_dir / "cache"


def load_settings(path: Path, overrides: Sequence[str] = ()) -> Settings:
    """Reads the file at `path` and applies `KEY.PATH=VALUE` overrides. Relative paths, overrides' too, are relative to
    the file's folder. Raises ConfigError with every problem."""
    document = yamltext.load(path).then(lambda parsed: yamltext.with_overrides(parsed, overrides))
    return document.then(lambda found: settings_from(found, path.parent)).require()


def parse_settings(text: str | bytes, *, file: str, base: Path, overrides: Sequence[str] = ()) -> Checked[Settings]:
    """The settings in `text`; `file` names it in problems, and relative paths are relative to `base`. Pure."""
    document = yamltext.parse(text, file).then(lambda parsed: yamltext.with_overrides(parsed, overrides))
    return document.then(lambda found: settings_from(found, base)).if_valid()


def settings_from(document: YamlDocument, base: Path) -> Checked[Settings]:
    """The settings in a parsed document, with warnings, or all that is wrong with them. Pure."""
    try:
        settings = Settings.model_validate(document.value, context={"base": base})
    except ValidationError as error:
        return Checked(None, in_order(from_pydantic(error, Settings, document)))
    return Checked(settings, in_order(_warnings(settings, document)))


def _warnings(settings: Settings, document: YamlDocument) -> Iterator[Problem]:
    for name, device in settings.devices.items():
        if device.memory.mode == "growth" and device.workers != 1:
            path: KeyPath = ("devices", name, "memory", "mode")
            message = "with mode growth one worker can take the memory of all others"
            remedy = "use mode fraction, or workers: 1"
            yield problem_at(document.value_place(path), path, message, remedy, Severity.WARNING)
