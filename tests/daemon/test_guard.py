"""The whole app behind its guard, over real sockets: orders, the token, the login, and what browsers are told."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from typer.testing import CliRunner

from daemon.access import Access, make_access
from daemon.api import make_api
from daemon.apievents import make_events
from daemon.apiorders import make_orders
from daemon.apistream import make_stream
from daemon.cli import app as cli
from daemon.inbox import Inbox
from daemon.login import make_login
from daemon.orders import (
    Difference,
    NoSuchCamera,
    NoSuchWorker,
    Refused,
    Reply,
    Request,
    Restarting,
    RestartWorker,
    SwitchCamera,
    Switched,
)
from daemon.page import make_page
from daemon.pictures import Pictures
from daemon.recent import Recent
from daemon.secrets import Secret
from daemon.web import LOCAL, HttpServer, bind, make_app
from tests.daemon.test_metrics import SNAPSHOT

TOKEN = Secret("0123456789abcdef-XYZ")
BEARER = {"Authorization": f"Bearer {TOKEN.reveal()}"}


def answer(request: Request) -> Reply:
    """As the desk of a daemon with the snapshot's cameras and workers would."""
    match request:
        case SwitchCamera("front", is_on):
            return Switched("front", is_on, Difference(moved=("back",)))
        case SwitchCamera("roof", _):
            return Refused("camera roof is disabled in cameras.yaml")
        case SwitchCamera(name, _):
            return NoSuchCamera(name, ", did you mean 'front'?")
        case RestartWorker("cpu-0"):
            return Restarting("cpu-0", "given_up")
        case RestartWorker(name):
            return NoSuchWorker(name, ("cpu-0",))
    return Refused("not asked for here")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Site:
    """A server of the real app, and a desk that answers."""

    port: int = 0
    asked: list[Request] = field(default_factory=list)

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: str | None = None) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as connection:
            connection.request(method, path, body, dict(headers or {}))
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())


@contextmanager
def serving(
    access: Access = LOCAL,
    token: Secret | None = None,
    reply: Callable[[Request], Reply] = answer,
    events: Path | None = None,
) -> Iterator[Site]:
    """Serve the app that `mosaicd run` serves."""
    inbox, ended, site, recent = Inbox(), threading.Event(), Site(), Recent()
    routers = [make_api(lambda: SNAPSHOT, recent, Pictures(), "1.2.3"), make_orders(inbox.order), make_page()]
    routers += [make_stream(recent, events), make_events(events), *([make_login(token)] if token else [])]
    app = make_app(lambda: SNAPSHOT, lambda: b"mosaicd_up 1\n", lambda: 0.0, routers=routers, access=access)

    def serve_desk() -> None:
        while not ended.wait(0.005):
            for each in inbox.take():
                site.asked.append(each.request)
                each.answer(reply(each.request))

    server, desk = HttpServer(app, bind("127.0.0.1", 0)), threading.Thread(target=serve_desk)
    server.start()
    desk.start()
    site.port = server.address[1]
    try:
        yield site
    finally:
        assert server.stop(5.0)
        ended.set()
        desk.join()


@pytest.fixture(scope="module")
def local() -> Iterator[Site]:
    with serving() as site:
        yield site


@pytest.fixture(scope="module")
def guarded() -> Iterator[Site]:
    """With a token, as on an address that others reach."""
    with serving(make_access("0.0.0.0", token=TOKEN), TOKEN) as site:
        yield site


@pytest.mark.parametrize(
    ("path", "status", "expected"),
    [
        ("cameras/front/disable", 200, {"name": "front", "is_on": False, "has_changed": True, "moved": ["back"]}),
        ("cameras/front/enable", 200, {"name": "front", "is_on": True, "has_changed": True, "moved": ["back"]}),
        ("cameras/roof/enable", 409, {"detail": "camera roof is disabled in cameras.yaml"}),
        ("cameras/frnt/enable", 404, {"detail": "there is no such camera in the roster, did you mean 'front'?"}),
        ("workers/cpu-0/restart", 202, {"name": "cpu-0", "was": "given_up"}),
        ("workers/w9/restart", 404, {"detail": "there is no such worker, only cpu-0"}),
    ],
)
def test_an_order_is_carried_out_or_says_why_not(local: Site, path: str, status: int, expected: object) -> None:
    found = local.ask("POST", f"/api/v1/{path}")
    assert (found.status, found.json) == (status, expected)


