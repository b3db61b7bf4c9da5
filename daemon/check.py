"""Settings and roster judged together: every problem at once.

Owns the order of the steps, and what only the disk can tell (model files, the state folder). It must not know the
command line, devices or processes. `mosaicd check` prints what it finds, `mosaicd run` refuses errors.
"""

import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from daemon import rostertext, yamltext
from daemon.httpsettings import find_token
from daemon.modelrun import model_files
from daemon.models.errors import ModelsError
from daemon.problems import Checked, KeyPath, Place, Problem, in_order, problem_at
from daemon.recipients import find_recipients
from daemon.roster import Roster, check_labels, roster_from
from daemon.secrets import SecretSources
from daemon.settings import Mosaic, Settings, settings_from
from daemon.yamltext import YamlDocument
from inference.engine import ModelUnusable
from inference.labels import LabelsError, read_labels
from inference.model import inspect_model


def check(
    settings_path: Path, roster_path: Path | None, overrides: Sequence[str], sources: SecretSources
) -> tuple[Settings | None, Roster | None, list[Problem]]:
    """Reads settings and roster, which is at `roster_path` or where the settings say, with what it includes.

    Each of the two is None where it is not valid in itself; whether the daemon can run is
    `not has_errors(problems)`, since the disk may lack a model. Broken settings do not hide the roster's problems.
    """
    document = yamltext.load(settings_path).then(lambda parsed: yamltext.with_overrides(parsed, overrides))
    settings = document.then(lambda found: settings_from(found, settings_path.parent))
    roster = _roster(settings.value, document.value, settings_path, roster_path, sources)
    problems = [*settings.problems, *roster.problems]
    if settings.value is not None:
        problems += check_files(settings.value, document.value)
        problems += _secret_problems(settings.value, document.value, sources)
        labels = _labels(settings.value)
        if roster.value is not None and labels:
            problems += check_labels(roster.value, labels)
    return settings.if_valid().value, roster.if_valid().value, list(in_order(problems))


def check_roster(documents: Sequence[YamlDocument], settings: Settings, sources: SecretSources) -> Checked[Roster]:
    """The roster in parsed documents under settings that hold, with all that is wrong with it."""
    roster = roster_from(documents, settings.mosaic.fps, sources, settings.mosaic.stale_s)
    labels = _labels(settings)
    return roster.then(lambda found: Checked(found, check_labels(found, labels) if labels else ()))


def find_state_dir(settings_path: Path, overrides: Sequence[str], environ: Mapping[str, str]) -> Path:
    """The state folder of settings that are broken: as they write it if that much can be read, else systemd's, else
    the default."""
    document = yamltext.load(settings_path).then(lambda parsed: yamltext.with_overrides(parsed, overrides)).value
    raw = document.value if document is not None and isinstance(document.value, dict) else {}
    default = environ.get("STATE_DIRECTORY") or str(Settings.model_fields["state_dir"].default)
    return settings_path.parent / _text(raw.get("state_dir"), default)


def check_files(settings: Settings, document: YamlDocument | None = None) -> tuple[Problem, ...]:
    """What the settings name and the disk lacks: model files, a state folder that can be written. With the document
    the problems have positions. Writes and deletes a file in the state folder; the roster's own reading says if it
    is missing."""
    return in_order([*_model_problems(settings, document), *_state_problems(settings, document)])


def model_labels(path: Path) -> tuple[str, ...]:
    """The labels in a `.names` file, as the workers read them; () if they would refuse it (`check_files` says why)."""
    try:
        return read_labels(path)
    except (OSError, LabelsError):
        return ()


def _labels(settings: Settings) -> tuple[str, ...]:
    try:
        return model_labels(model_files(settings).names)
    except ModelsError:
        return ()


