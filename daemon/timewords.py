"""Moments and durations as people write and read them, in this machine's time zone. Pure."""

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise

_AGO = re.compile(r"(\d+(?:\.\d+)?) ?(s|m|min|h|d|w)")
_AGO_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_CLOCK = re.compile(r"\d?\d:\d\d(?::\d\d)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def moment(text: str, now: float) -> float:
    """Return the wall clock's seconds that are meant: ``2h`` (ago), ``today``, ``14:30``, ``2026-11-30T02:00``.

    What has no zone of its own is local time. Raises ``ValueError`` for anything else.
    """
    text = text.strip()
    try:
        return datetime.fromtimestamp(_seconds(text, now), UTC).timestamp()  # of the years that there are
    except (ValueError, OverflowError, OSError):
        raise ValueError(
            f"{text!r} is no time such as 2h, 30min, 7d, today, yesterday, 14:30 or 2026-11-30T02:00"
        ) from None


def _seconds(text: str, now: float) -> float:
    here = datetime.fromtimestamp(now)  # local time, by the rules of that day
    midnight = here.replace(hour=0, minute=0, second=0, microsecond=0)
    if text == "now":
        return now
    if text in ("today", "yesterday"):
        return (midnight - timedelta(days=text == "yesterday")).timestamp()
    if ago := _AGO.fullmatch(text):
        return now - float(ago[1]) * _AGO_S[ago[2]]
    if _CLOCK.fullmatch(text):
        return datetime.fromisoformat(f"{here:%Y-%m-%d}T{text.zfill(5 if text.count(':') == 1 else 8)}").timestamp()
    if _DATE.match(text):
        return datetime.fromisoformat(text).timestamp()
    raise ValueError(text)


def lasting(seconds: float) -> str:
    """Return ``42 s``, ``3 min 5 s``, ``2 h 10 min`` or ``3 d 4 h``."""
    whole = round(max(0.0, seconds))
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    for (unit, size), (next_unit, next_size) in pairwise(units):
        if whole >= size:
            rest = whole % size // next_size
            return f"{whole // size} {unit}" + (f" {rest} {next_unit}" if rest else "")
    return f"{whole} s"


def local(at: float, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """Return a moment as the clock on the wall shows it."""
    return datetime.fromtimestamp(at).astimezone().strftime(form)
