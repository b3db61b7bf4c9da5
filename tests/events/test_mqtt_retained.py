"""What a broker keeps of us, with a real Mosquitto: pictures, and what is taken back of cameras that are no more."""

import os
import threading

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from events.mediapaths import media_path
from events.outbox import Letter
from events.sinks.announced import Announced, Topics
from events.sinks.mqtt import MAX_PICTURE_BYTES, Mqtt
from events.sinks.options import MqttOptions
from events.store import ended
from events.words import Ending, Kind
from tests.events.broker import MOSQUITTO, Broker, Subscriber
from tests.events.recipients import DEADLINE_S, wait_until
from tests.events.sample import event

pytestmark = pytest.mark.skipif(MOSQUITTO is None, reason="needs mosquitto: make clients")

SNAPSHOT = "mosaicd/yard/person/snapshot"


@pytest.fixture
def broker(tmp_path):
    running = Broker(tmp_path / "broker")
    running.start()
    yield running
    running.end()


def put(folder, number, picture):
    """Put a picture in the place of an event's, as its writer does."""
    path = folder / media_path(event(number).id, "yard", "snapshot")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.with_suffix(".new").write_bytes(picture)
    os.replace(path.with_suffix(".new"), path)
    return path


def seen(number=1, revision=0, **changes):
    kind = Kind.UPDATE if revision else Kind.NEW
    return Letter(1, None, event(number, kind=kind, revision=revision, has_snapshot=True, **changes))


def pictures(subscriber):
    return [payload for topic, payload in subscriber.messages if topic == SNAPSHOT]


def wait_for_all(subscriber, sink):
    """Let all arrive that was published before: a client's messages keep their order."""
    sink.close()
    subscriber.wait_for("mosaicd/available", b"offline")


def test_a_picture_is_told_when_it_is_new_and_awaits_whoever_comes_later(tmp_path, broker):
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port), tmp_path)
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        sink.deliver(Letter(1, None, event(1)))
        put(tmp_path, 1, b"\xff\xd8 first")
        put(tmp_path, 2, b"\xff\xd8 other")
        sink.deliver(seen(1, 1))
        sink.deliver(seen(2, 0))
        sink.deliver(seen(1, 2))  # as it was
        put(tmp_path, 1, b"\xff\xd8 better")
        sink.deliver(Letter(1, None, ended(event(1, revision=3, has_snapshot=True), Ending.GONE)))
        wait_for_all(subscriber, sink)
        assert pictures(subscriber) == [b"\xff\xd8 first", b"\xff\xd8 other", b"\xff\xd8 better"]
    with Subscriber(broker.port, "#") as late:
        late.wait_for(SNAPSHOT, b"\xff\xd8 better")


@pytest.mark.parametrize("what", ["gone", "empty", "too large", "a folder", "not wished"])
def test_what_cannot_be_told_hinders_nothing(tmp_path, broker, what):
    path = put(tmp_path, 1, b"\xff\xd8" if what == "not wished" else b"")
    if what in ("gone", "a folder"):
        path.unlink()
    if what == "a folder":
        path.mkdir()
    if what == "too large":
        os.truncate(path, MAX_PICTURE_BYTES + 1)
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port, snapshots=what != "not wished"), tmp_path)
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        sink.deliver(seen())
        wait_for_all(subscriber, sink)
        assert pictures(subscriber) == ([b""] if what == "not wished" else [])
        assert subscriber.latest("mosaicd/events") is not None


def test_a_large_picture_is_told_whole_before_the_next_event(tmp_path, broker):
    picture = os.urandom(MAX_PICTURE_BYTES)
    put(tmp_path, 1, picture)
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port), tmp_path)
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        sink.deliver(seen())
        sink.deliver(Letter(2, None, ended(event(1), Ending.GONE)))
        wait_for_all(subscriber, sink)
        assert pictures(subscriber) == [picture]


def test_the_last_picture_comes_after_the_end_and_is_told(tmp_path, broker):
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port), tmp_path)
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        put(tmp_path, 1, b"\xff\xd8 first")
        sink.deliver(seen())
        sink.deliver(Letter(2, None, ended(event(1), Ending.GONE)))
        sink.deliver(Letter(3, None, ended(event(2), Ending.GONE)))
        put(tmp_path, 1, b"\xff\xd8 better")

        def has_come(picture):
            sink.idle(0.1)
            return subscriber.latest(SNAPSHOT) == picture

        wait_until(lambda: has_come(b"\xff\xd8 better"))
        put(tmp_path, 2, b"\xff\xd8 other")
        wait_until(lambda: has_come(b"\xff\xd8 other"))
        wait_for_all(subscriber, sink)
        assert pictures(subscriber) == [b"\xff\xd8 first", b"\xff\xd8 better", b"\xff\xd8 other"]


