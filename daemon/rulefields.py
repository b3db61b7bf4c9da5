"""What a camera's events are made of, as the roster writes it: zones, lines, measured stretches of road. Pure."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from capture.masks import Polygon, problem
from capture.words import MAX_CLIP_S
from daemon.fieldtypes import Seconds, Strict, fault
from events.album import Recording
from events.analyst import CameraRules
from events.geometry import is_convex
from events.rules import Line, Zone
from events.speed import Stretch
from inference.labels import modern_label


def tuples(value: Any) -> Any:
    """Lists become tuples, which strict types want, and whole numbers floats."""
    if isinstance(value, list):
        return tuple(tuples(each) for each in value)
    return float(value) if type(value) is int else value


Four = tuple[tuple[float, float], tuple[float, float], tuple[float, float], tuple[float, float]]


def _corners(value: Polygon) -> Polygon:
    if wrong := problem(value):
        raise fault(wrong)
    return value


def _point(value: tuple[float, float]) -> tuple[float, float]:
    if not all(0.0 <= each <= 1.0 for each in value):
        raise fault(f"a point lies from 0,0 (top left) to 1,1 (bottom right), not at {value[0]:g},{value[1]:g}")
    return value


def _rectangle(value: Four) -> Four:
    _corners(value)
    if not is_convex(value):
        raise fault("these are no rectangle's corners in turn: near left, near right, far right, far left")
    return value


def modern(value: tuple[str, ...]) -> tuple[str, ...]:
    """Return labels in modern words, each once."""
    return tuple(dict.fromkeys(modern_label(label) for label in value))


_POINT_SCHEMA = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2}
_POINTS_SCHEMA = WithJsonSchema({"type": "array", "items": _POINT_SCHEMA, "minItems": 3})
Corners = Annotated[Polygon, BeforeValidator(tuples), AfterValidator(_corners), _POINTS_SCHEMA]
FourCorners = Annotated[Four, BeforeValidator(tuples), AfterValidator(_rectangle), _POINTS_SCHEMA]
Point = Annotated[
    tuple[float, float], BeforeValidator(tuples), AfterValidator(_point), WithJsonSchema(dict(_POINT_SCHEMA))
]
Words = tuple[Annotated[str, Field(min_length=1, max_length=64)], ...]
RuleLabels = Annotated[Words, BeforeValidator(tuples), AfterValidator(modern)]
Direction = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9_ -]*$")]


class _Rule(Strict):
    labels: RuleLabels = Field(default=(), description="Labels that it is for, such as person; none is all.")


class ZoneEntry(_Rule):
    """A part of the picture."""

    corners: Corners = Field(description="Its corners, three or more [x, y], 0 to 1 of the picture.")
    min_score: Annotated[float, Field(ge=0, le=1)] = Field(
        default=0.0, description="Lowest score, 0 to 1, with which somebody enters."
    )
    dwell_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="Seconds to stay in it before that counts as entering."
    )
    loiter_s: Seconds | None = Field(
        default=None, description="Seconds after which whoever stays loiters; null: never."
    )


class LineEntry(_Rule):
    """A line on the ground that is crossed."""

    @model_validator(mode="after")
    def _has_a_length(self) -> Self:
        if self.start == self.end:
            raise fault("the line ends where it starts")
        return self

    start: Point = Field(description="Where it begins, [x, y], 0 to 1 of the picture.")
    end: Point = Field(description="Where it ends.")
    to_right: Direction = Field(
        default="right", description="Name of the direction from its left to its right, looking from start to end."
    )
    to_left: Direction = Field(default="left", description="Name of the other direction.")


class StretchEntry(_Rule):
    """A measured rectangle of a lane, on which speeds are taken."""

    corners: FourCorners = Field(
        description="Its corners, [x, y], 0 to 1 of the picture: near left, near right, far right, far left."
    )
    width_m: Annotated[float, Field(gt=0, le=1000)] = Field(description="Metres from left to right.")
    length_m: Annotated[float, Field(gt=0, le=1000)] = Field(description="Metres from near to far.")


class RecordEntry(Strict):
    """Which seconds of an event its clip shows."""

    pre_s: Annotated[float, Field(ge=0, le=60)] = Field(default=5.0, description="Seconds before it began.")
    post_s: Annotated[float, Field(ge=0, le=60)] = Field(
        default=10.0,
        description="Seconds after its object was last seen; at least as many as pass until it is clear that it has "
        "gone.",
    )
    max_s: Annotated[float, Field(ge=1, le=MAX_CLIP_S)] = Field(default=120.0, description="Seconds in all, at most.")

    @model_validator(mode="after")
    def _holds_its_ends(self) -> Self:
        if self.pre_s + self.post_s > self.max_s:
            message = f"{self.pre_s:g} s before and {self.post_s:g} s after are more than {self.max_s:g} s in all"
            raise fault(message, f"at least {self.pre_s + self.post_s:g}", ("max_s",))
        return self

    @property
    def recording(self) -> Recording:
        """What the process of events makes of it."""
        return Recording(self.pre_s, self.post_s, self.max_s)


def rules_of(
    masks: tuple[Polygon, ...],
    zones: Mapping[str, ZoneEntry],
    lines: Mapping[str, LineEntry],
    speed: Mapping[str, StretchEntry],
    still_s: float,
) -> CameraRules:
    """Return the rules that these make, in the roster's order."""
    return CameraRules(
        masks=masks,
        zones=tuple(
            Zone(name, each.corners, frozenset(each.labels), each.min_score, each.dwell_s, each.loiter_s)
            for name, each in zones.items()
        ),
        lines=tuple(
            Line(name, each.start, each.end, each.to_right, each.to_left, frozenset(each.labels))
            for name, each in lines.items()
        ),
        stretches=tuple(
            Stretch(name, each.corners, each.width_m, each.length_m, frozenset(each.labels))
            for name, each in speed.items()
        ),
        still_s=still_s,
    )
