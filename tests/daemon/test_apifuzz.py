"""The API as its own document describes it, asked for all that the document allows, and for what it does not.

schemathesis reads the document from the running app, makes requests of it, and checks each answer against it: no server
error, no status, type or shape that is not documented. The events have no end, and are left out.
"""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from daemon.access import judge, make_access
from daemon.guard import asked_of
from events.mediapaths import MEDIA, media_path
from events.store import Store
from events.words import Batch, Count
from tests.daemon.test_guard import TOKEN, Site, serving
from tests.events.sample import NIGHT, event

pytestmark = pytest.mark.slow

EXAMPLES = 25
REPRODUCIBLE = settings(
    deadline=None, database=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)  # whatever else the machine does
NAMES = ("front", "roof", "cpu-0", "w9", "..", "%2e", "a/b", "\u00e9", "x" * 300)
"""Some of which there are: names by chance are all unknown."""
ENDLESS = "/api/v1/stream"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    path = tmp_path_factory.mktemp("events") / "events.sqlite"
    with closing(Store(path, NIGHT, print)) as store:
        store.keep(Batch((event(),), counts=(Count("yard", "gate", "in", "person", NIGHT),)), NIGHT)
    for kind, content in (("snapshot", b"\xff\xd8"), ("clip", b"ftyp")):
        media = path.parent / MEDIA / media_path(event().id, "yard", kind)
        media.parent.mkdir(parents=True, exist_ok=True)
        media.write_bytes(content)
    with serving(events=path) as site:
        yield site


@pytest.fixture(scope="module")
def operations(site: Site) -> list[Any]:
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{site.port}/api/v1/openapi.json")
    found = [each.ok() for each in document.get_all_operations()]
    return [each for each in found if each.path != ENDLESS]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_whatever_is_asked_is_answered_as_documented(operations: list[Any], mode: GenerationMode) -> None:
    assert {each.method for each in operations} == {"get", "post"}
    statuses: set[int] = set()
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and not operation.query:
            continue  # nothing in it can be wrong

        @settings(REPRODUCIBLE, max_examples=EXAMPLES)
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            statuses.add(case.call_and_validate().status_code)

        ask()
    assert statuses >= ({200, 404} if mode is GenerationMode.POSITIVE else {422})


def test_names_that_are_there_are_answered_as_documented(operations: list[Any]) -> None:
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        for name in NAMES if "{name}" in operation.path else ():
            case = operation.Case(path_parameters={"name": name})
            statuses.setdefault(operation.label, set()).add(case.call_and_validate().status_code)
    assert statuses["POST /api/v1/cameras/{name}/disable"] == {200, 404, 409}
    assert statuses["POST /api/v1/workers/{name}/restart"] == {202, 404}
    assert statuses["GET /api/v1/cameras/{name}"] == {200, 404}


def test_events_that_are_there_are_answered_as_documented(operations: list[Any]) -> None:
    statuses: dict[str, set[int]] = {}
    for operation in operations:
        for id_ in (event().id, "nothing", *NAMES) if "{id}" in operation.path else ():
            for headers in (
                {},
                {"Range": "bytes=1-2"},
                {"Range": "bytes=9-"},
                {"Range": "?"},
                {"If-None-Match": '"x"'},
            ):
                case = operation.Case(path_parameters={"id": id_}, headers=headers)
                statuses.setdefault(operation.path, set()).add(case.call_and_validate().status_code)
    assert statuses["/api/v1/events/{id}/clip"] == {200, 206, 400, 404, 416}
    assert statuses["/api/v1/events/{id}/snapshot"] == {200, 404}


NOISE = st.binary(max_size=40) | st.sampled_from([b"localhost", b"[::1]:1", b"Bearer \xff", b'mosaicd="\\', b"http://"])
HEADERS = st.sampled_from([b"host", b"origin", b"sec-fetch-site", b"authorization", b"cookie"])


@settings(REPRODUCIBLE, max_examples=300)
@given(headers=st.lists(st.tuples(HEADERS, NOISE), max_size=6), method=st.sampled_from(["GET", "POST", "\u00e9"]))
def test_whatever_headers_hold_the_guard_decides(headers: list[tuple[bytes, bytes]], method: str) -> None:
    asked = asked_of({"type": "http", "method": method, "path": "/api/v1/status", "headers": headers})
    denied = judge(make_access("0.0.0.0", ["cams.example.org"], TOKEN), asked)
    assert denied is not None
    assert denied.status in (401, 403, 421)
