"""MQTT with a real Mosquitto: what subscribers get, through a broker that is killed, hangs, refuses, or comes late."""

import gc
import json
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trustme

from events.outbox import Letter
from events.sinks.courier import LaterError
from events.sinks.mqtt import Mqtt
from events.sinks.options import MqttOptions
from events.store import ended
from events.words import Ending, Kind
from tests.events.broker import MOSQUITTO, Broker, Subscriber, free_port
from tests.events.recipients import DEADLINE_S, Site, life, wait_until
from tests.events.sample import event

needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: make clients")


@pytest.fixture
def broker(tmp_path):
    running = Broker(tmp_path / "broker")
    running.start()
    yield running
    running.end()


def options(broker, **changes):
    return MqttOptions("127.0.0.1", broker.port, **changes)


def told(subscriber):
    """Last digits of ids, and kinds, in the order in which they came; doubles left out."""
    found = [json.loads(payload) for topic, payload in subscriber.messages if topic == "mosaicd/events"]
    return list(dict.fromkeys((each["after"]["id"], each["type"]) for each in found))


@needs_mosquitto
def test_events_counts_and_availability_are_published(tmp_path, broker):
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        with Site(tmp_path / "e.sqlite", Mqtt(options(broker, expected={"street": ("car",)}))) as site:
            subscriber.wait_for("mosaicd/available", b"online")
            subscriber.wait_for("mosaicd/street/car", b"0")
            site.keep(event(1), event(2))
            site.wait_told()
            subscriber.wait_for("mosaicd/yard/person", b"2")
            site.keep(*(ended(event(number), Ending.GONE) for number in (1, 2)))
            site.wait_told()
            subscriber.wait_for("mosaicd/yard/person", b"0")
            assert told(subscriber) == [(event(number).id, kind) for kind in ("new", "end") for number in (1, 2)]
            assert site.told == []
        subscriber.wait_for("mosaicd/available", b"offline")


@needs_mosquitto
def test_what_is_retained_awaits_whoever_comes_later(tmp_path, broker):
    with Site(tmp_path / "e.sqlite", Mqtt(options(broker))) as site:
        site.keep(event(1, label="traffic light"))
        site.wait_told()
        with Subscriber(broker.port, "#") as subscriber:
            subscriber.wait_for("mosaicd/available", b"online")
            subscriber.wait_for("mosaicd/yard/traffic_light", b"1")
            wait_until(lambda: subscriber.latest("homeassistant/sensor/mosaicd_yard/traffic_light/config"))
            wait_until(lambda: subscriber.latest("homeassistant/binary_sensor/mosaicd_yard/traffic_light/config"))
            assert told(subscriber) == []


@needs_mosquitto
def test_prefixes_are_as_wished_and_home_assistant_is_left_out(tmp_path, broker):
    with Subscriber(broker.port, "#") as subscriber:
        wished = options(broker, topic_prefix="site/a", discovery_prefix="")
        with Site(tmp_path / "e.sqlite", Mqtt(wished)) as site:
            site.keep(event(1))
            site.wait_told()
            subscriber.wait_for("site/a/yard/person", b"1")
        subscriber.wait_for("site/a/available", b"offline")
        assert {topic for topic, _ in subscriber.messages} == {
            "site/a/available",
            "site/a/events",
            "site/a/yard/person",
        }


@needs_mosquitto
@pytest.mark.slow
def test_a_thousand_events_during_an_outage_are_all_told_none_twice_in_order(tmp_path, broker):
    with (
        Subscriber(broker.port, "mosaicd/events") as subscriber,
        Site(tmp_path / "e.sqlite", Mqtt(options(broker, discovery_prefix=""))) as site,
    ):
        site.keep(*life(1000))
        site.wait_told()
        wait_until(lambda: len(told(subscriber)) == 3)
        broker.end(signal.SIGKILL)
        for number in range(0, 1000, 100):
            site.keep(*(change for each in range(number, number + 100) for change in life(each, updates=2)))
        wait_until(lambda: not site.courier.statistics().is_well)
        broker.start()
        wait_until(lambda: site.courier.statistics().told[Kind.END] == 1001)
        site.wait_told()
        wait_until(lambda: len([each for each in told(subscriber) if each[1] == "end"]) == 1001)
        ends_and_beginnings = [each for each in told(subscriber)[3:] if each[1] != "update"]
        assert ends_and_beginnings == [(event(number).id, kind) for number in range(1000) for kind in ("new", "end")]
        assert site.courier.statistics().stale > 500
        assert site.messages == ["sink cannot be told", "sink is told again"]
        states = [json.loads(payload)["after"] for _, payload in subscriber.messages]
        assert len({(state["id"], state["mosaicd"]["revision"]) for state in states}) == len(states)


@needs_mosquitto
@pytest.mark.slow
def test_a_broker_that_is_killed_again_and_again_gets_everything(tmp_path, broker):
    with (
        Subscriber(broker.port, "mosaicd/events") as subscriber,
        Site(tmp_path / "e.sqlite", Mqtt(options(broker, discovery_prefix="", timeout_s=5.0))) as site,
    ):
        for number in range(5):
            site.keep(event(2 * number))
            site.wait_told()
            wait_until(lambda number=number: (event(2 * number).id, "new") in told(subscriber))
            broker.end(signal.SIGKILL)
            site.keep(event(2 * number + 1))
            broker.start()
        site.wait_told()
        wait_until(lambda: len(told(subscriber)) == 10)
        assert told(subscriber) == [(event(number).id, "new") for number in range(10)]


