"""The roster: which cameras there are, how each is reached and what is wanted from it.

Owns all that can be judged about cameras without connecting to one. Credentials end here as `Secret`s; a url is one
too, because many recorders take the password in its query. It must not know devices, models (labels are checked
against names passed in), nor how a camera is read. Reads the files of `SecretSources`; otherwise pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

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
    has_errors,
    in_order,
    problem_at,
)
from daemon.rosterdraft import Draft, Spot, defaults_of, drafts_of
from daemon.rosterfile import CameraDefaults
from daemon.rulefields import rules_of
from daemon.secrets import Secret, SecretFault, SecretSources, expand
from daemon.yamltext import YamlDocument
from events.album import Recording
from events.analyst import CameraRules
from inference.labels import modern_label

UNWRITTEN = Reading(decode=DecodeMode.ADAPTIVE)
"""How a camera is read whose roster says nothing of it."""
NO_RULES = CameraRules()


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
    is_switched_off: bool = False
    """By hand (:mod:`daemon.switches`), whatever the file says."""
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
    rules: CameraRules = NO_RULES
    """What its events are made of."""
    recording: Recording | None = None
    """How clips of them are made; None: there are none."""


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


def parse_roster(
    text: str | bytes, *, file: str, mosaic_fps: float | None, sources: SecretSources, stale_s: float | None = None
) -> Checked[Roster]:
    """The roster in `text`, with warnings, or all that is wrong with it; `file` is its name in problems. What it
    includes is left out."""
    document = yamltext.parse(text, file)
    return document.then(lambda found: roster_from((found,), mosaic_fps, sources, stale_s)).if_valid()


def roster_from(
    documents: Sequence[YamlDocument], mosaic_fps: float | None, sources: SecretSources, stale_s: float | None = None
) -> Checked[Roster]:
    """The roster in parsed documents, the main one first, then those that it includes. What is wrong in one field
    hides no problem in another. `mosaic_fps` and `stale_s` are the settings' (None: not known, not checked)."""
    drafts, problems = drafts_of(documents)
    urls, url_problems = _urls(drafts)
    resolver = _Resolver(sources)
    cameras = [resolver.camera(draft, urls) for draft in drafts]
    problems += [*url_problems, *resolver.problems(), *_rate_problems(drafts, mosaic_fps, stale_s)]
    problems += _mosaic_problems(drafts)
    if not problems and not any(draft.fields.enabled for draft in drafts):
        place = documents[0].key_place(("cameras",))
        problems.append(problem_at(place, ("cameras",), "no camera is enabled", "", Severity.WARNING))
    if has_errors(problems):
        return Checked(None, in_order(problems))
    return Checked(Roster(tuple(cameras), tuple(_written_labels(drafts))), in_order(problems))


def rules_from(documents: Sequence[YamlDocument]) -> Checked[tuple[Roster, Camera]]:
    """What is wanted of each camera, and of one that is not named, where footage of them is there already.

    Their urls and secrets are empty, and nothing about them is wrong.
    """
    drafts, problems = drafts_of(documents)
    problems = [each for each in problems if not _is_of_a_url(each)]
    if has_errors(problems):
        return Checked(None, in_order(problems))
    cameras = tuple(_unreached(draft.name, draft.fields) for draft in drafts)
    other = _unreached("", defaults_of(documents[0]))
    return Checked((Roster(cameras, tuple(_written_labels(drafts))), other), in_order(problems))


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


class _Resolver:
    """Makes cameras of drafts, and collects the secrets that are missing: one in `defaults:` is said once."""

    def __init__(self, sources: SecretSources) -> None:
        self._sources = sources
        self._wanting: dict[tuple[Spot, SecretFault], list[str]] = defaultdict(list)

    def camera(self, draft: Draft, urls: Mapping[tuple[str, str], CameraUrl]) -> Camera:
        """The camera; a secret that is missing is None in it, and a problem. A disabled camera's are not looked up."""
        fields = draft.fields
        url, small = urls.get((draft.name, "url"), NO_URL), urls.get((draft.name, "detect_url"))
        username, password = fields.username, fields.password
        if fields.enabled:
            if url.has_credentials:
                username = self._literal(draft, "url", url.username)
                password = self._literal(draft, "url", url.password)
            else:
                username = self._expand(draft, draft.spot("username"), username)
                password = self._expand(draft, draft.spot("password"), password)
        else:
            username = password = None
        return replace(
            _unreached(draft.name, fields),
            url=self._whole(draft, "url", url),
            address=url.address,
            detect_url=self._whole(draft, "detect_url", small) if small else None,
            username=username,
            password=password,
        )

    def problems(self) -> Iterator[Problem]:
        """The secrets that were missing so far, with the cameras that want them."""
        for (spot, fault_), names in self._wanting.items():
            who = f"camera {names[0]}" if len(names) == 1 else f"cameras {_some(names)}"
            yield spot.problem(f"{who}: {fault_.message}", fault_.remedy)

    def _whole(self, draft: Draft, key: str, url: CameraUrl) -> Secret:
        rest = Secret(url.rest)
        if draft.fields.enabled:
            rest = self._literal(draft, key, rest) or rest
        return Secret(url.base + rest.reveal())

    def _literal(self, draft: Draft, key: str, text: Secret | None) -> Secret | None:
        """A part of a url: `$$` is a plain part of many passwords there, so only `${` makes it a template."""
        return self._expand(draft, draft.own_spot(key), text) if text and "${" in text.reveal() else text

    def _expand(self, draft: Draft, spot: Spot, template: Secret | None) -> Secret | None:
        if template is None:
            return None
        expanded = expand(template, self._sources)
        for fault_ in expanded.faults:
            self._wanting[spot, fault_].append(draft.name)
        return expanded.secret


