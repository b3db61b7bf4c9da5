"""Types that settings and roster share: blocks that refuse what they do not know, and values with their units. Pure."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from daemon.problems import KeyPath

TILE_MULTIPLE = 32
"""The stride of the models: a tile of another size would be padded, and its boxes shifted."""
MAX_CANVAS = 4096
MAX_MIB = 1 << 24
_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.-]{0,127})\}", re.ASCII)


class Strict(BaseModel):
    """Base of every block: no coercion, unknown keys refused, values never quoted in errors, frozen."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        hide_input_in_errors=True,
        validate_default=True,
        allow_inf_nan=False,
    )


@dataclass(frozen=True, slots=True)
class CanvasSize:
    """Size of a mosaic in pixels."""

    width: int
    height: int

    @property
    def tile_wh(self) -> tuple[int, int]:
        """Width and height of one of the four tiles, pixels."""
        return self.width // 2, self.height // 2

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


DEFAULT_CANVAS = CanvasSize(832, 512)


def fault(message: str, remedy: str = "", at: KeyPath = ()) -> PydanticCustomError:
    """The error a validator raises; it must not hold the value."""
    return PydanticCustomError("mosaicd", "{message}", {"message": message, "remedy": remedy, "at": at})


def _switch(value: Any) -> Any:
    words = {"yes": True, "on": True, "no": False, "off": False}  # YAML 1.1's words, text for us
    return words.get(value.lower(), value) if isinstance(value, str) else value


def _path(value: Any) -> Path:
    if not isinstance(value, str | Path):
        raise fault("should be a path")
    if not str(value).strip() or not str(value).isprintable():
        raise fault("should be a path of printable characters")
    return Path(value)


def _path_from_base(value: Any, info: ValidationInfo) -> Path:
    return Path((info.context or {}).get("base", "")) / _path(value)


def _canvas(value: Any) -> CanvasSize:
    if isinstance(value, CanvasSize):
        return value
    match = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", value) if isinstance(value, str) else None
    if match is None:
        raise fault("should be WIDTHxHEIGHT in pixels, such as 832x512")
    canvas, step = CanvasSize(int(match[1]), int(match[2])), 2 * TILE_MULTIPLE
    if not (step <= canvas.width <= MAX_CANVAS and step <= canvas.height <= MAX_CANVAS):
        raise fault(f"should be between {step} and {MAX_CANVAS} pixels both ways")
    if canvas.width % step or canvas.height % step:
        nearest = CanvasSize(*(max(step, round(side / step) * step) for side in (canvas.width, canvas.height)))
        message = f"a tile is half the canvas and should be a multiple of {TILE_MULTIPLE} pixels both ways"
        raise fault(message, f"nearest: {nearest}")
    return canvas


def _named_secret(value: str) -> str:
    if not _REFERENCE.fullmatch(value):
        message = "should be the name of a secret, such as ${NAME}"
        raise fault(message, "the secret itself belongs into a file of that name in secrets_dir")
    return value


def _auto_or_mib(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 0 <= value <= MAX_MIB):
        return value
    raise fault(f"should be auto or a whole number of MiB from 0 to {MAX_MIB}")


def _auto_or_count(value: Any) -> Any:
    if value == "auto" or (type(value) is int and 1 <= value <= 64):
        return value
    raise fault("should be auto or a whole number from 1 to 64")


NamedSecret = Annotated[str, AfterValidator(_named_secret)]
"""``${NAME}``: the settings hold no secret."""
Switch = Annotated[bool, BeforeValidator(_switch)]
AnyPath = Annotated[Path, BeforeValidator(_path_from_base), WithJsonSchema({"type": "string"})]
AutoOrCount = Annotated[Literal["auto"] | Annotated[int, Field(ge=1, le=64)], BeforeValidator(_auto_or_count)]
Mib = Annotated[int, Field(ge=0, le=MAX_MIB)]
AutoOrMib = Annotated[Literal["auto"] | Mib, BeforeValidator(_auto_or_mib)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Positive = Annotated[float, Field(gt=0, le=1)]
Canvas = Annotated[
    CanvasSize,
    BeforeValidator(_canvas),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{2,4}x[0-9]{2,4}$"}),
]
