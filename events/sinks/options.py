"""Who is told of events, and how; and what can be judged of that without asking anybody. Pure.

What is secret is in no repr, and in no error.
"""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from events.words import Kind

PORTS = {"http": 80, "https": 443}
_KINDS = frozenset(Kind)
_HOST = re.compile(r"(?!.{254})[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*\.?")
_LEVEL = re.compile(r"[^+#/\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class MqttOptions:
    """Which broker, and how it is told."""

    host: str
    port: int = 1883
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""
    client_id: str = ""
    """Empty: the broker gives one."""
    name: str = "mqtt"
    topic_prefix: str = "mosaicd"
    discovery_prefix: str = "homeassistant"
    """Empty: Home Assistant is not told what there is."""
    snapshots: bool = True
    """Pictures are told, too."""
    cameras: frozenset[str] = frozenset()
    """All that there are: what was told of others is taken back."""
    expected: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """For cameras whose labels are known, those: their counts are told from the start, others' once they were seen."""
    timeout_s: float = 10.0
    """For a connection, and for the receipt of a message."""
    keepalive_s: int = 30
    """The broker says ``offline`` for us when it has not heard of us for half as long again."""


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Who is told, and of what."""

    url: str = field(repr=False)
    """``http`` or ``https``; a user name and password in it are sent as basic authentication."""
    secret: str = field(default="", repr=False)
    """Signs each request; nothing is signed without."""
    name: str = "webhook"
    kinds: frozenset[Kind] = _KINDS
    """Of other changes nothing is told."""
    timeout_s: float = 10.0
    """For a whole exchange, whatever the other side does."""
    ca_file: str | None = None
    """Certificates to trust instead of the system's."""


def is_host(text: str) -> bool:
    """Whether this is a host's name or IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST.fullmatch(text) is not None
    return True


def is_topic_prefix(text: str) -> bool:
    """Whether topics can begin with this: levels without wildcards (MQTT 3.1.1, section 4.7), blanks, and the
    ``$`` of a broker's own topics."""
    return not text.startswith("$") and all(_LEVEL.fullmatch(each) for each in text.split("/"))


def split_url(url: str) -> SplitResult:
    """Return the parts of a web server's url. Raises ``ValueError``, which says nothing of it."""
    try:
        found = urlsplit(url)
        is_good = url.isprintable() and found.scheme in PORTS and is_host(found.hostname or "") and found.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise ValueError("should be http:// or https:// with a host, and perhaps a port and a path")
    return found