def _roster(
    settings: Settings | None,
    document: YamlDocument | None,
    settings_path: Path,
    roster_path: Path | None,
    sources: SecretSources,
) -> Checked[Roster]:
    """The roster by valid settings, or by as much of broken ones as can be understood."""
    base = settings_path.parent
    if settings is not None:
        mosaic: Mosaic | None = settings.mosaic
        path, secrets_dir = settings.roster, settings.secrets_dir
    else:
        raw = document.value if document is not None and isinstance(document.value, dict) else {}
        mosaic = _mosaic(raw.get("mosaic", {}))
        path = base / _text(raw.get("roster"), "cameras.yaml")
        secrets_dir = base / _text(raw.get("secrets_dir"), str(Settings.model_fields["secrets_dir"].default))
    fps, stale_s = (mosaic.fps, mosaic.stale_s) if mosaic else (None, None)
    known = sources.with_secrets_dir(secrets_dir)
    documents = rostertext.read(roster_path or path).documents
    return documents.then(lambda found: roster_from(found, fps, known, stale_s))


def _mosaic(raw: object) -> Mosaic | None:
    try:
        return Mosaic.model_validate(raw)
    except ValidationError:
        return None


def _text(value: object, default: str) -> str:
    return value if isinstance(value, str) and value else default


def _secret_problems(settings: Settings, document: YamlDocument | None, sources: SecretSources) -> Iterator[Problem]:
    known, path = sources.with_secrets_dir(settings.secrets_dir), ("http", "token")
    for each in find_token(settings.http, known).faults:
        yield problem_at(_place(path, document), path, each.message, each.remedy)
    for fault in find_recipients(settings.events, known).faults:
        yield problem_at(_place(fault.path, document), fault.path, fault.message, fault.remedy)


def _model_problems(settings: Settings, document: YamlDocument | None) -> Iterator[Problem]:
    name = settings.model.name
    try:
        files = model_files(settings)
    except ModelsError as error:
        yield problem_at(_place(("model", "name"), document), ("model", "name"), str(error))
        return
    is_readable = True
    for key in ("cfg", "weights", "names"):
        message, remedy = _unreadable(getattr(files, key))
        if message:
            is_readable = False
            path = ("model", key) if name is None else ("model", "name")
            yield problem_at(_place(path, document), path, message, remedy)
    if not is_readable:
        return
    # What a worker would refuse when it loads, as far as a look can tell: the weights' length, say.
    canvas = settings.mosaic.canvas
    sizes = {"mosaic": (canvas.width, canvas.height), "tiles": canvas.tile_wh}
    faults = []
    for kind, input_wh in sizes.items():
        if settings.model.input not in ("auto", kind):
            continue
        try:
            inspect_model(files, input_wh)
        except ModelUnusable as error:
            faults.append(str(error))
        else:
            return  # one way is enough
    yield problem_at(_place(("model",), document), ("model",), faults[0])


def _unreadable(file: Path) -> tuple[str, str]:
    """Why a model file cannot be used, and the remedy; ("", "") if it can."""
    try:
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return f"no such file: {file}", "`mosaicd models list` shows models that can be fetched"
    except OSError as error:
        return f"{file} cannot be read: {error.strerror}", ""
    if not stat.S_ISREG(mode):
        return f"not a file: {file}", ""
    if not os.access(file, os.R_OK):
        return f"no permission to read {file}", f"chmod a+r {file}"
    return "", ""


def _state_problems(settings: Settings, document: YamlDocument | None) -> Iterator[Problem]:
    folder, path = settings.state_dir, ("state_dir",)
    remedy = f"as root: install -d -m 0700 -o {_user()} {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder):  # permission bits do not tell of read-only mounts
            pass
    except FileNotFoundError:
        yield problem_at(_place(path, document), path, f"no such folder: {folder}", remedy)
    except NotADirectoryError:
        yield problem_at(_place(path, document), path, f"not a folder: {folder}")
    except PermissionError:
        yield problem_at(_place(path, document), path, f"no permission to write to {folder}", remedy)
    except OSError as error:
        yield problem_at(_place(path, document), path, f"cannot write to {folder}: {error.strerror}")


def _place(path: KeyPath, document: YamlDocument | None) -> Place:
    return document.value_place(path) if document else Place("settings")


def _user() -> str:
    return str(os.geteuid() or "mosaicd")
