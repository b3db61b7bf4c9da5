"""Stands before every route: asks :mod:`daemon.access`, answers what it denies, says to browsers what a page may do.

Plain ASGI, so that streams and disconnects pass through it as they are.
"""

from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

from fastapi.responses import JSONResponse, RedirectResponse, Response
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daemon.access import COOKIE, Access, Asked, Denied, judge
from daemon.login import LOGINS

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every answer that says nothing else itself."""


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        asked = asked_of(scope)
        denied = judge(self._access, asked)
        await (self._app if denied is None else _answer(denied, asked))(scope, receive, tell)


def asked_of(scope: Scope) -> Asked:
    """Return what of an ASGI request decides."""
    headers = Headers(scope=scope)
    return Asked(
        method=scope["method"],
        path=scope["path"],
        host=headers.get("host"),
        origin=headers.get("origin"),
        fetch_site=headers.get("sec-fetch-site"),
        authorization=headers.get("authorization"),
        session=_session(headers.getlist("cookie")),
    )


def _session(cookies: Iterable[str]) -> str | None:
    try:
        found = SimpleCookie("; ".join(cookies)).get(COOKIE)
    except CookieError:
        return None
    return found.value if found else None


def _answer(denied: Denied, asked: Asked) -> Response:
    if denied.status == 401 and (to := LOGINS.get(asked.path)):
        return RedirectResponse(to, 303)
    headers = {"WWW-Authenticate": 'Bearer realm="mosaicd"'} if denied.status == 401 else None
    return JSONResponse({"detail": denied.why, "remedy": denied.remedy}, denied.status, headers)
