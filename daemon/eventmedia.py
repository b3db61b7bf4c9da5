"""An event's picture and clip as answers to a browser, whatever becomes of their files meanwhile.

A picture is replaced whole by a better one: what is sent is of one file. A clip grows while it is sent: it ends at the
length that was announced. For a thread that may wait for the disk.
"""

import os
import time
from pathlib import Path

from fastapi.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

GROWS_S = 30.0
"""A clip that was written to so lately may still grow; a camera that says nothing for longer ends it."""
_KEEP = "private, no-cache"
"""To be kept, and to be asked about: the answer is then mostly that it is the same."""
_TAB = "default-src 'none'; media-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'none'"
"""A browser makes a document of its own round a clip that is opened alone."""


def picture(path: Path, known: str | None) -> Response | None:
    """Return the picture, or that it is the one whose ETag is ``known``; None where there is none."""
    try:
        with path.open("rb") as file:
            is_at = os.fstat(file.fileno())
            headers = {"Cache-Control": _KEEP, "ETag": f'"{is_at.st_mtime_ns:x}-{is_at.st_size:x}"'}
            if headers["ETag"] in (known or ""):
                return Response(status_code=304, headers=headers)
            return Response(file.read(), media_type="image/jpeg", headers=headers)
    except OSError:
        return None


def clip(path: Path) -> Response | None:
    """Return the clip, or the part of it that is asked for; None where there is none, or nothing in it yet."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not found.st_size:
        return None
    is_growing = time.time() - found.st_mtime < GROWS_S
    # What grows is another file each second: nobody is to put together parts of two.
    headers = {"Cache-Control": "no-store" if is_growing else _KEEP, "Content-Security-Policy": _TAB}
    answer = _AsAnnounced(
        path,
        headers=headers,
        media_type="video/mp4",
        filename=path.name,
        stat_result=found,
        content_disposition_type="inline",
    )
    if is_growing:
        del answer.headers["etag"], answer.headers["last-modified"]
    return answer


class _AsAnnounced(FileResponse):
    """Sends no more than it has said, though the file has grown since."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left: int | None = None

        async def bounded(message: Message) -> None:
            nonlocal left
            if message["type"] == "http.response.start":
                left = next(int(value) for name, value in message["headers"] if name == b"content-length")
                await send(message)
            elif left is not None:
                body = message["body"][:left]
                left -= len(body)
                await send({**message, "body": body, "more_body": left > 0})
                left = left or None

        await super().__call__(scope, receive, bounded)