def test_reading_orders_nothing_and_other_pages_may_not_order(local: Site) -> None:
    before = len(local.asked)
    assert local.ask("GET", "/api/v1/cameras/front/disable").status == 405
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}, {"Host": "evil.example"}):
        found = local.ask("POST", "/api/v1/cameras/front/disable", headers)
        assert found.status == (421 if "Host" in headers else 403)
        assert found.json.keys() == {"detail", "remedy"}
    assert len(local.asked) == before
    own = {"Origin": f"http://127.0.0.1:{local.port}", "Sec-Fetch-Site": "same-origin"}
    assert local.ask("POST", "/api/v1/cameras/front/disable", own).status == 200


def test_a_name_that_was_made_to_point_here_reads_nothing(local: Site) -> None:
    for path in ("/", "/metrics", "/readyz", "/api/v1/status", "/api/v1/openapi.json", "/nothing"):
        assert local.ask("GET", path, {"Host": "evil.example"}).status == 421
    assert local.ask("GET", "/healthz", {"Host": "evil.example"}).status == 200


@pytest.mark.parametrize(
    "path",
    ["/", "/page.js", "/events", "/events.js", "/events.css", "/metrics", "/healthz", "/api/v1/status", "/nothing"],
)
def test_every_answer_tells_browsers_what_it_may_do(local: Site, path: str) -> None:
    headers = local.ask("GET", path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] in ("no-store", "no-cache")


def test_without_the_token_nothing_is_shown_and_nothing_done(guarded: Site) -> None:
    for method, path in (
        ("GET", "/metrics"),
        ("GET", "/api/v1/openapi.json"),
        ("POST", "/api/v1/cameras/front/disable"),
    ):
        found = guarded.ask(method, path)
        assert (found.status, found.headers["www-authenticate"]) == (401, 'Bearer realm="mosaicd"')
        assert "Authorization: Bearer TOKEN" in found.json["remedy"]
    assert guarded.asked == []
    assert guarded.ask("GET", "/healthz").json == {"status": "ok"}


def test_with_the_token_everything_is(guarded: Site) -> None:
    assert guarded.ask("GET", "/metrics", BEARER).body == b"mosaicd_up 1\n"
    assert guarded.ask("GET", "/", BEARER).status == 200
    assert guarded.ask("POST", "/api/v1/workers/cpu-0/restart", BEARER).status == 202


def test_a_person_says_the_token_once(guarded: Site) -> None:
    asked = guarded.ask("GET", "/")
    assert (asked.status, asked.headers["location"]) == (303, "login")
    form = guarded.ask("GET", "/login")
    assert b'type="password"' in form.body
    assert "form-action 'self'" in form.headers["content-security-policy"]
    own = {"Origin": f"http://127.0.0.1:{guarded.port}", "Content-Type": "application/x-www-form-urlencoded"}
    wrong = guarded.ask("POST", "/login", own, urlencode({"token": "0123456789abcdef-XYz"}))
    assert (wrong.status, "set-cookie" in wrong.headers) == (403, False)
    assert b"This is not the token." in wrong.body
    right = guarded.ask("POST", "/login", own, urlencode({"token": f" {TOKEN.reveal()}\n"}))
    assert (right.status, right.headers["location"]) == (303, ".")
    cookie, *flags = right.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(flags)
    assert TOKEN.reveal() not in right.headers["set-cookie"]
    assert guarded.ask("GET", "/api/v1/status", {"Cookie": f"other=1; {cookie}"}).status == 200
    order = "/api/v1/cameras/front/disable"
    assert guarded.ask("POST", order, {"Cookie": cookie, "Origin": "http://evil.example"}).status == 403
    assert guarded.ask("POST", order, {"Cookie": cookie} | own).status == 200
    gone = guarded.ask("POST", "/logout", {"Cookie": cookie} | own)
    assert 'mosaicd=""' in gone.headers["set-cookie"]


