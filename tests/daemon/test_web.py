"""The HTTP side, over real sockets: routes by value, a clean stop with clients connected, a port in use."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from capture.messages import CameraCounts
from capture.words import CameraState, Reason
from daemon.statistics import CameraStatistics, Histogram, MosaicStatistics, Statistics
from daemon.web import BindError, HttpServer, PortInUseError, ServeError, bind, make_app

FRONT = CameraStatistics(
    name="front",
    mosaic="m1",
    tile=0,
    state=CameraState.STREAMING,
    reason=None,
    since_s=1.0,
    counts=CameraCounts(),
    failures={},
    analyzed=0,
    unread=0,
    outdated=0,
    sightings={},
    source_wh=(640, 360),
    last_frame_at=0.0,
)
MOSAIC = MosaicStatistics(
    name="m1",
    cameras=("front", "back", None, None),
    composed=1,
    skipped=0,
    answered=1,
    live_tiles=1,
    worker="cpu-0",
    last_answer_age_s=0.1,
    is_answered=True,
)
READY = Statistics(
    cameras=(FRONT, replace(FRONT, name="back", tile=1)),
    mosaics=(MOSAIC,),
    children=(),
    sinks=(),
    latency=Histogram((), (), 0, 0.0),
    started_at=0.0,
    loop_lag_s=0.0,
)


@dataclass
class Source:
    """What a server of these tests shows; tests change it."""

    now: Statistics = READY
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@contextmanager
def serving(app: FastAPI) -> Iterator[HttpServer]:
    """Serve ``app`` on a free port."""
    server = HttpServer(app, bind("127.0.0.1", 0))
    server.start()
    try:
        yield server
    finally:
        assert server.stop(5.0)


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def server(source: Source) -> Iterator[HttpServer]:
    app = make_app(lambda: source.now, lambda: b"mosaicd_ready 1.0\n", lambda: source.age_s)
    with serving(app) as running:
        yield running


def get(server: HttpServer, path: str) -> Reply:
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
    finally:
        connection.close()


def test_metrics_are_served_as_prometheus_wants_them(server: HttpServer) -> None:
    reply = get(server, "/metrics")
    assert (reply.status, reply.body) == (200, b"mosaicd_ready 1.0\n")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


def test_server_does_not_say_what_it_is_made_of(server: HttpServer) -> None:
    assert "server" not in get(server, "/healthz").headers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/nothing"])
def test_other_pages_do_not_exist(server: HttpServer, path: str) -> None:
    assert get(server, path).status == 404


def test_health_is_ok_while_the_loop_turns(server: HttpServer, source: Source) -> None:
    source.age_s = 9.9
    assert (get(server, "/healthz").status, get(server, "/healthz").json) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_old_snapshot_is_unhealthy(server: HttpServer, source: Source, path: str) -> None:
    source.age_s = 10.5
    assert (get(server, path).status, get(server, path).json) == (503, {"status": "stuck", "age_s": 10.5})


def test_health_does_not_depend_on_cameras(server: HttpServer, source: Source) -> None:
    source.now = replace(READY, cameras=(), mosaics=(replace(MOSAIC, is_answered=False),))
    assert get(server, "/healthz").status == 200


def test_ready_when_every_mosaic_is_answered(server: HttpServer, source: Source) -> None:
    source.now = replace(READY, notices=("running on the last good roster",))
    reply = get(server, "/readyz")
    assert reply.status == 200
    assert reply.json == {"status": "ready", "mosaics": [], "notices": ["running on the last good roster"]}


def test_not_ready_without_a_mosaic(server: HttpServer, source: Source) -> None:
    source.now = replace(READY, mosaics=())
    assert (get(server, "/readyz").status, get(server, "/readyz").json["mosaics"]) == (503, [])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"live_tiles": 0}, "no live camera"),
        ({"live_tiles": 0, "worker": None}, "no live camera"),
        ({"worker": None}, "no worker"),
        ({}, "not answered"),
    ],
)
def test_unanswered_mosaic_is_named_with_its_reason(
    server: HttpServer, source: Source, change: dict[str, Any], reason: str
) -> None:
    down = replace(MOSAIC, name="m2", cameras=(None,) * 4, is_answered=False, **change)
    source.now = replace(READY, mosaics=(MOSAIC, down))
    reply = get(server, "/readyz")
    assert reply.status == 503
    assert reply.json == {
        "status": "not ready",
        "mosaics": [{"mosaic": "m2", "reason": reason, "cameras": {}}],
        "notices": [],
    }


def test_cameras_that_are_down_are_named_with_their_reason(server: HttpServer, source: Source) -> None:
    refused = replace(FRONT, state=CameraState.BACKOFF, reason=Reason.REFUSED)
    connecting = replace(FRONT, name="back", state=CameraState.CONNECTING)
    source.now = replace(
        READY, cameras=(refused, connecting), mosaics=(replace(MOSAIC, is_answered=False, live_tiles=0),)
    )
    assert get(server, "/readyz").json["mosaics"][0]["cameras"] == {"front": "refused", "back": "connecting"}


def test_failing_read_answers_500_and_serves_on() -> None:
    fails = [True]

    def read() -> Statistics:
        if fails:
            fails.pop()
            raise RuntimeError("broken on purpose")
        return READY

    with serving(make_app(read, lambda: b"", lambda: 0.0)) as server:
        assert [get(server, "/readyz").status, get(server, "/readyz").status] == [500, 200]


def test_port_in_use_names_address_port_and_remedy(server: HttpServer) -> None:
    host, port = server.address
    with pytest.raises(PortInUseError, match=f"port {port} on 127.0.0.1 is in use: .*ss -ltnp.*another port") as caught:
        bind(host, port)
    assert (caught.value.address, caught.value.port) == (host, port)


def test_port_that_is_bound_but_not_served_yet_is_in_use() -> None:
    with bind("127.0.0.1", 0) as first, pytest.raises(PortInUseError):
        bind("127.0.0.1", first.getsockname()[1])


@pytest.mark.parametrize("address", ["192.0.2.1", "no-such-host.invalid"])
def test_foreign_address_is_refused_with_a_remedy(address: str) -> None:
    with pytest.raises(BindError, match="no address of this machine: set another"):
        bind(address, 0)


def test_port_is_free_again_after_stop() -> None:
    server = HttpServer(make_app(lambda: READY, lambda: b"", lambda: 0.0), bind("127.0.0.1", 0))
    server.start()
    assert get(server, "/healthz").status == 200
    assert server.stop(5.0)
    assert not server.is_serving
    bind(*server.address).close()


def test_idle_client_does_not_keep_it_from_stopping(source: Source) -> None:
    server = HttpServer(make_app(lambda: READY, lambda: b"", lambda: 0.0), bind("127.0.0.1", 0))
    server.start()
    connection = http.client.HTTPConnection(*server.address, timeout=5)
    connection.request("GET", "/healthz")
    connection.getresponse().read()
    silent = socket.create_connection(server.address, timeout=5)
    started = time.monotonic()
    assert server.stop(5.0)
    assert time.monotonic() - started < 3.0
    silent.close()
    connection.close()


@pytest.mark.slow
def test_open_event_stream_does_not_keep_it_from_stopping() -> None:
    app = FastAPI()
    never = threading.Event()

    async def events() -> Any:
        yield b"data: 1\n\n"
        while not never.is_set():
            await asyncio.sleep(0.05)

    @app.get("/events")
    async def stream() -> StreamingResponse:
        return StreamingResponse(events(), media_type="text/event-stream")

    server = HttpServer(app, bind("127.0.0.1", 0))
    server.start()
    client = socket.create_connection(server.address, timeout=5)
    client.sendall(b"GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(4096).startswith(b"HTTP/1.1 200")
    started = time.monotonic()
    assert server.stop(5.0)
    assert time.monotonic() - started < 4.0
    client.close()


def test_server_that_cannot_start_says_so_and_leaves_no_thread() -> None:
    listener = bind("127.0.0.1", 0)
    server = HttpServer(FastAPI(), listener)
    listener.close()
    with pytest.raises(ServeError, match="did not come up within 5 s") as caught:
        server.start(5.0)
    assert isinstance(caught.value.__cause__, OSError)
    assert "http" not in [thread.name for thread in threading.enumerate()]


def test_stop_before_start_closes_the_listener() -> None:
    listener = bind("127.0.0.1", 0)
    server = HttpServer(FastAPI(), listener)
    assert server.stop(1.0)
    assert listener.fileno() == -1
