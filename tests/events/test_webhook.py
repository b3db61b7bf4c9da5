"""Requests as receivers see them, and servers of every bad habit."""

import base64
import hashlib
import hmac
import json
import ssl
import threading
import time

import pytest
import trustme

from events.outbox import Letter
from events.sinks.courier import LaterError, RefusedError
from events.sinks.options import WebhookOptions
from events.sinks.webhook import Webhook, retry_after_s
from events.words import Kind
from tests.events.hookserver import HookServer, answer, drips, floods, reset, sends, silent
from tests.events.recipients import DEADLINE_S, Site, life, wait_until
from tests.events.sample import NIGHT, event

SECRET = "hush-hush"
LETTER = Letter(1, None, event(1))


@pytest.fixture
def server():
    with HookServer() as running:
        yield running


def hook(server, path="/hook?token=t0ken", clock=lambda: NIGHT, **options):
    return Webhook(WebhookOptions(f"http://127.0.0.1:{server.port}{path}", SECRET, **options), clock)


def test_a_request_is_the_event_signed_and_named(server):
    hook(server).deliver(LETTER)
    (request,) = server.requests
    assert request.line == "POST /hook?token=t0ken HTTP/1.1"
    found = json.loads(request.body)
    assert (found["id"], found["kind"], found["started_at"]) == (event(1).id, "new", "2026-11-30T02:13:05.000Z")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == f"{event(1).id}/0"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    # As a receiver checks it.
    at, digest = (part.partition("=")[2] for part in request.headers["mosaicd-signature"].split(","))
    assert int(at) == int(NIGHT)
    assert digest == hmac.new(SECRET.encode(), at.encode() + b"." + request.body, hashlib.sha256).hexdigest()


def test_without_a_secret_nothing_is_signed(server):
    Webhook(WebhookOptions(f"http://127.0.0.1:{server.port}")).deliver(LETTER)
    assert "mosaicd-signature" not in server.requests[0].headers
    assert server.requests[0].line == "POST / HTTP/1.1"


def test_a_password_in_the_url_is_sent_as_such_and_not_in_the_address(server):
    Webhook(WebhookOptions(f"http://me:p%40ss@127.0.0.1:{server.port}/ä b")).deliver(LETTER)
    assert base64.b64decode(server.requests[0].headers["authorization"].split()[1]) == b"me:p@ss"
    assert server.requests[0].line == "POST /%C3%A4%20b HTTP/1.1"
    assert "me" not in server.requests[0].headers["host"]


def test_only_what_is_wanted_is_told(server):
    with_ends = hook(server, kinds=frozenset({Kind.END}))
    for seq, change in enumerate(life(1)):
        with_ends.deliver(Letter(seq, None, change))
    assert [json.loads(request.body)["kind"] for request in server.requests] == ["end"]


