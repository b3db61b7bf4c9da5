"""A real Mosquitto that can be killed and started again on its port, and a subscriber that misses nothing meanwhile."""

import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.events.recipients import DEADLINE_S, wait_until

MOSQUITTO = shutil.which("mosquitto") or shutil.which("/usr/sbin/mosquitto")

# Sessions and what is queued for them are kept on the disk, so that a subscriber's tally is complete.
CONFIGURATION = """
listener {port} 127.0.0.1
user root
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_inflight_messages 0
{access}
"""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody has now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class Broker:
    """One broker; ``access`` is what its configuration says about who may come."""

    def __init__(self, folder: Path, access: str = "allow_anonymous true") -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir()
        text = CONFIGURATION.format(port=self.port, folder=folder, access=access)
        (folder / "mosquitto.conf").write_text(text)

    @property
    def is_running(self) -> bool:
        """Whether it was started and not ended since."""
        return self._process is not None

    def start(self) -> None:
        """Start it, and wait until it listens."""
        assert MOSQUITTO is not None
        log = (self._folder / "log").open("ab")
        with log:
            command = [MOSQUITTO, "-c", str(self._folder / "mosquitto.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_until(self._listens)

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1.0).close()
        except OSError:
            return False
        return True

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End it, without a word to anybody or (SIGTERM) in good order."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(DEADLINE_S)
            self._process = None

    def suspend(self) -> None:
        """Let it hang; :meth:`end` ends that, too."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


class Subscriber:
    """Gets every message of a topic once, even those that come while it or the broker is away."""

    def __init__(self, port: int, topic: str) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._port = port
        self._topic = topic
        self._client = Client(CallbackAPIVersion.VERSION2, f"test-{topic}", clean_session=False)
        self._client.on_message = self._received
        self._client.reconnect_delay_set(1, 1)
        self._is_ready = threading.Event()
        self._client.on_subscribe = lambda *_: self._is_ready.set()
        self._client.on_connect = lambda client, *_: client.subscribe(topic, qos=1)

    def __enter__(self) -> "Subscriber":
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self._is_ready.wait(DEADLINE_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _received(self, client: Client, userdata: object, message: MQTTMessage) -> None:
        self.messages.append((message.topic, message.payload))

    def latest(self, topic: str) -> bytes | None:
        """The last message of one topic."""
        return next((payload for each, payload in reversed(self.messages) if each == topic), None)

    def wait_for(self, topic: str, payload: bytes) -> None:
        """Wait until that is the last message of the topic."""
        until_s = time.monotonic() + DEADLINE_S
        while self.latest(topic) != payload:
            assert time.monotonic() < until_s, f"{topic}: {self.latest(topic)!r}, not {payload!r}"
            threading.Event().wait(0.02)
