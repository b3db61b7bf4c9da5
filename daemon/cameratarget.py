"""From what was typed, a camera's name or a url, to what is tested. Reads settings and roster; connects to nothing.

Of the roster only the camera that is meant is judged: another that is wrong keeps nobody from testing this one. A
disabled camera can be tested too.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from msgspec import structs

from capture.messages import Reading
from capture.probemessages import ProbeOrder
from capture.words import Transport
from daemon import rostertext, yamltext
from daemon.cameraurl import CameraUrl, UrlError, parse_url
from daemon.cli_models import SETTINGS
from daemon.fieldtypes import DEFAULT_CANVAS
from daemon.problems import Checked, did_you_mean
from daemon.roster import UNWRITTEN, roster_from
from daemon.rosterfile import NAME_PATTERN
from daemon.secrets import SecretSources
from daemon.settings import Capture, Mosaic, Settings, settings_from
from daemon.yamltext import YamlDocument

SAFE_QUERY = frozenset(
    {
        *("camera", "ch", "channel", "chn", "codec", "compression", "fps", "id", "inst", "loop", "profile", "proto"),
        *("resolution", "stream", "streamtype", "subtype", "transportmode", "unicast", "video", "videocodec"),
    }
)
"""Keys of queries whose values may be shown; what stands under others may be a password."""
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_.-]{0,32}", re.ASCII)
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_DOUBTFUL = re.compile(r"(?i:pass|pwd|user|auth|token|key|secret)|[&=;@]")
"""Of a path: some cameras take user name and password there."""
_TOKEN = re.compile(r"(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9]{12,}", re.ASCII)
"""Of a path: recorders make up words like this, and let in whoever knows them."""


class TargetError(Exception):
    """What was typed makes no camera; one line for a person, holding nothing secret."""


@dataclass(frozen=True, slots=True)
class Typed:
    """What the command line says."""

    what: str = field(repr=False)
    """A camera's name, or a url, which may hold a password."""
    settings: Path | None = None
    roster: Path | None = None
    transport: Transport | None = None
    username: str = ""
    password: str = field(default="", repr=False)
    password_name: str = ""
    """The environment variable that the password is from."""
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Target:
    """A camera to test, and what the daemon wants of it."""

    name: str
    address: str
    """What of the url may be shown."""
    order: ProbeOrder = field(repr=False)
    tile_wh: tuple[int, int] = DEFAULT_CANVAS.tile_wh
    fps: float = 5.0
    """Frames that are to be analyzed a second."""
    reading: Reading = UNWRITTEN
    shown_url: str = ""
    """The url as it may stand in a roster: nothing secret, but ${NAME}."""
    is_new: bool = False
    """Given as a url: it stands in no roster yet."""
    is_small: bool = False
    """`detect_url` is tested."""
    username: str = ""
    """Of a new camera, as typed."""
    password_name: str = ""
    """What ${NAME} would be called; empty if there is no password."""
    is_password_typed: bool = False
    """The password stood in the command line, where the process list shows it."""
    is_password_written: bool = False
    """The password stands in the roster's url."""


def is_url(what: str) -> bool:
    """Whether a url is meant: no name has a colon. Pure."""
    return ":" in what


def find_target(typed: Typed, sources: SecretSources) -> Target:
    """Return what is to be tested. Raises TargetError, and ConfigError where a file is wrong."""
    if is_url(typed.what):
        return _from_url(typed, _settings(typed, is_needed=False))
    return _from_roster(typed, _settings(typed, is_needed=typed.roster is None), sources)


def _settings(typed: Typed, *, is_needed: bool) -> Settings | None:
    path = typed.settings or SETTINGS
    settings = yamltext.load(path).then(lambda found: settings_from(found, path.parent))
    if typed.settings is not None or is_needed:
        return settings.require()
    return settings.if_valid().value


def _from_url(typed: Typed, settings: Settings | None) -> Target:
    try:
        url = parse_url(typed.what)
    except UrlError as error:
        raise TargetError(error.message + (f" ({error.remedy})" if error.remedy else "")) from None
    if url.has_credentials and (typed.username or typed.password):
        raise TargetError("credentials both in the url and beside it: leave one out")
    name = suggested_name(url)
    username = url.username.reveal() if url.username else typed.username
    password = url.password.reveal() if url.password else typed.password
    reading = structs.replace(UNWRITTEN, transport=typed.transport or Transport.TCP)
    order = _order(typed, settings, url.base + url.rest, (username, password), reading)
    known = typed.password_name if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", typed.password_name) else ""
    return _with_settings(
        Target(
            name=name,
            address=url.address,
            order=order,
            reading=reading,
            shown_url=shown_url(url, name),
            is_new=True,
            username=username,
            password_name=(known or secret_name(name, "password")) if password else "",
            is_password_typed=url.password is not None,
        ),
        settings,
    )


