"""Request URIs: whose they are. Pure.

Cameras' paths may hold a query, as real ones do (`/cam/realmonitor?channel=1`), to which clients append the track.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from simulator.sdp import TRACK

_ORIGIN = re.compile(r"rtsps?://[^/]*/?", re.IGNORECASE)


def camera_path(target: str) -> str:
    """Path and query of a camera that a URI, or its track's URI, names; without slashes around it."""
    text = unquote(_ORIGIN.sub("", target, count=1) if _ORIGIN.match(target) else target).strip("/")
    return text.removesuffix(f"/{TRACK}").rstrip("/")


def strip_userinfo(target: str) -> str:
    """The URI without user and password, which no answer may repeat."""
    scheme, separator, rest = target.partition("://")
    if not separator:
        return target
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def base_url(target: str) -> str:
    """The URI, without userinfo and closing slash, to which the track's relative URL is appended."""
    return strip_userinfo(target).rstrip("/")
