"""What was measured of a precision's accuracy, kept where a worker's engine is chosen: in the cache folder.

One small JSON file for each model, engine and precision, replaced whole: nothing is read to be written, so two
processes that remember at once need no lock. Light: it loads neither a framework nor the rest of this package.
"""

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from inference.cache import write_json

REFUTED_BELOW: Final = -0.5
"""mAP@.5 points: a precision whose whole confidence interval lies below has lost too much to be chosen by itself."""
_MAX_BYTES: Final = 1 << 16


class VerdictsError(Exception):
    """A verdict's file that cannot be read or written. Who must choose all the same takes float32."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


@dataclass(frozen=True, slots=True)
class Verdict:
    """How much worse or better a precision is than float32: one measurement on one machine."""

    model_digest: str
    """sha256 in hex over the bytes of cfg and weights."""
    engine: str
    precision: str
    points: float
    """mAP@.5 points more than float32; below 0 it is worse."""
    low: float
    """Of the 95 % confidence interval, paired over pictures."""
    high: float
    pictures: int
    measured_at: datetime
    """Wall clock, with its zone."""

    @property
    def refutes(self) -> bool:
        """Whether the precision is proved to be too bad: a wide interval proves nothing."""
        return self.high < REFUTED_BELOW


def load_verdicts(folder: Path) -> tuple[Verdict, ...]:
    """All that is remembered in a cache folder, none where that is empty or absent. Raises VerdictsError."""
    verdicts = []
    for path in sorted(folder.glob("verdict-*.json")):
        try:
            with path.open("rb") as file:
                verdicts.append(msgspec.json.decode(file.read(_MAX_BYTES), type=Verdict))
        except OSError as error:
            raise VerdictsError(path, f"{error.strerror}") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise VerdictsError(path, f"not a verdict ({error}): delete it, and measure again") from error
    return tuple(verdicts)


def is_refuted(verdicts: Iterable[Verdict], model_digest: str, engine: str, precision: str) -> bool:
    """Whether one of them refutes this precision for this model and engine. What was not measured is not refuted."""
    wanted = (model_digest, engine, precision)
    return any(item.refutes for item in verdicts if (item.model_digest, item.engine, item.precision) == wanted)


def remember(folder: Path, verdict: Verdict) -> Path:
    """Writes it into a cache folder, in place of an earlier one of the same model, engine and precision.

    Everybody may read it: who measures is seldom who runs the daemon. Raises VerdictsError, and ValueError for what no
    verdict can say.
    """
    names = (verdict.model_digest, verdict.engine, verdict.precision)
    if not all(re.fullmatch(r"[A-Za-z0-9_]{1,80}", name) for name in names):
        raise ValueError(f"not a digest, engine and precision: {names}")
    if not all(math.isfinite(value) for value in (verdict.points, verdict.low, verdict.high)):
        raise ValueError("a difference that is not a number: no picture had an object that the model knows")
    name = f"verdict-{'-'.join(names)}"
    path = folder / f"{name}.json"
    try:
        write_json(folder, name, msgspec.to_builtins(verdict))
        path.chmod(0o644)
    except OSError as error:
        raise VerdictsError(path, f"{error.strerror}: the verdict is not remembered") from error
    return path
