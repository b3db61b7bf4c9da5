"""Where pictures and clips of events lie: known from the event alone, so that nobody has to be asked. Pure."""

from typing import Final, Literal

MEDIA: Final = "media"
"""In the folder of events."""

MediaKind = Literal["snapshot", "clip"]
SUFFIXES: Final[dict[MediaKind, str]] = {"snapshot": ".jpg", "clip": ".mp4"}
_DAY_OF_ID: Final = 8


def media_path(event: str, camera: str, kind: MediaKind) -> str:
    """Return ``yard/20261130/20261130T021305.123Z-yard-7k3f9a.mp4``, below the media folder."""
    return f"{camera}/{event[:_DAY_OF_ID]}/{event}{SUFFIXES[kind]}"
