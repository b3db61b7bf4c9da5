"""The roster: which cameras there are, how each is reached and what is wanted from it.

Owns the shape of `cameras.yaml`, the merging of `defaults:` under each camera, and all that can be judged about cameras
without connecting to one. Credentials end here as `Secret`s; a url is one too, because many recorders take the
password in its query. It must not know devices, models (labels are checked against names passed in), nor how a camera
is read. Reads the files of `SecretSources`; otherwise pure, but for `load_roster`.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from pydantic import ValidationError

from capture.layout import TILES
from capture.messages import Reading
from capture.words import DecodeMode
from daemon import yamltext
from daemon.cameraurl import NO_URL, CameraUrl, UrlError, parse_url
from daemon.problems import (
    Checked,
    KeyPath,
    Place,
    Problem,
    Severity,
    did_you_mean,
    error_path,
    from_pydantic,
    has_errors,
    in_order,
    problem_at,
)
from daemon.rosterfile import CameraDefaults, RosterFile
from daemon.secrets import Secret, SecretFault, SecretSources, expand
from daemon.yamltext import YamlDocument
from inference.labels import modern_label

UNWRITTEN = Reading(decode=DecodeMode.ADAPTIVE)
"""How a camera is read whose roster says nothing of it."""


@dataclass(frozen=True, slots=True)
class Camera:
    """One camera, defaults merged and secrets resolved. Nothing secret is in its repr."""

    name: str
    url: Secret
    """Without credentials: `rtsp://host:port/path?query` or `file:/path?loop=1`. Its query may hold a password."""
    address: str
    """What of the url may be shown: `rtsp://host:port` or `file:/path`."""
    detect_url: Secret | None = None
    """The stream to analyse in place of `url`, likewise."""
    enabled: bool = True
    fps: float | None = None
    """Frames analysed a second; None is the mosaic's rate."""
    mosaic: str | None = None
    """Name of the mosaic it must be in; None is any."""
    username: Secret | None = None
    password: Secret | None = None
    labels: tuple[str, ...] | None = None
    """Labels wanted, in modern words; None is all."""
    min_score: float | None = None
    """0 to 1; None is the model's."""
    priority: str = "normal"
    """low, normal or high."""
    reading: Reading = UNWRITTEN


@dataclass(frozen=True, slots=True)
class WrittenLabel:
    """A label as some camera or the defaults ask for it, in the word written there, and where."""

    label: str
    path: KeyPath
    place: Place


@dataclass(frozen=True, slots=True)
class Roster:
    """All cameras, disabled ones too, in the file's order. Two rosters are equal if their cameras are."""

    cameras: tuple[Camera, ...]
    written_labels: tuple[WrittenLabel, ...] = field(default=(), compare=False, repr=False)

    @property
    def enabled(self) -> tuple[Camera, ...]:
        """The cameras to read."""
        return tuple(camera for camera in self.cameras if camera.enabled)


def load_roster(
    path: Path, *, mosaic_fps: float | None, sources: SecretSources, stale_s: float | None = None
) -> Roster:
    """Reads the roster at `path`; raises ConfigError with every problem. `mosaic_fps` and `stale_s` are the settings'
    (None: not known, not checked)."""
    document = yamltext.load(path)
    return document.then(lambda found: roster_from(found, mosaic_fps, sources, stale_s)).require()


def parse_roster(
    text: str | bytes, *, file: str, mosaic_fps: float | None, sources: SecretSources, stale_s: float | None = None
) -> Checked[Roster]:
    """The roster in `text`, with warnings, or all that is wrong with it; `file` is its name in problems."""
    document = yamltext.parse(text, file)
    return document.then(lambda found: roster_from(found, mosaic_fps, sources, stale_s)).if_valid()


def roster_from(
    document: YamlDocument, mosaic_fps: float | None, sources: SecretSources, stale_s: float | None = None
) -> Checked[Roster]:
    """The roster in a parsed document. What is wrong in one field hides no problem in another."""
    raw = _as_written(document)
    problems: list[Problem] = []
    wrong: set[KeyPath] = set()
    try:
        RosterFile.model_validate(raw)
    except ValidationError as error:
        problems += from_pydantic(error, RosterFile, document)
        wrong = {error_path(item)[:3] for item in error.errors(include_url=False)}
    drafts = _drafts(raw, wrong)
    urls, url_problems = _urls(drafts, document)
    resolver = _Resolver(document, sources)
    cameras = [resolver.camera(draft, urls) for draft in drafts]
    problems += [*url_problems, *resolver.problems(), *_rate_problems(drafts, document, mosaic_fps, stale_s)]
    problems += _mosaic_problems(drafts, document)
    if not problems and not any(draft.fields.enabled for draft in drafts):
        message = "no camera is enabled"
        problems.append(problem_at(document.key_place(("cameras",)), ("cameras",), message, "", Severity.WARNING))
    if has_errors(problems):
        return Checked(None, in_order(problems))
    return Checked(Roster(tuple(cameras), tuple(_written_labels(drafts, document))), in_order(problems))


