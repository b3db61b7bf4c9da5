"""The roster as written: every key of `cameras.yaml` with its type, default, unit and meaning, once. Pure.

What its values mean together is :mod:`daemon.roster`'s business.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema

from capture.grouping import is_automatic
from capture.masks import Polygon, problem
from daemon import globs
from daemon.fieldtypes import Seconds, Strict, Switch, fault
from daemon.rulefields import LineEntry, RecordEntry, StretchEntry, Words, ZoneEntry, modern, tuples
from daemon.secrets import Secret

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$"

_NAME = re.compile(NAME_PATTERN.strip("^$"), re.ASCII)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise fault("a name is 1 to 63 letters, digits, '_' and '-', not beginning with '_' or '-'")
    return value


def _mosaic(value: str) -> str:
    if is_automatic(value):
        raise fault("m1, m2, ... are the names of mosaics that mosaicd fills by itself", "choose another name")
    return value


def _labels(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _some_labels(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise fault("an empty list would drop every sighting", "leave the key out for all labels")
    return modern(value)


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN})]
MosaicName = Annotated[Name, AfterValidator(_mosaic)]
Labels = Annotated[Words, BeforeValidator(_labels), AfterValidator(_some_labels)]


def _polygons(value: tuple[Polygon, ...]) -> tuple[Polygon, ...]:
    for number, polygon in enumerate(value):
        if wrong := problem(polygon):
            raise fault(wrong, at=(number,))
    return value


Masks = Annotated[tuple[Polygon, ...], BeforeValidator(tuples), AfterValidator(_polygons)]


def _include(value: Any) -> Any:
    """One pattern is as good as a list of one."""
    for index, pattern in enumerate(value if isinstance(value, list) else [value]):
        if isinstance(pattern, str) and (wrong := globs.wrong(pattern)):
            raise fault(wrong, at=(index,) if isinstance(value, list) else ())
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Include = Annotated[
    tuple[str, ...],
    BeforeValidator(_include),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class CameraDefaults(Strict):
    """What may stand in `defaults:` and in every camera; a camera's own value wins."""

    enabled: Switch = Field(default=True, description="Whether the camera is read.")
    fps: Annotated[float, Field(gt=0, le=30)] | None = Field(
        default=None, description="Frames analysed a second; null is the mosaic's rate, which is also the limit."
    )
    mosaic: MosaicName | None = Field(
        default=None, description="Name of the mosaic (four cameras at most) it belongs to; null is any with room."
    )
    username: Secret | None = Field(default=None, description="User name; may hold ${NAME}.")
    password: Secret | None = Field(default=None, description="Password; may hold ${NAME}.")
    labels: Labels | None = Field(
        default=None, description="Labels wanted, such as person; older words (motorbike) work too; null is all."
    )
    min_score: Annotated[float, Field(ge=0, le=1)] | None = Field(
        default=None, description="Lowest score wanted, 0 to 1; null is the model's."
    )
    priority: Literal["low", "normal", "high"] = Field(
        default="normal",
        description="Whose frames are left out last where there is not time for all; a mosaic has that of its highest "
        "camera.",
    )
    transport: Literal["tcp", "udp", "auto"] = Field(
        default="tcp", description="How RTSP carries the video; auto is udp until that has lost too much, then tcp."
    )
    decode: Literal["all", "no_nonref", "keyframes", "adaptive"] = Field(
        default="adaptive",
        description="Frames decoded: all; no_nonref: those that others refer to; keyframes; adaptive: key frames while "
        "nothing moves, all while something does.",
    )
    idle_fps: Annotated[float, Field(gt=0, le=30)] = Field(
        default=0.5,
        description="adaptive: key frames a second that are enough while nothing moves; a camera with fewer is always "
        "decoded.",
    )
    quiet_s: Seconds = Field(default=5.0, description="adaptive: seconds without motion before decoding is cut down.")
    catch_up_frames: int = Field(
        default=25,
        ge=0,
        le=250,
        description="adaptive: most frames decoded at once when motion begins between key frames.",
    )
    hwaccel: Literal["none", "cuda", "vaapi", "auto"] = Field(
        default="none", description="What decodes: none is the CPU; where the hardware is not there, it is the CPU too."
    )
    masks: Masks = Field(
        default=(),
        description="Polygons in which motion does not count, and from which no events come; corners are [x, y], 0 to "
        "1 of the picture.",
    )
    frozen_s: Seconds = Field(
        default=60.0, description="Seconds of one and the same picture after which the camera counts as frozen."
    )
    still_s: Seconds = Field(
        default=10.0, description="Events: who has not moved for so many seconds is quiet until it moves."
    )
    zones: Mapping[Name, ZoneEntry] = Field(
        default={},
        description="Events: parts of the picture by name. With zones, lines or speed only who satisfies one is told.",
    )
    lines: Mapping[Name, LineEntry] = Field(default={}, description="Events: lines whose crossings are counted.")
    record: RecordEntry | None = Field(
        default=None, description="Events: a clip of each, of the stream that is analysed; null is none."
    )
    speed: Mapping[Name, StretchEntry] = Field(
        default={}, description="Events: measured stretches of road, on which speed and headway are taken."
    )


class CameraEntry(CameraDefaults):
    """One camera as written."""

    url: Annotated[str, Field(min_length=1, max_length=2048)] = Field(
        description="rtsp://host[:port]/path, also rtsps, http and https (MJPEG), or file:/path[?loop=1]; may hold "
        "${NAME} after the host."
    )
    detect_url: Annotated[str, Field(min_length=1, max_length=2048)] | None = Field(
        default=None, description="The camera's small stream, analysed in place of url; same user name and password."
    )


def _either(schema: dict[str, Any]) -> None:
    del schema["required"]
    schema["anyOf"] = [{"required": ["cameras"]}, {"required": ["include"]}]


class RosterFile(Strict):
    """The file as written, and each that it includes, which includes none. `include` makes up for no `cameras`."""

    model_config = ConfigDict(json_schema_extra=_either)

    include: Include = Field(
        default=(),
        description="Files with more cameras, such as cameras.d/*.yaml; one pattern or a list, relative to this file. "
        "Their own defaults come before those here. They include none themselves.",
    )
    cameras: Mapping[Name, CameraEntry] = Field(description="The cameras by name.")
    defaults: CameraDefaults = Field(default=CameraDefaults(), description="Values for cameras that have none.")