@needs_mosquitto
def test_a_broker_that_is_not_there_yet_is_told_when_it_is(tmp_path):
    broker = Broker(tmp_path / "broker")
    with Site(tmp_path / "e.sqlite", Mqtt(options(broker))) as site:
        site.keep(event(1))
        wait_until(lambda: site.messages == ["sink cannot be told"])
        assert site.told[0].fields["cause"] == "127.0.0.1: Connection refused"
        broker.start()
        site.wait_told()
        assert site.messages == ["sink cannot be told", "sink is told again"]
    broker.end()


@needs_mosquitto
@pytest.mark.slow
def test_a_broker_that_hangs_is_left_and_stopping_does_not_wait_for_it(tmp_path, broker):
    sink = Mqtt(options(broker, timeout_s=0.5))
    sink.deliver(Letter(1, None, event(1)))
    broker.suspend()
    with pytest.raises(LaterError, match=r"no answer within 0\.5 s"):
        sink.deliver(Letter(2, None, event(2)))
    with pytest.raises(LaterError):
        sink.deliver(Letter(2, None, event(2)))
    sink.close()


@needs_mosquitto
def test_the_broker_says_offline_for_one_that_was_killed(tmp_path, broker):
    program = f"""
import threading
from events.sinks.mqtt import Mqtt
from events.sinks.options import MqttOptions
sink = Mqtt(MqttOptions("127.0.0.1", {broker.port}))
while True:
    sink.idle(1.0)
"""
    with Subscriber(broker.port, "mosaicd/available") as subscriber:
        process = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
        with process:
            subscriber.wait_for("mosaicd/available", b"online")
            process.kill()
        subscriber.wait_for("mosaicd/available", b"offline")


@needs_mosquitto
@pytest.mark.slow
def test_a_connection_that_is_lost_while_nothing_happens_is_made_again(tmp_path, broker):
    with Site(tmp_path / "e.sqlite", Mqtt(options(broker))) as site:
        with Subscriber(broker.port, "mosaicd/available") as subscriber:
            subscriber.wait_for("mosaicd/available", b"online")
        broker.end(signal.SIGTERM)
        broker.start()
        with Subscriber(broker.port, "mosaicd/#") as subscriber:
            subscriber.wait_for("mosaicd/available", b"online")
        wait_until(lambda: site.courier.statistics().is_well)
        assert site.messages in ([], ["sink cannot be told", "sink is told again"])


@needs_mosquitto
def test_a_wrong_password_is_told_without_it(tmp_path):
    (tmp_path / "passwords").touch()
    broker = Broker(tmp_path / "broker", f"allow_anonymous false\npassword_file {tmp_path / 'passwords'}")
    broker.start()
    wished = options(broker, username="mosaicd", password="s3cr3t")
    assert "s3cr3t" not in repr(wished)
    with pytest.raises(LaterError, match="Not authorized") as caught:
        Mqtt(wished).deliver(Letter(1, None, event(1)))
    assert "s3cr3t" not in str(caught.value)
    broker.end()


@needs_mosquitto
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")  # paho leaves it to its collection
def test_over_tls_a_broker_must_prove_who_it_is(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    leaf = authority.issue_cert("127.0.0.1")
    leaf.private_key_pem.write_to_path(tmp_path / "key.pem")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    files = f"certfile {tmp_path / 'cert.pem'}\nkeyfile {tmp_path / 'key.pem'}"
    broker = Broker(tmp_path / "broker", f"allow_anonymous true\n{files}")
    broker.start()
    known = Mqtt(options(broker, tls=True, ca_file=str(tmp_path / "ca.pem")))
    known.deliver(Letter(1, None, event(1)))
    known.close()
    with pytest.raises(LaterError, match=r"127\.0\.0\.1"):
        Mqtt(options(broker, tls=True)).deliver(Letter(1, None, event(1)))
    with pytest.raises(LaterError, match=r"127\.0\.0\.1"):
        Mqtt(options(broker, timeout_s=1.0)).deliver(Letter(1, None, event(1)))
    gc.collect()
    broker.end()


@pytest.mark.parametrize("prefix", ["", "a/+/b", "#", "/"])
def test_what_is_no_topic_is_refused(prefix):
    with pytest.raises(ValueError, match="no topic"):
        Mqtt(MqttOptions("127.0.0.1", topic_prefix=prefix))


def test_nobody_there_is_tried_again():
    with pytest.raises(LaterError, match="Connection refused"):
        Mqtt(MqttOptions("127.0.0.1", free_port())).deliver(Letter(1, None, event(1)))


def test_something_else_on_the_port_is_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(LaterError, match=r"127\.0\.0\.1"):
            Mqtt(MqttOptions("127.0.0.1", other.getsockname()[1], timeout_s=1.0)).deliver(Letter(1, None, event(1)))
        thread.join(DEADLINE_S)