def check_labels(roster: Roster, names: Sequence[str]) -> tuple[Problem, ...]:
    """The labels that the model, whose labels are `names` in modern words, does not know."""
    known = frozenset(names)
    return in_order(
        problem_at(
            written.place,
            written.path,
            f"the model has no label '{written.label}'" + did_you_mean(written.label, names),
        )
        for written in roster.written_labels
        if modern_label(written.label) not in known
    )


@dataclass(frozen=True, slots=True)
class _Draft:
    """A camera with its defaults, less the fields that are wrong; `own` are the keys it has itself."""

    name: str
    fields: CameraDefaults
    own: frozenset[str]
    urls: Mapping[str, str]
    """By key: url, detect_url."""

    def path(self, key: str) -> KeyPath:
        """Where the value of `key` is written."""
        return ("cameras", self.name, key) if key in self.own else ("defaults", key)


def _as_written(document: YamlDocument) -> Any:
    """The document with texts as they were typed: the password 0012 is not 12, the mosaic 1 is a name."""
    if not isinstance(document.value, dict):
        return document.value
    result = dict(document.value)
    blocks: list[tuple[dict[str, Any], KeyPath]] = [(result, ("defaults",))]
    if isinstance(result.get("cameras"), dict):
        result["cameras"] = dict(result["cameras"])
        blocks += [(result["cameras"], ("cameras", name)) for name in result["cameras"]]
    for holder, path in blocks:
        body = holder.get(str(path[-1]))
        if isinstance(body, dict):
            written = {key: document.texts.get((*path, key)) for key in ("username", "password", "mosaic")}
            # A blank becomes an empty text, which is refused: `password: #secret` is a comment.
            texts = {key: text for key, text in written.items() if text is not None and text not in _NULLS}
            holder[str(path[-1])] = body | texts
    return result


_URLS = ("url", "detect_url")
_NULLS = frozenset({"~", "null", "Null", "NULL"})


def _drafts(raw: Any, wrong: set[KeyPath]) -> list[_Draft]:
    raw = raw if isinstance(raw, dict) else {}
    defaults = _partial(raw.get("defaults"), ("defaults",), {path[:2] for path in wrong})
    cameras = raw.get("cameras")
    drafts = []
    for name, body in cameras.items() if isinstance(cameras, dict) else ():
        own = _partial(body, ("cameras", name), wrong)
        merged = defaults.model_copy(update={key: getattr(own, key) for key in own.model_fields_set})
        given = body if isinstance(body, dict) else {}
        urls = {key: given[key] for key in _URLS if given.get(key) and ("cameras", name, key) not in wrong}
        drafts.append(_Draft(name, merged, frozenset(own.model_fields_set), urls))
    return drafts


def _partial(body: Any, path: KeyPath, wrong: set[KeyPath]) -> CameraDefaults:
    """The fields of a block that are right on their own."""
    body = body if isinstance(body, dict) else {}
    fields = {k: v for k, v in body.items() if k in CameraDefaults.model_fields and (*path, k) not in wrong}
    return CameraDefaults.model_validate(fields)