@pytest.mark.parametrize(
    ("path", "login", "after"),
    [("/", "login", "."), ("/events", "login?to=events", "events"), (None, "login?to=//evil.example", ".")],
)
def test_after_the_token_comes_the_page_that_was_asked_for(
    guarded: Site, path: str | None, login: str, after: str
) -> None:
    if path:
        asked = guarded.ask("GET", path)
        assert (asked.status, asked.headers["location"]) == (303, login)
    right = guarded.ask("POST", f"/{login}", {}, urlencode({"token": TOKEN.reveal()}))
    assert (right.status, right.headers["location"]) == (303, after)


def test_over_tls_the_cookie_stays_there(guarded: Site) -> None:
    headers = {"X-Forwarded-Proto": "https", "Content-Type": "application/x-www-form-urlencoded"}
    found = guarded.ask("POST", "/login", headers, urlencode({"token": TOKEN.reveal()}))
    assert "Secure" in found.headers["set-cookie"].split("; ")


@pytest.mark.parametrize("body", ["", "token", "token=", "x" * 8000, "token=%ff%fe&token=1", "&" * 50])
def test_what_is_no_token_is_told_so(guarded: Site, body: str) -> None:
    assert guarded.ask("POST", "/login", {}, body).status == 403


def test_a_form_without_end_is_not_kept(guarded: Site) -> None:
    assert guarded.ask("POST", "/login", {}, "token=" + "x" * 100_000).status == 413


@pytest.mark.parametrize("cookie", ["mosaicd", "mosaicd=\x7f", "mosaicd=1;;;=;mosaicd", 'mosaicd="\\777"', "a[b]=1"])
def test_a_cookie_that_is_none_is_no_token(guarded: Site, cookie: str) -> None:
    assert guarded.ask("GET", "/api/v1/status", {"Cookie": cookie}).status == 401


def test_without_a_token_there_is_no_login(local: Site) -> None:
    assert local.ask("GET", "/login").status == 404


def test_a_daemon_that_stops_says_so() -> None:
    with serving(reply=lambda _: Refused("the daemon is stopping")) as site:
        found = site.ask("POST", "/api/v1/workers/cpu-0/restart")
    assert (found.status, found.json["detail"]) == (409, "the daemon is stopping")


def status_of(*args: str, **environ: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["status", *args], env={"COLUMNS": "200", **environ})
    assert TOKEN.reveal() not in result.output
    return result.exit_code, result.stderr


def test_the_command_line_sends_the_token_of_the_settings(guarded: Site, tmp_path: Path) -> None:
    settings = tmp_path / "mosaicd.yaml"
    http = f"{{address: 0.0.0.0, port: {guarded.port}, token: '${{HTTP_TOKEN}}'}}"
    settings.write_text(f"model: {{name: a}}\nhttp: {http}\nsecrets_dir: .\n")
    code, err = status_of("--settings", str(settings))
    assert (code, "wants the daemon's token: become a user who may read it, or say --token-env" in err) == (1, True)
    (tmp_path / "HTTP_TOKEN").write_text(TOKEN.reveal())
    assert status_of("--settings", str(settings)) == (0, "")


def test_the_command_line_sends_a_token_from_the_environment(guarded: Site) -> None:
    url = f"http://127.0.0.1:{guarded.port}"
    assert status_of("--url", url)[0] == 1
    assert status_of("--url", url, "--token-env", "TOKEN", TOKEN=TOKEN.reveal()) == (0, "")
    code, err = status_of("--url", url, "--token-env", "TOKEN")
    assert (code, "the environment variable TOKEN is empty or not set" in err) == (2, True)