def test_after_an_outage_the_picture_is_told_again(tmp_path, broker):
    put(tmp_path, 1, b"\xff\xd8")
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port), tmp_path)
    with Subscriber(broker.port, "mosaicd/#") as subscriber:
        sink.deliver(seen())
        sink.close()
        sink.deliver(seen(1, 1))
        wait_for_all(subscriber, sink)
        assert pictures(subscriber) == [b"\xff\xd8"] * 2


def retained(broker):
    """Topics of which the broker keeps a message: they come before what is published after the subscription."""
    found, is_over = set(), threading.Event()

    def received(client, userdata, message):
        found.add(message.topic)
        if message.topic == "over":
            is_over.set()

    client = Client(CallbackAPIVersion.VERSION2)
    client.on_message = received
    client.on_subscribe = lambda *_: client.publish("over", "")
    client.on_connect = lambda *_: client.subscribe("#")
    client.connect("127.0.0.1", broker.port)
    client.loop_start()
    assert is_over.wait(DEADLINE_S)
    client.disconnect()
    client.loop_stop()
    return found - {"over", "mosaicd/available"}


def live(tmp_path, broker, *letters, **options):
    """Tell the letters, knowing what earlier lives told; return what the broker keeps then."""
    sink = Mqtt(MqttOptions("127.0.0.1", broker.port, **options), tmp_path, Announced(tmp_path / "mqtt.json"))
    sink.idle(0.0)
    for letter in letters:
        sink.deliver(letter)
    sink.close()
    return retained(broker)


def of(camera, label, prefix="mosaicd", kinds=("binary_sensor", "image", "sensor")):
    """All topics of one label but the picture's."""
    return {f"{prefix}/{camera}/{label}"} | {f"homeassistant/{kind}/{prefix}_{camera}/{label}/config" for kind in kinds}


def test_what_is_retained_of_a_camera_that_is_no_more_is_taken_back(tmp_path, broker):
    put(tmp_path, 1, b"\xff\xd8")
    both = {"cameras": frozenset({"yard", "street"}), "expected": {"street": ("car", "bus")}}
    all_of_it = of("yard", "person") | {SNAPSHOT} | of("street", "car") | of("street", "bus")
    assert live(tmp_path, broker, seen(), **both) == all_of_it
    assert live(tmp_path, broker, **both) == all_of_it, "what was seen once is known in the next life"
    one = {"cameras": frozenset({"street"}), "expected": {"street": ("car",)}}
    assert live(tmp_path, broker, **one) == of("street", "car")
    assert live(tmp_path, broker, **one) == of("street", "car")


def test_what_is_retained_below_another_prefix_is_taken_back(tmp_path, broker):
    yard = frozenset({"yard"})
    assert live(tmp_path, broker, seen(), cameras=yard) == of("yard", "person")
    assert live(tmp_path, broker, cameras=yard, discovery_prefix="") == set()
    assert live(tmp_path, broker, seen(), cameras=yard, topic_prefix="b") == of("yard", "person", "b") | {"b/available"}


def test_without_pictures_there_are_none(tmp_path, broker):
    put(tmp_path, 1, b"\xff\xd8")
    yard = frozenset({"yard"})
    assert SNAPSHOT in live(tmp_path, broker, seen(), cameras=yard)
    left = of("yard", "person", kinds=("binary_sensor", "sensor"))
    assert live(tmp_path, broker, cameras=yard, snapshots=False) == left


@pytest.mark.parametrize("content", [b"", b"[", b"[1]", b"\xff", b"{}"])
def test_a_file_that_is_damaged_is_forgotten(tmp_path, content):
    (tmp_path / "mqtt.json").write_bytes(content)
    assert Announced(tmp_path / "mqtt.json").topics == frozenset()


def test_a_disk_that_is_of_no_use_hinders_nothing(tmp_path):
    announced = Announced(tmp_path / "none" / "mqtt.json")
    topics = frozenset({Topics("mosaicd", "", "yard", "person")})
    announced.keep(topics)
    assert announced.topics == topics