class _Resolver:
    """Makes cameras of drafts, and collects the secrets that are missing: one in `defaults:` is said once."""

    def __init__(self, document: YamlDocument, sources: SecretSources) -> None:
        self._document = document
        self._sources = sources
        self._wanting: dict[tuple[KeyPath, SecretFault], list[str]] = defaultdict(list)

    def camera(self, draft: _Draft, urls: Mapping[tuple[str, str], CameraUrl]) -> Camera:
        """The camera; a secret that is missing is None in it, and a problem. A disabled camera's are not looked up."""
        fields = draft.fields
        url, small = urls.get((draft.name, "url"), NO_URL), urls.get((draft.name, "detect_url"))
        username, password = fields.username, fields.password
        if fields.enabled:
            if url.has_credentials:
                username = self._literal(draft, "url", url.username)
                password = self._literal(draft, "url", url.password)
            else:
                username = self._expand(draft, draft.path("username"), username)
                password = self._expand(draft, draft.path("password"), password)
        else:
            username = password = None
        return Camera(
            name=draft.name,
            url=self._whole(draft, "url", url),
            address=url.address,
            detect_url=self._whole(draft, "detect_url", small) if small else None,
            enabled=fields.enabled,
            fps=fields.fps,
            mosaic=fields.mosaic,
            username=username,
            password=password,
            labels=fields.labels,
            min_score=fields.min_score,
            priority=fields.priority,
            reading=msgspec.convert({key: getattr(fields, key) for key in Reading.__struct_fields__}, Reading),
        )

    def problems(self) -> Iterator[Problem]:
        """The secrets that were missing so far, with the cameras that want them."""
        for (path, fault_), names in self._wanting.items():
            who = f"camera {names[0]}" if len(names) == 1 else f"cameras {_some(names)}"
            yield problem_at(self._document.value_place(path), path, f"{who}: {fault_.message}", fault_.remedy)

    def _whole(self, draft: _Draft, key: str, url: CameraUrl) -> Secret:
        rest = Secret(url.rest)
        if draft.fields.enabled:
            rest = self._literal(draft, key, rest) or rest
        return Secret(url.base + rest.reveal())

    def _literal(self, draft: _Draft, key: str, text: Secret | None) -> Secret | None:
        """A part of a url: `$$` is a plain part of many passwords there, so only `${` makes it a template."""
        path: KeyPath = ("cameras", draft.name, key)
        return self._expand(draft, path, text) if text and "${" in text.reveal() else text

    def _expand(self, draft: _Draft, path: KeyPath, template: Secret | None) -> Secret | None:
        if template is None:
            return None
        expanded = expand(template, self._sources)
        for fault_ in expanded.faults:
            self._wanting[path, fault_].append(draft.name)
        return expanded.secret


def _some(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _rate_problems(
    drafts: Sequence[_Draft], document: YamlDocument, mosaic_fps: float | None, stale_s: float | None
) -> Iterator[Problem]:
    for draft in drafts:
        fps, path = draft.fields.fps, draft.path("fps")
        if fps is None or not draft.fields.enabled:
            continue
        place = document.value_place(path)
        if mosaic_fps is not None and fps > mosaic_fps:
            message = f"{fps:g} fps is above the mosaics' rate of {mosaic_fps:g}"
            yield problem_at(place, path, message, "lower it, or raise mosaic.fps in the settings")
        elif stale_s is not None and fps * stale_s < 1:
            message = f"at {fps:g} fps a tile is older than mosaic.stale_s ({stale_s:g} s) part of the time"
            yield problem_at(place, path, message, "its tile will be blank between frames", Severity.WARNING)


def _mosaic_problems(drafts: Sequence[_Draft], document: YamlDocument) -> Iterator[Problem]:
    members: dict[str, list[_Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.fields.enabled and draft.fields.mosaic is not None:
            members[draft.fields.mosaic].append(draft)
    for mosaic, group in members.items():
        if len(group) > TILES:
            path = group[TILES].path("mosaic")
            names = _some([draft.name for draft in group])
            message = f"mosaic '{mosaic}' has {len(group)} cameras, {TILES} at most: {names}"
            yield problem_at(document.value_place(path), path, message)


def _written_labels(drafts: Sequence[_Draft], document: YamlDocument) -> Iterator[WrittenLabel]:
    for path in dict.fromkeys(draft.path("labels") for draft in drafts if draft.fields.labels):
        value = document.value
        for part in path:
            value = value[part]
        for index, label in enumerate(value):
            yield WrittenLabel(label, (*path, index), document.value_place((*path, index)))


def _urls(drafts: Sequence[_Draft], document: YamlDocument) -> tuple[dict[tuple[str, str], CameraUrl], list[Problem]]:
    """The urls that can be read, by camera and key, and what is wrong with or doubtful about any."""
    urls: dict[tuple[str, str], CameraUrl] = {}
    first_with: dict[tuple[str, str], str] = {}
    problems = []
    for draft, key in ((each, key) for each in drafts for key in each.urls):
        path: KeyPath = ("cameras", draft.name, key)
        place = document.value_place(path)
        try:
            url = parse_url(draft.urls[key])
        except UrlError as error:
            problems.append(problem_at(place, path, error.message, error.remedy))
            continue
        urls[draft.name, key] = url
        if url.has_credentials and key != "url":
            message, remedy = "credentials in the url", "it shares the camera's username: and password:"
            problems.append(problem_at(place, path, message, remedy))
        elif url.has_credentials and not draft.own.isdisjoint({"username", "password"}):
            problems.append(problem_at(place, path, "credentials both in the url and beside it", "remove one"))
        elif url.has_credentials and not url.is_template:
            message, remedy = "credentials in the url", "write them as username: and password: ${NAME}"
            problems.append(problem_at(place, path, message, remedy, Severity.WARNING))
        if draft.fields.enabled and first_with.setdefault(url.target, draft.name) != draft.name:
            message = f"the same url as camera {first_with[url.target]}"
            problems.append(problem_at(place, path, message, "", Severity.WARNING))
    return urls, problems