def _unreached(name: str, fields: CameraDefaults) -> Camera:
    """The camera without how it is reached."""
    return Camera(
        name=name,
        url=Secret(""),
        address="",
        enabled=fields.enabled,
        fps=fields.fps,
        mosaic=fields.mosaic,
        labels=fields.labels,
        min_score=fields.min_score,
        priority=fields.priority,
        reading=msgspec.convert({key: getattr(fields, key) for key in Reading.__struct_fields__}, Reading),
        rules=rules_of(fields.masks, fields.zones, fields.lines, fields.speed, fields.still_s),
        recording=fields.record.recording if fields.record else None,
    )


def _is_of_a_url(problem: Problem) -> bool:
    return problem.path.startswith("cameras.") and problem.path.endswith((".url", ".detect_url"))


def _some(names: Sequence[str], limit: int = 8) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _rate_problems(drafts: Sequence[Draft], mosaic_fps: float | None, stale_s: float | None) -> Iterator[Problem]:
    for draft in drafts:
        fps, spot = draft.fields.fps, draft.spot("fps")
        if fps is None or not draft.fields.enabled:
            continue
        if mosaic_fps is not None and fps > mosaic_fps:
            message = f"{fps:g} fps is above the mosaics' rate of {mosaic_fps:g}"
            yield spot.problem(message, "lower it, or raise mosaic.fps in the settings")
        elif stale_s is not None and fps * stale_s < 1:
            message = f"at {fps:g} fps a tile is older than mosaic.stale_s ({stale_s:g} s) part of the time"
            yield spot.problem(message, "its tile will be blank between frames", Severity.WARNING)


def _mosaic_problems(drafts: Sequence[Draft]) -> Iterator[Problem]:
    members: dict[str, list[Draft]] = defaultdict(list)
    for draft in drafts:
        if draft.fields.enabled and draft.fields.mosaic is not None:
            members[draft.fields.mosaic].append(draft)
    for mosaic, group in members.items():
        if len(group) > TILES:
            spot = group[TILES].spot("mosaic")
            names = _some([draft.name for draft in group])
            message = f"mosaic '{mosaic}' has {len(group)} cameras, {TILES} at most: {names}"
            yield spot.problem(message)


def _written_labels(drafts: Sequence[Draft]) -> Iterator[WrittenLabel]:
    blocks = (draft.block("labels") for draft in drafts if draft.fields.labels)
    for block in {block.spot("labels"): block for block in blocks}.values():
        for index, label in enumerate(block.body["labels"]):
            spot = block.spot("labels", index)
            yield WrittenLabel(label, spot.path, spot.place)
    for kind in ("zones", "lines", "speed"):
        rules = (draft.block(kind) for draft in drafts if getattr(draft.fields, kind))
        for block in {block.spot(kind): block for block in rules}.values():
            for name, rule in block.body[kind].items():
                for index, label in enumerate(rule.get("labels", ())):
                    spot = block.spot(kind, name, "labels", index)
                    yield WrittenLabel(label, spot.path, spot.place)


def _urls(drafts: Sequence[Draft]) -> tuple[dict[tuple[str, str], CameraUrl], list[Problem]]:
    """The urls that can be read, by camera and key, and what is wrong with or doubtful about any."""
    urls: dict[tuple[str, str], CameraUrl] = {}
    first_with: dict[tuple[str, str], str] = {}
    problems = []
    for draft, key in ((each, key) for each in drafts for key in each.urls):
        spot = draft.own_spot(key)
        try:
            url = parse_url(draft.urls[key])
        except UrlError as error:
            problems.append(spot.problem(error.message, error.remedy))
            continue
        urls[draft.name, key] = url
        if url.has_credentials and key != "url":
            message, remedy = "credentials in the url", "it shares the camera's username: and password:"
            problems.append(spot.problem(message, remedy))
        elif url.has_credentials and not draft.own.isdisjoint({"username", "password"}):
            problems.append(spot.problem("credentials both in the url and beside it", "remove one"))
        elif url.has_credentials and not url.is_template:
            message, remedy = "credentials in the url", "write them as username: and password: ${NAME}"
            problems.append(spot.problem(message, remedy, Severity.WARNING))
        if draft.fields.enabled and first_with.setdefault(url.target, draft.name) != draft.name:
            message = f"the same url as camera {first_with[url.target]}"
            problems.append(spot.problem(message, "", Severity.WARNING))
    return urls, problems
