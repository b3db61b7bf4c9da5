"""``/api/v1`` over real sockets, and the commands that read it: what is shown of a snapshot, and what happens live."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field

import pytest
from typer.testing import CliRunner

from capture.messages import Sighting
from daemon.api import make_api
from daemon.apistream import make_stream
from daemon.cli import app as cli
from daemon.pictures import Pictures
from daemon.recent import Recent, Transition
from daemon.sinks.jsonl import SightedTile
from daemon.web import HttpServer, bind, make_app
from tests.daemon.test_metrics import SNAPSHOT

SECRET = "hunter2-Xyzzy"


def tile(camera: str = "front", label: str = "dog", captured_at: float = 1700000000.5) -> SightedTile:
    seen = (Sighting(label, 0.9131, (10.5, 20.0, 110.25, 220.0)),) if label else ()
    return SightedTile(camera, "m1", "w1", 12.48, captured_at, (1920, 1080), seen, 0.0)


@dataclass
class Site:
    port: int
    recent: Recent
    shown: list = field(default_factory=lambda: [SNAPSHOT])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> tuple[int, object]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())


@pytest.fixture
def site() -> Iterator[Site]:
    recent = Recent(kept=10)
    shown = [SNAPSHOT]
    routers = [make_api(lambda: shown[-1], recent, Pictures(), "1.2.3"), make_stream(recent, None)]
    server = HttpServer(make_app(lambda: shown[-1], lambda: b"", lambda: 0.0, routers=routers), bind("127.0.0.1", 0))
    server.start()
    yield Site(server.address[1], recent, shown)
    assert server.stop(5.0)


def test_status_is_the_whole_snapshot(site: Site) -> None:
    status, found = site.get("/api/v1/status")
    assert status == 200
    assert (found["version"], found["words"], found["is_ready"]) == ("1.2.3", SNAPSHOT.words, SNAPSHOT.is_ready)
    assert [each["name"] for each in found["processes"]] == ["capture-0", "cpu-0", "e1"]
    assert found["notices"] == ["running on the last good roster"]
    assert (found["events"]["open"], found["events"]["begun"]) == (1, 3)
    assert [(sink["name"], sink["told"]) for sink in found["events"]["sinks"]] == [("mqtt", 14)]
    front = found["cameras"][0]
    shown = SNAPSHOT.cameras[0]
    assert (front["name"], front["frame_wh"], front["sightings"]) == ("front", [*shown.source_wh], shown.sightings)
    assert front["frames_dropped"] == shown.dropped


def test_each_list_is_there_alone(site: Site) -> None:
    whole = site.get("/api/v1/status")[1]
    assert site.get("/api/v1/cameras") == (200, whole["cameras"])
    assert site.get("/api/v1/cameras/front") == (200, whole["cameras"][0])
    assert site.get("/api/v1/mosaics") == (200, whole["mosaics"])
    assert site.get("/api/v1/workers") == (200, [each for each in whole["processes"] if each["kind"] == "worker"])
    assert site.get("/api/v1/cameras/nobody") == (404, {"detail": "there is no such camera in the roster"})
    assert site.get("/api/v1/cameras/yard") == (404, {"detail": "this camera is not read: switched off"})
    assert site.get("/api/v1/disabled") == (200, whole["disabled"])
    assert [(each["name"], each["why"]) for each in whole["disabled"]] == [
        ("yard", "switched off"),
        ("roof", "disabled in the roster"),
    ]


def test_the_document_describes_every_route(site: Site) -> None:
    status, found = site.get("/api/v1/openapi.json")
    assert status == 200
    one = ("cameras/{name}", "mosaics/{name}/picture")
    several = ("status", "cameras", "disabled", "mosaics", "workers", "sightings", "transitions", "stream")
    assert set(found["paths"]) == {f"/api/v1/{path}" for path in (*one, *several)}
    assert found["components"]["schemas"]["Camera"]["properties"]["frame_wh"]


def test_the_last_sightings_come_newest_first(site: Site) -> None:
    site.recent.offer([tile("front"), tile("back", ""), tile("back", "cat"), tile("front", "car")])
    status, found = site.get("/api/v1/sightings")
    assert status == 200
    assert [(each["camera"], each["sightings"][0]["label"]) for each in found] == [
        ("front", "car"),
        ("back", "cat"),
        ("front", "dog"),
    ], "frames without a sighting are none"
    assert [each["camera"] for each in site.get("/api/v1/sightings?camera=front&limit=1")[1]] == ["front"]
    assert site.get("/api/v1/sightings?limit=0")[0] == 422


def test_what_came_and_went_comes_newest_first(site: Site) -> None:
    site.recent.note(Transition(1.0, "camera", "front", "down", "timeout", "no answer"))
    site.recent.note(Transition(2.0, "worker", "w1", "up"))
    status, found = site.get("/api/v1/transitions")
    assert (status, [each["name"] for each in found]) == (200, ["w1", "front"])
    assert found[1] == {
        "at": 1.0,
        "kind": "camera",
        "name": "front",
        "state": "down",
        "reason": "timeout",
        "detail": "no answer",
    }


def test_only_so_many_are_kept_and_a_time_that_is_none_is_left_out(site: Site) -> None:
    site.recent.offer([tile() for _ in range(30)])
    assert len(site.get("/api/v1/sightings?limit=500")[1]) == 10
    site.recent.offer([tile(captured_at=1e30)])
    assert len(site.get("/api/v1/sightings?limit=500")[1]) == 9


def test_events_come_as_they_happen_and_nothing_from_before(site: Site) -> None:
    site.recent.offer([tile("old")])
    with closing(http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)) as connection:
        connection.request("GET", "/api/v1/stream")
        stream = connection.getresponse()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.readline() == b": mosaicd\n"
        stream.readline()
        site.recent.note(Transition(1700000001.0, "camera", "front", "down", "timeout", "no answer"))
        site.recent.offer([tile("front")])
        lines = [stream.readline().decode().rstrip() for _ in range(8)]
        stream.close()
    assert lines[0:2] == ["id: 2", "event: transition"]
    assert json.loads(lines[2].removeprefix("data: "))["reason"] == "timeout"
    assert lines[4:6] == ["id: 3", "event: sighting"]
    assert json.loads(lines[6].removeprefix("data: "))["camera"] == "front"


def invoke(*args: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


def test_status_for_a_person(site: Site) -> None:
    code, out, _ = invoke("status", "--url", site.url)
    assert code == 0
    assert out.startswith(SNAPSHOT.words)
    rows = [line.split() for line in out.splitlines()]
    assert ["m1", "cpu-0", "held"] in [row[:3] for row in rows]
    assert ["cpu-0", "cpu", "given_up"] in [row[:3] for row in rows]
    assert "events: 1 open, 3 since the start; 5 changes lost; mqtt: connection refused, 23 wait, " in out
    assert "notice: running on the last good roster" in out
    assert ["yard", "-", "switched", "off"] in [row[:4] for row in rows]
    assert ["roof", "-", "disabled", "in", "the", "roster"] in [row[:6] for row in rows]


def test_status_for_programs(site: Site) -> None:
    code, out, _ = invoke("status", "--url", site.url, "--json")
    assert (code, json.loads(out)) == (0, site.get("/api/v1/status")[1])


@pytest.mark.parametrize("command", ["status", "tail"])
def test_without_a_daemon_the_remedy_is_named(tmp_path, command: str) -> None:
    code, out, err = invoke(command, "--url", "http://127.0.0.1:9")
    assert (code, out) == (1, "")
    assert err.startswith(f"mosaicd {command}: no daemon answers at http://127.0.0.1:9")
    assert "systemctl status mosaicd" in err
    code, _, err = invoke(command, "--settings", str(tmp_path / "none.yaml"))
    assert code == 1
    assert err.startswith(f"mosaicd {command}: ")
    assert "no such file" in err


def test_tail_prints_what_happens_and_what_is_wanted_alone(site: Site) -> None:
    def happen() -> None:
        # The stream begins a moment after the command does.
        for _ in range(40):
            time.sleep(0.05)
            site.recent.offer([tile("front", "dog"), tile("back", "dog"), tile("front", "car")])
        connection.stop(5.0)

    recent = Recent()
    site = Site(0, recent)
    connection = HttpServer(
        make_app(lambda: SNAPSHOT, lambda: b"", lambda: 0.0, routers=[make_stream(recent, None)]),
        bind("127.0.0.1", 0),
    )
    connection.start()
    thread = threading.Thread(target=happen)
    thread.start()
    code, out, err = invoke(
        "tail", "--url", f"http://127.0.0.1:{connection.address[1]}", "--camera", "front", "--label", "dog"
    )
    thread.join()
    assert code == 1
    assert "has ended the stream" in err
    stamp = time.strftime("%H:%M:%S", time.localtime(1700000000.5))
    assert set(out.splitlines()) == {f"{stamp} front: 1 dog (0.91)"}
