"""From the files of a roster, parsed, to its cameras as drafts: what each is given, and where that is written.

Owns the merging of `defaults:` under each camera: its own file's come before the main file's. It must not know what
the values mean together. Pure.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from daemon.problems import KeyPath, Place, Problem, Severity, error_path, from_pydantic, problem_at
from daemon.rosterfile import CameraDefaults, RosterFile
from daemon.yamltext import YamlDocument

_URLS = ("url", "detect_url")
_NULLS = frozenset({"~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Spot:
    """Where something is written, and under which keys."""

    place: Place
    path: KeyPath

    def problem(self, message: str, remedy: str = "", severity: Severity = Severity.ERROR) -> Problem:
        """What is wrong there."""
        return problem_at(self.place, self.path, message, remedy, severity)


@dataclass(frozen=True, slots=True)
class Block:
    """A camera, or the `defaults:`, as one file writes it."""

    document: YamlDocument
    path: KeyPath
    body: Mapping[str, Any] = field(repr=False)
    fields: CameraDefaults
    """Less those that are wrong."""

    def spot(self, *below: str | int) -> Spot:
        """Where the value under these keys begins."""
        path = self.path + below
        return Spot(self.document.value_place(path), path)


@dataclass(frozen=True, slots=True)
class Draft:
    """A camera with its defaults, less the fields that are wrong."""

    name: str
    blocks: tuple[Block, ...]
    """The camera's own, the defaults of its file, and those of the main file: the first that has a key wins."""
    fields: CameraDefaults
    urls: Mapping[str, str] = field(repr=False)
    """By key: url, detect_url."""

    @property
    def own(self) -> frozenset[str]:
        """The keys that it has itself."""
        return frozenset(self.blocks[0].fields.model_fields_set)

    def block(self, key: str) -> Block:
        """The block that the value of a key is from; the main file's defaults if it is from none."""
        return next((block for block in self.blocks if key in block.fields.model_fields_set), self.blocks[-1])

    def spot(self, key: str) -> Spot:
        """Where the value of a key is written."""
        return self.block(key).spot(key)

    def own_spot(self, key: str) -> Spot:
        """Where the camera itself writes a key."""
        return self.blocks[0].spot(key)


def drafts_of(documents: Sequence[YamlDocument]) -> tuple[list[Draft], list[Problem]]:
    """The cameras in the documents of one roster, the main one first; and what is wrong in any of them by itself, and
    names that are taken."""
    drafts: dict[str, Draft] = {}
    bases: tuple[Block, ...] = ()
    problems: list[Problem] = []
    for document in documents:
        raw = _as_written(document)
        written = raw if isinstance(raw, dict) else {}
        if bases and "include" in written:
            message, remedy = "an included file includes no others", f"name them in {documents[0].file}"
            problems.append(problem_at(document.key_place(("include",)), ("include",), message, remedy))
        elif "include" in written:
            written.setdefault("cameras", {})
        wrong, found = _wrong(raw, document)
        problems += found
        defaults = _block(document, ("defaults",), written.get("defaults"), {path[:2] for path in wrong})
        above = (defaults, *bases[-1:])
        bases = bases or (defaults,)
        for name, body in _items(written.get("cameras")):
            draft = _draft(document, name, body, wrong, above)
            if name in drafts:
                problems.append(_taken(draft, drafts[name]))
            else:
                drafts[name] = draft
    return list(drafts.values()), problems


def defaults_of(document: YamlDocument) -> CameraDefaults:
    """What a roster, which is valid in itself, wants of a camera that says nothing."""
    raw = _as_written(document)
    return _block(document, ("defaults",), raw.get("defaults") if isinstance(raw, dict) else None, set()).fields


def _wrong(raw: Any, document: YamlDocument) -> tuple[set[KeyPath], tuple[Problem, ...]]:
    """The paths in one file whose values are wrong by themselves, and what is wrong."""
    try:
        RosterFile.model_validate(raw)
    except ValidationError as error:
        paths = {error_path(item)[:3] for item in error.errors(include_url=False)}
        return paths, from_pydantic(error, RosterFile, document)
    return set(), ()


def _draft(document: YamlDocument, name: str, body: Any, wrong: set[KeyPath], above: tuple[Block, ...]) -> Draft:
    path: KeyPath = ("cameras", name)
    blocks = (_block(document, path, body, wrong), *above)
    fields = above[-1].fields
    for block in reversed(blocks[:-1]):
        fields = fields.model_copy(update={key: getattr(block.fields, key) for key in block.fields.model_fields_set})
    given = blocks[0].body
    urls = {key: given[key] for key in _URLS if given.get(key) and (*path, key) not in wrong}
    return Draft(name, blocks, fields, urls)


def _block(document: YamlDocument, path: KeyPath, body: Any, wrong: set[KeyPath]) -> Block:
    body = body if isinstance(body, dict) else {}
    fields = {k: v for k, v in body.items() if k in CameraDefaults.model_fields and (*path, k) not in wrong}
    return Block(document, path, body, CameraDefaults.model_validate(fields))


def _taken(draft: Draft, first: Draft) -> Problem:
    path = draft.blocks[0].path
    here, there = (each.blocks[0].document.key_place(path) for each in (draft, first))
    return problem_at(here, path, f"the name is taken, by {there.file}:{there.line}:{there.column}")


def _items(cameras: Any) -> Iterator[tuple[str, Any]]:
    yield from cameras.items() if isinstance(cameras, dict) else ()


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
