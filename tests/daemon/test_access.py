"""Who may ask for what over HTTP, by value."""

from dataclasses import replace

import pytest

from daemon.access import Access, Asked, judge, make_access, session_of
from daemon.secrets import Secret

TOKEN = Secret("0123456789abcdef-XYZ")
LOCAL = make_access("127.0.0.1")
PROXIED = make_access("127.0.0.1", ["cams.example.org"])
OPEN = make_access("0.0.0.0", token=TOKEN)
GET = Asked("GET", "/api/v1/status", "127.0.0.1:9109")
POST = Asked("POST", "/api/v1/cameras/gate/disable", "127.0.0.1:9109")


def status(access: Access, asked: Asked, **changes: str | None) -> int:
    denied = judge(access, replace(asked, **changes))
    return denied.status if denied else 200


@pytest.mark.parametrize(
    ("access", "host", "expected"),
    [
        (LOCAL, "127.0.0.1:9109", 200),
        (LOCAL, "localhost", 200),
        (LOCAL, "LOCALHOST.:80", 200),
        (LOCAL, "[::1]:9109", 200),
        (LOCAL, "[0:0:0:0:0:0:0:1]", 200),
        (LOCAL, "evil.example", 421),
        (LOCAL, "evil.example@localhost", 421),
        (LOCAL, "localhost.evil.example", 421),
        (LOCAL, "localhost/evil.example", 421),
        (LOCAL, "192.0.2.7:9109", 421),
        (LOCAL, "[localhost]", 421),
        (LOCAL, "", 421),
        (LOCAL, None, 421),
        (LOCAL, "cams.example.org", 421),
        (PROXIED, "cams.example.org", 200),
        (PROXIED, "cams.example.org:8443", 200),
        (make_access("127.0.0.2"), "127.0.0.2:9109", 200),
        (make_access("localhost"), "localhost:9109", 200),
        (make_access("192.0.2.7"), "192.0.2.7", 200),
        (make_access("192.0.2.7"), "192.0.2.8", 421),
        (make_access("2001:db8::1"), "[2001:DB8:0::1]:9109", 200),
        (make_access("0.0.0.0"), "192.0.2.7", 200),
        (make_access("::"), "[2001:db8::1]", 200),
        (make_access("0.0.0.0"), "evil.example", 421),
    ],
)
def test_only_hosts_by_which_it_is_reached_are_answered(access: Access, host: str | None, expected: int) -> None:
    assert (status(access, GET, host=host), status(access, POST, host=host)) == (expected, expected)


@pytest.mark.parametrize(
    ("access", "changes", "expected"),
    [
        (LOCAL, {}, 200),
        (LOCAL, {"fetch_site": "same-origin"}, 200),
        (LOCAL, {"fetch_site": "none"}, 200),
        (LOCAL, {"fetch_site": "same-site"}, 403),
        (LOCAL, {"fetch_site": "cross-site"}, 403),
        (LOCAL, {"fetch_site": ""}, 403),
        (LOCAL, {"fetch_site": "cross-site", "origin": "http://127.0.0.1:9109"}, 403),
        (LOCAL, {"origin": "http://127.0.0.1:9109"}, 200),
        (LOCAL, {"origin": "http://127.0.0.1:8080"}, 403),
        (LOCAL, {"origin": "http://localhost:9109"}, 403),
        (LOCAL, {"origin": "http://evil.example"}, 403),
        (LOCAL, {"origin": "null"}, 403),
        (LOCAL, {"origin": ""}, 403),
        (LOCAL, {"origin": "file://127.0.0.1:9109"}, 403),
        (PROXIED, {"host": "cams.example.org", "origin": "https://cams.example.org"}, 200),
        (PROXIED, {"origin": "https://cams.example.org"}, 200),
        (PROXIED, {"origin": "https://cams.example.org:8443"}, 403),
        (LOCAL, {"origin": "https://cams.example.org"}, 403),
    ],
)
def test_only_its_own_page_and_programs_may_change_something(
    access: Access, changes: dict[str, str], expected: int
) -> None:
    assert status(access, POST, **changes) == expected
    for method in ("PUT", "PATCH", "DELETE", "post", "ANYTHING"):
        assert status(access, POST, method=method, **changes) == expected
    same = {key: value for key, value in changes.items() if key == "host"}
    assert status(access, replace(GET, fetch_site="cross-site", origin="null"), **same) == 200, (
        "reading changes nothing"
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {TOKEN.reveal()}"}, 200),
        ({"authorization": f"bearer  {TOKEN.reveal()}"}, 200),
        ({"authorization": TOKEN.reveal()}, 401),
        ({"authorization": f"Basic {TOKEN.reveal()}"}, 401),
        ({"authorization": f"Bearer {TOKEN.reveal()[:-1]}"}, 401),
        ({"authorization": f"Bearer {TOKEN.reveal()}x"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": "Bearer \udcff\u00e9"}, 401),
        ({"session": session_of(TOKEN)}, 200),
        ({"session": TOKEN.reveal()}, 401),
        ({"session": session_of(Secret("another token, 16"))}, 401),
        ({"session": ""}, 401),
        ({"path": "/metrics"}, 401),
        ({"path": "/"}, 401),
        ({"path": "/page.js"}, 401),
        ({"path": "/readyz"}, 401),
        ({"path": "/login/"}, 401),
        ({"path": "/healthz/../api/v1/status"}, 401),
        ({"path": "/healthz"}, 200),
        ({"path": "/healthz", "host": "evil.example"}, 200),
        ({"path": "/healthz", "method": "POST", "host": "evil.example"}, 421),
        ({"path": "/login"}, 200),
        ({"path": "/login", "host": "evil.example"}, 421),
        ({"path": "/login", "method": "POST", "origin": "http://evil.example"}, 403),
        ({"path": "/page.css"}, 200),
    ],
)
def test_where_a_token_is_set_it_must_be_known(changes: dict[str, str], expected: int) -> None:
    assert status(OPEN, GET, **changes) == expected


def test_a_token_does_not_let_other_pages_in() -> None:
    assert status(OPEN, POST, session=session_of(TOKEN), origin="http://evil.example") == 403
    assert status(OPEN, POST, session=session_of(TOKEN), origin="http://127.0.0.1:9109") == 200


def test_no_denial_and_no_repr_shows_the_token() -> None:
    for asked in (
        GET,
        replace(GET, authorization="Bearer wrong"),
        replace(GET, host="x"),
        replace(POST, origin="null"),
    ):
        assert TOKEN.reveal() not in repr(judge(OPEN, asked))
    assert TOKEN.reveal() not in repr(OPEN)
    assert TOKEN.reveal() not in session_of(TOKEN)
