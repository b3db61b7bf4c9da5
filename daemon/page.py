"""The live page at ``/``, the one of events at ``/events``: files as they are. What they show comes from ``/api/v1``.

No file comes from elsewhere: a surveillance network may have no way out, and the page says so to the browser.
"""

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import Response

_FILES = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "events": ("events.html", "text/html"),
    "events.css": ("events.css", "text/css"),
    **{
        f"{name}.js": (f"{name}.js", "text/javascript")
        for name in ("events", "eventask", "eventcard", "eventplot", "eventview", "eventwords")
    },
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self'; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def make_page() -> APIRouter:
    """Return the routes; the files are read once."""
    page = APIRouter(include_in_schema=False)
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    for path, (name, kind) in _FILES.items():
        content = files("daemon.static").joinpath(name).read_bytes()

        async def answer(content: bytes = content, kind: str = kind) -> Response:
            return Response(content, media_type=f"{kind}; charset=utf-8", headers=headers)

        page.add_api_route(f"/{path}", answer, methods=["GET"])
    return page
