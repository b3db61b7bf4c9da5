"""Events over MQTT, by paho, in the form that Frigate's users know (`frigate`).

Topics below the prefix: ``events`` (each change, QoS 1), ``CAMERA/LABEL`` (how many there are now, retained),
``CAMERA/LABEL/snapshot`` (the latest picture, retained) and ``available`` (``online``, or ``offline``: the last will,
retained). What is retained of cameras that are no more is taken back.

Everything runs in the courier's thread: paho's own would be one more, and a daemon. Each connection is a new client, so
that nothing of an old one is sent again out of order. While nothing is to be told the connection is kept, and made
again.
"""

import os
import random
import ssl
import time
from contextlib import suppress
from pathlib import Path

from paho.mqtt.client import Client, ConnectFlags
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from capture.backoff import Backoff
from events.mediapaths import media_path
from events.outbox import Letter
from events.sinks import frigate
from events.sinks.announced import Announced, Topics
from events.sinks.courier import LaterError
from events.sinks.options import MqttOptions, is_topic_prefix
from events.words import Event, Kind

_SLICE_S = 0.2
"""How long an event may wait because we wait for the broker."""
_GOOD_BYE_S = 1.0
MAX_PICTURE_BYTES = 4 << 20
"""Larger ones are not told."""
LATE_S = 10.0
"""So long after its end an event's last and best picture may come, since it is ordered then."""
_LOOK_EVERY_S = 0.5
_BACKOFF = Backoff(first_s=1.0, limit_s=60.0)


