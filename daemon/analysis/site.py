"""With what footage is looked at: settings, rules, the model, and the processes that run it on this machine.

Shell: reads files, looks for devices, and has measured what the settings leave open.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from capture.layout import TILES
from capture.lookmessages import Begin
from daemon import rostertext
from daemon.analysis.lookers import Place
from daemon.devices import Device, DeviceKind, find_devices, run_inventory
from daemon.job import inherit
from daemon.modelload import environ_of, load_of
from daemon.modelrun import ModelRun, model_files, plan_runs
from daemon.models.errors import ModelsError
from daemon.problems import ConfigError, Problem, has_errors
from daemon.roster import Camera, check_labels, rules_from
from daemon.secrets import Secret
from daemon.settings import Device as WantedDevice
from daemon.settings import Settings, load_settings, parse_settings
from daemon.wanted import name_devices
from inference.engine import ModelFiles
from inference.labels import LabelsError, read_labels

MAX_PROCESSES: Final = 16
NOBODY: Final = Camera("", Secret(""), "")
"""Of whom nothing is said: all labels, no rules."""


@dataclass(frozen=True, slots=True)
class Site:
    """Settings, and what is wanted of cameras."""

    settings: Settings
    cameras: Mapping[str, Camera]
    other: Camera
    """Of a camera that is not named."""
    fixed_fps: float | None = None
    """Of all cameras, whatever they want."""

    def camera(self, name: str) -> Camera:
        """Return what is wanted of a camera."""
        return self.cameras.get(name) or replace(self.other, name=name)

    def fps(self, name: str) -> float:
        """Return how many of its frames are looked at a second."""
        return self.fixed_fps or self.camera(name).fps or self.settings.mosaic.fps

    def min_score(self, name: str) -> float:
        """Return the lowest score wanted."""
        wanted = self.camera(name).min_score
        return self.settings.model.score if wanted is None else wanted


def read_site(
    settings_path: Path | None,
    roster_path: Path | None,
    model: ModelFiles | None,
    overrides: Sequence[str],
    *,
    cache: Path,
    fps: float | None = None,
) -> Site:
    """Return what the files say; ``model`` comes before the settings', and needs none, and ``fps`` before every rate.
    Built models are kept in ``cache`` where the settings' own folder cannot be written. Raises ConfigError."""
    settings = _settings(settings_path, model, overrides)
    if model is not None:
        files = {"cfg": model.cfg, "weights": model.weights, "names": model.names}
        settings = settings.model_copy(update={"model": settings.model.model_copy(update={"name": None, **files})})
    if settings_path is None or not os.access(_existing(settings.cache_folder), os.W_OK):
        settings = settings.model_copy(update={"cache_dir": cache})
    if roster_path is None:
        return Site(settings, {}, NOBODY, fps)
    found = rostertext.read(roster_path).documents.then(rules_from)
    roster, other = found.require()
    problems = (*found.problems, *check_labels(roster, _labels(settings)))
    if has_errors(problems):
        raise ConfigError(problems)
    return Site(settings, {camera.name: camera for camera in roster.cameras}, other, fps)


def places_of(
    site: Site, cameras: Sequence[str], environ: Mapping[str, str], say: Callable[[str], None]
) -> tuple[ModelRun, list[Place]]:
    """Return how the model is run, and the processes that do it, for footage of these cameras. Blocks while it is
    measured and built, the first time, which `say` is told. Raises CannotRunError."""
    settings, inherited = site.settings, inherit(environ)
    found = find_devices(partial(run_inventory, environ=inherited)).divided(settings.cpu_parts)
    named = name_devices(settings, found.devices)
    there = [device for device in found.devices if device.name in named or device.uuid in named]
    if not there:
        say("none of the settings' devices is here, so the CPU is taken")
        there, named = [found.devices[-1]], {found.devices[-1].name: WantedDevice()}
    kind = DeviceKind.GPU if any(device.kind is DeviceKind.GPU for device in there) else DeviceKind.CPU
    devices = [device for device in there if device.kind is kind]
    cores, named = len(os.sched_getaffinity(0)), _one_thread_each(named)
    run = plan_runs(settings, devices[:1], named, mosaics=cores, say=say, environ=inherited)[kind]
    score = min([site.min_score(name) for name in cameras], default=settings.model.score)
    places: list[Place] = []
    for device in devices:
        count = 1 if kind is DeviceKind.GPU else max(1, (device.cores or cores) // run.threads)
        readers = max(TILES, cores // len(devices)) if kind is DeviceKind.GPU else TILES
        place = _place(site, run, device, readers=readers, score=score, inherited=inherited)
        places += [place] * min(count, MAX_PROCESSES)
    return run, places


def _one_thread_each(named: Mapping[str, WantedDevice]) -> dict[str, WantedDevice]:
    """Where the settings leave it open: each core decodes and detects by turns, and none waits for another."""
    return {
        name: wanted if isinstance(wanted.threads, int) else wanted.model_copy(update={"threads": 1})
        for name, wanted in named.items()
    }


def _place(
    site: Site, run: ModelRun, device: Device, *, readers: int, score: float, inherited: Mapping[str, str]
) -> Place:
    load = load_of(
        run,
        site.settings,
        device,
        batch=run.batch,
        threads=run.threads,
        score=score,
        memory_mode="growth",
        memory_limit_mib=None,
    )
    keras_home = site.settings.cache_folder / "keras"
    environ = environ_of(inherited, device, threads=run.threads, keras_home=keras_home)
    return Place(environ, Begin(load, readers), device.core_ids)


def _settings(path: Path | None, model: ModelFiles | None, overrides: Sequence[str]) -> Settings:
    if path is not None:
        return load_settings(path, overrides)
    assert model is not None, "one of the two names a model"
    written = {"model": {"cfg": str(model.cfg), "weights": str(model.weights), "names": str(model.names)}}
    return parse_settings(json.dumps(written), file="--set", base=Path.cwd(), overrides=overrides).require()


def _labels(settings: Settings) -> tuple[str, ...]:
    """The model's labels. Raises ConfigError."""
    try:
        return read_labels(model_files(settings).names)
    except (ModelsError, LabelsError) as error:
        raise ConfigError([Problem("model", 0, 0, "", str(error))]) from error
    except OSError as error:
        raise ConfigError([Problem(str(error.filename), 0, 0, "", str(error.strerror))]) from error


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next((each for each in (folder, *folder.parents) if each.exists()), Path("/"))
