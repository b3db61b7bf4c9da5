"""The Range header in normal play time (RFC 2326, 3.6 and 12.29). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

_RANGE = re.compile(r"npt=([^-]*)-([^-]*)")
_SECONDS = re.compile(r"\d{1,12}(?:\.\d*)?")
_CLOCK = re.compile(r"(\d{1,9}):([0-5]?\d):([0-5]?\d(?:\.\d*)?)")


@dataclass(frozen=True, slots=True)
class NptRange:
    """What part of a camera's time is asked for.

    Attributes:
        start_s: seconds; None for `now`.
        end_s: seconds; None for no end.
    """

    start_s: float | None
    end_s: float | None = None


def parse_range(header: str) -> NptRange | None:
    """Reads `npt=12.5-`, `npt=0:01:02.5-90`, `npt=now-`; None for anything else."""
    match = _RANGE.fullmatch(header.partition(";")[0].strip())
    if match is None:
        return None
    start_text, end_text = match[1].strip(), match[2].strip()
    start, end = _npt(start_text), _npt(end_text)
    if (start is None and start_text != "now") or (end is None and end_text):
        return None
    if start is not None and end is not None and end <= start:
        return None
    return NptRange(start, end)


def format_range(start_s: float, end_s: float | None = None) -> str:
    """The Range header of an answer, to the microsecond."""
    return f"npt={start_s:.6f}-" + ("" if end_s is None else f"{end_s:.6f}")


def _npt(text: str) -> float | None:
    if _SECONDS.fullmatch(text):
        return float(text)
    match = _CLOCK.fullmatch(text)
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else None