def _from_roster(typed: Typed, settings: Settings | None, sources: SecretSources) -> Target:
    if typed.username or typed.password:
        raise TargetError("user name and password go with a url; a camera of the roster has its own there")
    path = typed.roster or (settings.roster if settings else Path())
    documents = _documents(path, typed.what)
    written = _entry(documents, typed.what)
    default_dir = Settings.model_fields["secrets_dir"].default
    known = sources.with_secrets_dir(settings.secrets_dir if settings else default_dir)
    roster = roster_from(_alone(documents, typed.what, written), None, known).require()
    [camera] = roster.cameras
    url = parse_url(written["url"])
    small = parse_url(str(written["detect_url"])) if camera.detect_url else None
    reading = structs.replace(camera.reading, transport=typed.transport or camera.reading.transport)
    credentials = (
        camera.username.reveal() if camera.username else "",
        camera.password.reveal() if camera.password else "",
    )
    order = _order(typed, settings, (camera.detect_url or camera.url).reveal(), credentials, reading)
    target = Target(
        name=camera.name,
        address=(small or url).address,
        order=order,
        reading=reading,
        shown_url=shown_url(small or url, camera.name),
        is_small=small is not None,
        password_name=secret_name(camera.name, "password") if credentials[1] else "",
        is_password_written=url.password is not None and not url.is_template,
    )
    target = _with_settings(target, settings)
    return replace(target, fps=camera.fps or target.fps)


def _documents(path: Path, name: str) -> tuple[YamlDocument, ...]:
    """The roster's main document and, if another has the camera, that one; all if none has it. Raises ConfigError where
    one of these cannot be read."""
    read = rostertext.read(path).documents
    main, *others = read.value or read.require()
    holder = next((document for document in (main, *others) if name in _cameras(document)), None)
    if holder is None:
        return read.require()
    needed = (main,) if holder is main else (main, holder)
    files = {document.file for document in needed}
    return Checked(needed, tuple(problem for problem in read.problems if problem.file in files)).require()


def _cameras(document: YamlDocument) -> dict[str, Any]:
    cameras = document.value.get("cameras") if isinstance(document.value, dict) else None
    return cameras if isinstance(cameras, dict) else {}


def _entry(documents: Sequence[YamlDocument], name: str) -> dict[str, Any]:
    """The camera as the roster writes it. Raises TargetError; what is no roster at all is left to be said as usual."""
    main = documents[0]
    written = main.value if isinstance(main.value, dict) else {}
    if not isinstance(written.get("cameras", {} if "include" in written else None), dict):
        return {}
    cameras = {key: body for document in documents for key, body in _cameras(document).items()}
    if name not in cameras:
        known = list(cameras)
        hint = f"; it has {', '.join(known[:8])}{', ...' if len(known) > 8 else ''}" if known else ""
        raise TargetError(f"no camera '{name}' in {main.file}{did_you_mean(name, known) or hint}")
    body = cameras[name]
    return body if isinstance(body, dict) else {}


def _alone(documents: Sequence[YamlDocument], name: str, written: dict[str, Any]) -> Sequence[YamlDocument]:
    """The roster with this one camera in it, enabled."""
    if not written:
        return documents  # it is wrong in a way that its owner is to be told
    entry = {name: {**written, "enabled": True}}
    return [
        replace(document, value={**document.value, "cameras": entry if name in _cameras(document) else {}})
        for document in documents
    ]


def _order(
    typed: Typed, settings: Settings | None, url: str, credentials: tuple[str, str], reading: Reading
) -> ProbeOrder:
    capture = settings.capture if settings else Capture()
    return ProbeOrder(
        url=url,
        username=credentials[0],
        password=credentials[1],
        transport=reading.transport,
        hwaccel=reading.hwaccel,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
        seconds=typed.seconds,
        masks=reading.masks,
    )


def _with_settings(target: Target, settings: Settings | None) -> Target:
    mosaic = settings.mosaic if settings else Mosaic()
    return replace(target, tile_wh=mosaic.canvas.tile_wh, fps=mosaic.fps)


def suggested_name(url: CameraUrl) -> str:
    """Return a roster's name for a camera that has none: after its host, or its file. Pure."""
    place = url.address.removeprefix("file:").rpartition("/")[2].rpartition(".")[0] if url.base == "file:" else ""
    place = place or re.sub(r":[0-9]+$", "", url.base.partition("://")[2])
    words = re.sub(r"[^A-Za-z0-9_-]+", "-", place).strip("-_")
    name = f"camera-{words}"[:63].rstrip("-") if words[:1].isdigit() or not words else words[:63]
    return name if re.match(NAME_PATTERN, name) else "camera"


def secret_name(camera: str, what: str) -> str:
    """Return what ``${NAME}`` of a camera is called: `GATE_PASSWORD`. Pure."""
    return re.sub(r"[^A-Z0-9]+", "_", f"{camera} {what}".upper()).strip("_")


def shown_url(url: CameraUrl, camera: str) -> str:
    """Return a url as it may be shown: what could be a password in path or query is a ``${NAME}``. Pure."""
    if url.base == "file:":
        return url.base + url.rest
    path, mark, query = url.rest.partition("?")
    written = _REFERENCE.sub("", path)
    if _DOUBTFUL.search(written) or any(map(_TOKEN.fullmatch, written.split("/"))):
        path = f"/${{{secret_name(camera, 'path')}}}"
    shown = []
    for pair in query.split("&") if query else ():
        key, equals, value = pair.partition("=")
        is_word = re.fullmatch(r"[A-Za-z0-9_-]{1,32}", key) is not None
        if is_word and (_REFERENCE.fullmatch(value) or (key.lower() in SAFE_QUERY and _SAFE_VALUE.fullmatch(value))):
            shown.append(pair)
        elif is_word and equals:
            shown.append(f"{key}=${{{secret_name(camera, key)}}}")
        else:
            shown.append(f"${{{secret_name(camera, 'query')}}}")
    return url.base + path + mark + "&".join(shown)
