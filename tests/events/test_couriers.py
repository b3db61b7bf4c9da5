"""All couriers of one process: started and stopped together, none hindered by another."""

import json
import time
from contextlib import contextmanager

import msgspec
import pytest

from events.messages import DATABASE, EventsSetup
from events.sinks.couriers import Couriers
from events.sinks.options import MqttOptions, WebhookOptions, is_host, is_topic_prefix, split_url
from events.words import Batch, Kind
from events.writer import EventWriter
from tests.events.broker import free_port
from tests.events.hookserver import HookServer, silent
from tests.events.recipients import DEADLINE_S, life, wait_until


@contextmanager
def couriers_of(folder, told, **setup):
    """Couriers at work, and the writer that keeps their outboxes; the caller stops them."""
    couriers = Couriers(EventsSetup(str(folder), **setup), told.append)
    writer = EventWriter(folder / DATABASE, couriers.names, told.append)
    writer.start()
    couriers.start(writer)
    yield couriers, writer
    assert writer.stop(DEADLINE_S)


def keep(writer, *events):
    writer.offer(Batch(events=events))
    assert writer.flush(DEADLINE_S)


def lines(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def test_each_recipient_is_told_and_only_of_what_it_wants(tmp_path):
    told = []
    with HookServer() as first, HookServer() as second:
        webhooks = (
            WebhookOptions(f"http://127.0.0.1:{first.port}/", name="webhook:first"),
            WebhookOptions(f"http://127.0.0.1:{second.port}/", name="webhook:second", kinds=frozenset({Kind.END})),
        )
        with couriers_of(tmp_path, told, webhooks=webhooks) as (couriers, writer):
            keep(writer, *life(1))
            assert couriers.stop(DEADLINE_S, DEADLINE_S)
        assert [json.loads(each.body)["kind"] for each in first.requests] == ["new", "update", "end"]
        assert [json.loads(each.body)["kind"] for each in second.requests] == ["end"]
    assert [line["kind"] for line in lines(tmp_path)] == ["new", "update", "end"]
    assert [each.name for each in couriers.statistics()] == ["jsonl", "webhook:first", "webhook:second"]
    assert told == []


def test_one_that_cannot_be_made_hinders_nobody_and_its_events_wait(tmp_path):
    told = []
    nowhere = str(tmp_path / "none.pem")
    mqtt = MqttOptions("127.0.0.1", tls=True, ca_file=nowhere)
    with couriers_of(tmp_path, told, mqtt=mqtt) as (couriers, writer):
        keep(writer, *life(1))
        assert couriers.stop(DEADLINE_S, DEADLINE_S)
    assert len(lines(tmp_path)) == 3
    assert [(each.message, each.fields) for each in told] == [
        ("sink cannot be made", {"sink": "mqtt", "cause": "No such file or directory"})
    ]
    jsonl, broken = couriers.statistics()
    assert (jsonl.is_well, broken.name, broken.is_well, broken.cause) == (
        True,
        "mqtt",
        False,
        "No such file or directory",
    )
    with HookServer() as server:
        mended = WebhookOptions(f"http://127.0.0.1:{server.port}/", name="mqtt")
        with couriers_of(tmp_path, told, webhooks=(mended,)) as (couriers, _):
            wait_until(lambda: len(server.requests) == 3)
            assert couriers.stop(DEADLINE_S, DEADLINE_S)


def test_those_that_do_not_answer_share_one_deadline_and_the_others_are_told(tmp_path):
    told = []
    with HookServer() as quiet, HookServer() as good:
        quiet.behaviours = [silent] * 10
        webhooks = (
            *(WebhookOptions(f"http://127.0.0.1:{quiet.port}/", name=f"quiet{i}", timeout_s=300.0) for i in range(4)),
            WebhookOptions(f"http://127.0.0.1:{good.port}/", name="good"),
        )
        mqtt = MqttOptions("127.0.0.1", free_port())
        with couriers_of(tmp_path, told, mqtt=mqtt, webhooks=webhooks) as (couriers, writer):
            keep(writer, *life(1))
            wait_until(lambda: len(quiet.requests) == 4 and len(good.requests) == 3)
            began_s = time.monotonic()
            assert couriers.stop(0.2, DEADLINE_S)
            assert time.monotonic() - began_s < DEADLINE_S / 2, "not 300 s for each"
            keep(writer)
    assert {each.name: sum(each.told.values()) for each in couriers.statistics()} == {
        "jsonl": 3,
        "mqtt": 0,
        **{f"quiet{i}": 0 for i in range(4)},
        "good": 3,
    }


def test_the_setup_goes_over_the_wire_and_shows_no_secret():
    setup = EventsSetup(
        "f",
        mqtt=MqttOptions("h", password="s3cr3t", expected={"yard": ("person",)}),
        webhooks=(WebhookOptions("http://h/s3cr3t", "s3cr3t", kinds=frozenset({Kind.NEW})),),
    )
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(setup), type=EventsSetup) == setup
    assert "s3cr3t" not in repr(setup)


@pytest.mark.parametrize("host", ["a", "a.b-c.example.", "127.0.0.1", "::1", "fe80::1", "mosquitto_1"])
def test_hosts(host):
    assert is_host(host)


@pytest.mark.parametrize("host", ["", "a..b", ".a", "a b", "a/b", "a:1", "ä", "x" * 64, "a@b", "a." * 127 + "b"])
def test_what_is_no_host(host):
    assert not is_host(host)


@pytest.mark.parametrize("prefix", ["mosaicd", "site/a", "a/b/c", "ä"])
def test_topic_prefixes(prefix):
    assert is_topic_prefix(prefix)


@pytest.mark.parametrize("prefix", ["", "/", "/a", "a/", "a//b", "+", "a/#", "a b", "a\0", "$SYS/a", "\ud800"])
def test_what_is_no_topic_prefix(prefix):
    assert not is_topic_prefix(prefix)


@pytest.mark.parametrize(
    "url",
    [
        *("", "h/x", "ftp://h", "http://", "http://h:99999/s3cr3t", "http://h:x/", "http://h:0/"),
        *("http://[1/", "http://a..b/", "http://h/\n"),
    ],
)
def test_what_is_no_url_is_refused_without_a_word_of_it(url):
    with pytest.raises(ValueError, match=r"^should be http:// or https:// with a host, and perhaps a port and a path$"):
        split_url(url)