@pytest.mark.parametrize(
    "url", ["", "example.org/hook", "ftp://example.org", "http://", "http://host:port/", "file:///x"]
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(ValueError, match=r"."):
        Webhook(WebhookOptions(url))


def test_options_and_failures_show_no_secret(server):
    secret = "s3cr3t"
    options = WebhookOptions(f"http://u:{secret}@127.0.0.1:{server.port}/{secret}?k={secret}", secret, timeout_s=0.5)
    assert secret not in repr(options)
    server.behaviours = [answer(500), answer(404), reset, sends(b"nonsense\r\n\r\n"), silent]
    for _ in range(5):
        with pytest.raises(LaterError) as caught:
            Webhook(options).deliver(LETTER)
        assert secret not in str(caught.value)


# --- bad habits ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_is_one(server, status):
    server.behaviours = [answer(status)]
    hook(server).deliver(LETTER)


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_what_may_heal_is_tried_again(server, status):
    server.behaviours = [answer(status)]
    with pytest.raises(LaterError, match=str(status)) as caught:
        hook(server).deliver(LETTER)
    assert not isinstance(caught.value, RefusedError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
def test_what_is_against_the_request_itself_is_a_refusal(server, status):
    server.behaviours = [answer(status)]
    with pytest.raises(RefusedError, match=str(status)):
        hook(server).deliver(LETTER)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server, status):
    server.behaviours = [answer(status, Location=f"http://127.0.0.1:{server.port}/elsewhere")]
    with pytest.raises(RefusedError, match="redirects are not followed"):
        hook(server).deliver(LETTER)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        (None, 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("-5", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("9" * 400, 999_999_999.0),
        ("Mon, 30 Nov 2026 02:14:05 GMT", 60.0),
        ("Mon, 30 Nov 2020 02:14:05 GMT", 0.0),
        ("Mon, 99 Nov 2026 99:14:05 GMT", 0.0),
    ],
)
def test_how_long_a_server_asks_to_be_left_alone(text, wait_s):
    assert retry_after_s(text, NIGHT) == wait_s


def test_a_server_that_asks_to_be_left_alone_is_heard(server):
    server.behaviours = [answer(429, Retry_After="17")]
    with pytest.raises(LaterError) as caught:
        hook(server).deliver(LETTER)
    assert caught.value.retry_after_s == 17.0


HABITS = {
    "resets": reset,
    "closes without a word": lambda server, connection: None,
    "says nonsense": sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "says half an answer": sends(b"HTTP/1.1 20"),
    "sends an endless line": floods(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 65_536),
    "sends endless headers": floods(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
}


@pytest.mark.parametrize("habit", HABITS.values(), ids=HABITS.keys())
def test_a_server_that_gives_no_proper_answer_is_tried_again(server, habit):
    server.behaviours = [habit]
    with pytest.raises(LaterError, match=r"127\.0\.0\.1"):
        hook(server).deliver(LETTER)


ENDLESS = {
    "says nothing": silent,
    "drips a status line": drips(b"HTTP/1.1 200 "),
    "drips headers": drips(b"HTTP/1.1 200 OK\r\nX: "),
    "says continue for ever": floods(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
}


@pytest.mark.parametrize("habit", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_server_that_does_not_come_to_an_end_is_broken_off(server, habit):
    server.behaviours = [habit]
    with pytest.raises(LaterError, match=r"no answer within 0\.3 s"):
        hook(server, timeout_s=0.3).deliver(LETTER)


def test_of_a_body_that_does_not_come_to_an_end_nothing_depends(server):
    server.behaviours = [drips(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")]
    hook(server, timeout_s=0.3).deliver(LETTER)


def test_of_a_huge_body_little_is_read(server):
    server.behaviours = [floods(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b"x" * 65_536)]
    hook(server).deliver(LETTER)


def test_nobody_there_is_tried_again():
    with HookServer() as server:
        gone = hook(server)
    with pytest.raises(LaterError, match="Connection refused"):
        gone.deliver(LETTER)


def test_whoever_stops_does_not_wait_for_the_server(server):
    server.behaviours = [silent]
    waiting = hook(server, timeout_s=DEADLINE_S)
    failed = threading.Event()

    def deliver():
        try:
            waiting.deliver(LETTER)
        except LaterError:
            failed.set()

    thread = threading.Thread(target=deliver)
    thread.start()
    wait_until(lambda: server.requests)
    begun_s = time.monotonic()
    while not failed.is_set() and time.monotonic() < begun_s + DEADLINE_S / 2:
        waiting.interrupt()
        failed.wait(0.05)
    thread.join()
    assert time.monotonic() - begun_s < DEADLINE_S / 2


# --- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def ca_file(authority, tmp_path):
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def secured(authority, name):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return HookServer(context)


def test_a_server_whose_certificate_is_known_is_told(authority, ca_file):
    with secured(authority, "127.0.0.1") as server:
        Webhook(WebhookOptions(f"https://127.0.0.1:{server.port}/", ca_file=ca_file)).deliver(LETTER)
        assert len(server.requests) == 1


@pytest.mark.parametrize(("name", "is_known"), [("example.org", True), ("127.0.0.1", False)])
def test_a_server_that_cannot_prove_who_it_is_is_not_told(authority, ca_file, name, is_known):
    with secured(authority, name) as server:
        options = WebhookOptions(f"https://127.0.0.1:{server.port}/", ca_file=ca_file if is_known else None)
        with pytest.raises(LaterError, match=r"127\.0\.0\.1"):
            Webhook(options).deliver(LETTER)
        assert server.requests == []


# --- the whole sink --------------------------------------------------------------------------------------------------


def test_through_every_failure_all_is_told_once_in_order(tmp_path, server):
    server.behaviours = [answer(503), reset, answer(429, Retry_After="0"), answer(500), sends(b"?")]
    with Site(tmp_path / "events.sqlite", hook(server)) as site:
        for number in range(4):
            site.keep(life(number)[0], life(number)[-1])
        site.wait_told()
        keys = [request.headers["idempotency-key"] for request in server.requests]
        assert list(dict.fromkeys(keys)) == [
            f"{change.id}/{change.revision}" for number in range(4) for change in (life(number)[0], life(number)[-1])
        ]
        assert keys[:6] == keys[:1] * 6
        assert len(keys) == 8 + 5
        assert site.messages == ["sink cannot be told", "sink is told again"]
        assert all(SECRET not in str(notice) and "t0ken" not in str(notice) for notice in site.told)
