"""Where a person says the token: a form, and the cookie that a right one earns. Keeps nothing.

The cookie lasts for a month, and no longer than the token is the same. It is not the token, and scripts cannot read it.
"""

from html import escape
from importlib.resources import files
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from daemon.access import COOKIE, is_token, session_of
from daemon.secrets import Secret

LOGINS = {"/": "login", "/events": "login?to=events"}
"""Where whoever asks for a page says the token first. A browser keeps what stands behind a #, through the form too."""
MONTH_S = 30 * 86400
FORM_BYTES = 8192
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def make_login(token: Secret) -> APIRouter:
    """Return the routes."""
    login = APIRouter(include_in_schema=False)
    form = files("daemon.static").joinpath("login.html").read_text("utf-8")

    def show(status: int, words: str = "") -> Response:
        headers = {"Content-Security-Policy": _POLICY}
        return HTMLResponse(form.replace("<!--words-->", escape(words)), status, headers)

    @login.get("/login")
    async def ask() -> Response:
        return show(200)

    @login.post("/login")
    async def enter(request: Request, to: str = "") -> Response:
        given = await _typed(request)
        if given is None:
            return show(413, "That is too long for a token.")
        if not is_token(token, given):
            return show(403, "This is not the token.")
        answer = RedirectResponse("events" if to == "events" else ".", 303)
        is_secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, session_of(token), MONTH_S, httponly=True, samesite="strict", secure=is_secure)
        return answer

    @login.post("/logout")
    async def leave() -> Response:
        answer = RedirectResponse("login", 303)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        return answer

    return login


async def _typed(request: Request) -> str | None:
    """Return what was typed, perhaps nothing; None for a form that is too large."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > FORM_BYTES:
            return None
    return parse_qs(body.decode("latin-1")).get("token", [""])[0]