class Mqtt:
    """One broker."""

    def __init__(self, options: MqttOptions, media: Path | None = None, announced: Announced | None = None) -> None:
        """``media`` is the folder of pictures, ``announced`` what a broker keeps of us. Raises ``ValueError`` for a
        prefix that is no topic, ``OSError`` for a bad ``ca_file``."""
        for prefix in (options.topic_prefix, options.discovery_prefix or "-"):
            if not is_topic_prefix(prefix):
                raise ValueError(f"no topic: {prefix!r}")
        self.name = options.name
        self._options = options
        self._tls = ssl.create_default_context(cafile=options.ca_file) if options.tls else None
        self._client: Client | None = None
        self._answer: ReasonCode | None = None
        self._there: dict[tuple[str, str], set[str]] = {
            (camera, label): set() for camera, labels in options.expected.items() for label in labels
        }
        """Ids of the events that are open, by camera and label."""
        self._announced = announced
        if announced is not None:
            self._there |= {(each.camera, each.label): set() for each in announced.topics if self._is_ours(each)}
        self._media = media if options.snapshots else None
        self._pictures: dict[str, tuple[int, int]] = {}
        """Those that were told by this connection: time and size of their files, by event."""
        self._late: dict[str, tuple[Event, float]] = {}
        """Events that have ended, and until when a picture is waited for."""
        self._look_due_s = 0.0
        self._failures = 0
        self._retry_s = 0.0
        self._is_interrupted = False

    def deliver(self, letter: Letter) -> None:
        """Publish one change, and wait for the broker's receipt. Raises ``LaterError``."""
        client = self._client or self._connect()
        self._publish(client, "events", frigate.message(letter))
        event = letter.event
        pair = (event.camera, event.label)
        is_known = pair in self._there
        there = self._there.setdefault(pair, set())
        before = len(there)
        (there.discard if event.kind is Kind.END else there.add)(event.id)
        if not is_known:
            self._remember()
            self._introduce(client, *pair)
        if len(there) != before or not is_known or event.kind is Kind.END:
            self._tell_count(client, *pair)
        if event.has_snapshot:
            self._tell_picture(client, event)
        if event.kind is Kind.END and self._media is not None:
            self._late[event.id] = (event, time.monotonic() + LATE_S)

    def idle(self, timeout_s: float) -> bool:
        """Keep the connection, or make it again when it is time to. Raises ``LaterError`` if that fails."""
        if self._client is None:
            if time.monotonic() < self._retry_s:
                return False
            self._connect()
        self._tell_late()
        client = self._client
        if client is not None and client.loop(min(timeout_s, _SLICE_S)) is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._drop()
        return True

    def interrupt(self) -> None:
        """Wait for nothing any more."""
        self._is_interrupted = True

    def close(self) -> None:
        """Say that we go: a connection that is closed in good order has no last will."""
        client = self._client
        if client is None:
            return
        self._is_interrupted = False
        with suppress(LaterError):
            self._publish(client, "available", b"offline", retain=True, timeout_s=_GOOD_BYE_S)
            client.disconnect()
        self._drop()

    def _connect(self) -> Client:
        """Connect, and say what there is. Raises ``LaterError``."""
        client = self._new_client()
        self._answer = None
        try:
            client.connect(self._options.host, self._options.port, self._options.keepalive_s)
            self._client = client
            until_s = time.monotonic() + self._options.timeout_s
            while self._answer is None:
                self._turn(client, until_s)
        except (OSError, ValueError) as error:
            reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
            raise self._failed(f"{self._options.host}: {reason}") from error
        if self._answer.is_failure:
            raise self._failed(f"{self._options.host}: {self._answer}")
        self._take_back(client)
        self._publish(client, "available", b"online", retain=True)
        self._remember()
        for camera, label in self._there:
            self._introduce(client, camera, label)
            self._tell_count(client, camera, label)
        self._failures = 0
        return client

    def _new_client(self) -> Client:
        options = self._options
        client = Client(
            CallbackAPIVersion.VERSION2,
            options.client_id,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = options.timeout_s
        client.max_inflight_messages_set(1000)
        if options.username is not None:
            client.username_pw_set(options.username, options.password)
        if self._tls is not None:
            client.tls_set_context(self._tls)
        client.will_set(self._topic("available"), "offline", qos=1, retain=True)
        client.on_connect = self._connected
        return client

    def _connected(
        self, client: Client, userdata: object, flags: ConnectFlags, code: ReasonCode, properties: Properties | None
    ) -> None:
        self._answer = code

    def _publish(
        self, client: Client, topic: str, payload: bytes, *, retain: bool = False, timeout_s: float | None = None
    ) -> None:
        """Publish, and wait for the receipt."""
        info = client.publish(self._topic(topic), payload, qos=1, retain=retain)
        if info.rc not in (MQTTErrorCode.MQTT_ERR_SUCCESS, MQTTErrorCode.MQTT_ERR_AGAIN):
            raise self._failed(f"{self._options.host}: connection lost")
        until_s = time.monotonic() + (timeout_s or self._options.timeout_s)
        while not info.is_published():
            self._turn(client, until_s)

    def _tell_count(self, client: Client, camera: str, label: str) -> None:
        """No receipt is waited for: whoever connects again tells all counts again."""
        topic = frigate.count_topic(self._options.topic_prefix, camera, label)
        client.publish(topic, str(len(self._there[camera, label])), qos=1, retain=True)

    def _tell_late(self) -> None:
        """Tell pictures that came after the end of their events."""
        client, now_s = self._client, time.monotonic()
        if client is None or now_s < self._look_due_s:
            return
        self._look_due_s = now_s + _LOOK_EVERY_S
        for event, until_s in list(self._late.values()):
            self._tell_picture(client, event)
            if now_s >= until_s:
                del self._late[event.id]
                self._pictures.pop(event.id, None)

    def _tell_picture(self, client: Client, event: Event) -> None:
        """Tell the event's picture, if it is another than before. No receipt is waited for: there will be others."""
        if self._media is None:
            return
        path = self._media / media_path(event.id, event.camera, "snapshot")
        try:
            with path.open("rb") as file:
                found = os.fstat(file.fileno())
                stamp = (found.st_mtime_ns, found.st_size)
                if stamp == self._pictures.get(event.id) or found.st_size > MAX_PICTURE_BYTES:
                    return
                picture = file.read(MAX_PICTURE_BYTES)
        except OSError:
            return  # it was removed for want of room
        if picture:  # an empty message would take back the one before
            topic = frigate.snapshot_topic(self._options.topic_prefix, event.camera, event.label)
            client.publish(topic, picture, retain=True)
            self._pictures[event.id] = stamp

    def _introduce(self, client: Client, camera: str, label: str) -> None:
        if self._options.discovery_prefix:
            prefix, own = self._options.discovery_prefix, self._options.topic_prefix
            found = frigate.discovery(prefix, own, camera, label, has_pictures=self._options.snapshots)
            for topic, payload in found.items():
                client.publish(topic, payload, qos=1, retain=True)
        if not self._options.snapshots:
            client.publish(frigate.snapshot_topic(self._options.topic_prefix, camera, label), b"", retain=True)

    def _is_ours(self, topics: Topics) -> bool:
        """Whether we would tell this now."""
        options = self._options
        return (
            (topics.topic_prefix, topics.discovery_prefix) == (options.topic_prefix, options.discovery_prefix)
            and topics.camera in options.cameras
            and topics.label in options.expected.get(topics.camera, (topics.label,))
        )

    def _take_back(self, client: Client) -> None:
        """Let the broker keep nothing of what we tell no more: what it has acknowledged next comes after this."""
        for topics in self._announced.topics - self._told() if self._announced else ():
            for topic in topics.retained():
                client.publish(topic, b"", qos=1, retain=True)

    def _remember(self) -> None:
        if self._announced is not None:
            self._announced.keep(self._told())

    def _told(self) -> frozenset[Topics]:
        prefixes = self._options.topic_prefix, self._options.discovery_prefix
        return frozenset(Topics(*prefixes, *pair) for pair in self._there)

    def _turn(self, client: Client, until_s: float) -> None:
        """Send and receive for a moment. Raises ``LaterError`` when the connection is lost, or it is too late."""
        code = client.loop(_SLICE_S)
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS and not (self._answer and self._answer.is_failure):
            raise self._failed(f"{self._options.host}: connection lost")
        if self._is_interrupted or time.monotonic() >= until_s:
            raise self._failed(f"{self._options.host}: no answer within {self._options.timeout_s:g} s")

    def _failed(self, cause: str) -> LaterError:
        self._drop()
        self._failures += 1
        self._retry_s = time.monotonic() + _BACKOFF.delay_s(self._failures, random.random())
        return LaterError(cause)

    def _drop(self) -> None:
        """Let go of the connection without a word, as if we had died: the broker tells our last will."""
        client, self._client = self._client, None
        self._pictures.clear()
        connection = client.socket() if client is not None else None
        if connection is not None:
            connection.close()

    def _topic(self, rest: str) -> str:
        return f"{self._options.topic_prefix}/{rest}"
