"""Whom the settings name to be told of events, secrets resolved.

Must not know how anybody is told. Reads files: secrets, and certificates to trust.
"""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon.eventsettings import Events
from daemon.problems import KeyPath, dotted
from daemon.secrets import Secret, SecretSources, expand
from daemon.sinksettings import MqttBroker, WebHook
from events.sinks.options import MqttOptions, WebhookOptions, split_url
from events.words import Kind

MQTT_PORTS = {False: 1883, True: 8883}
"""By whether there is TLS."""


@dataclass(frozen=True, slots=True)
class RecipientFault:
    """What is wrong with one key. Holds no secret."""

    path: KeyPath
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{dotted(self.path)}: {self.message}" + (f" ({self.remedy})" if self.remedy else "")


@dataclass(frozen=True, slots=True)
class Recipients:
    """Who is told, secrets resolved; or what hinders that."""

    mqtt: MqttOptions | None = None
    webhooks: tuple[WebhookOptions, ...] = ()
    faults: tuple[RecipientFault, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """For the log."""
        return (*([self.mqtt.name] if self.mqtt else []), *(each.name for each in self.webhooks))


NOBODY = Recipients()


def find_recipients(events: Events, sources: SecretSources) -> Recipients:
    """Return whom the settings name, all that is well of them, and what is not; nobody where no events are wanted."""
    if not events.enabled:
        return NOBODY
    faults: list[RecipientFault] = []
    broker = _broker(events.mqtt, sources, faults) if events.mqtt is not None else None
    hooks = tuple(_hook(name, block, sources, faults) for name, block in events.webhooks.items())
    return Recipients(broker, tuple(hook for hook in hooks if hook is not None), tuple(faults))


def _broker(block: MqttBroker, sources: SecretSources, faults: list[RecipientFault]) -> MqttOptions:
    at = ("events", "mqtt")
    faults += _file_faults((*at, "ca_file"), block.ca_file)
    return MqttOptions(
        host=block.host,
        port=block.port or MQTT_PORTS[block.tls],
        username=_secret((*at, "username"), block.username, sources, faults),
        password=_secret((*at, "password"), block.password, sources, faults),
        tls=block.tls,
        ca_file=str(block.ca_file) if block.ca_file else None,
        client_id=block.client_id,
        topic_prefix=block.topic_prefix,
        discovery_prefix=block.discovery_prefix,
        snapshots=block.snapshots,
    )


def _hook(name: str, block: WebHook, sources: SecretSources, faults: list[RecipientFault]) -> WebhookOptions | None:
    at = ("events", "webhooks", name)
    faults += _file_faults((*at, "ca_file"), block.ca_file)
    secret = _secret((*at, "secret"), block.secret, sources, faults)
    url = _secret((*at, "url"), block.url.reveal(), sources, faults)
    if url is None:
        return None
    try:
        scheme = split_url(url).scheme
    except ValueError as error:
        faults.append(RecipientFault((*at, "url"), str(error)))
        return None
    if block.ca_file is not None and scheme != "https":
        faults.append(RecipientFault((*at, "ca_file"), "certificates are looked at with https only"))
    return WebhookOptions(
        url=url,
        secret=secret or "",
        name=f"webhook:{name}",
        kinds=frozenset(map(Kind, block.kinds)),
        timeout_s=block.timeout_s,
        ca_file=str(block.ca_file) if block.ca_file else None,
    )


def _secret(path: KeyPath, text: str | None, sources: SecretSources, faults: list[RecipientFault]) -> str | None:
    if text is None:
        return None
    found = expand(Secret(text), sources)
    faults += [RecipientFault(path, each.message, each.remedy) for each in found.faults]
    return found.secret.reveal() if found.secret else None


def _file_faults(path: KeyPath, file: Path | None) -> Iterator[RecipientFault]:
    if file is None:
        return
    if file.exists() and not file.is_file():
        yield RecipientFault(path, f"not a file: {file}")
        return
    try:
        ssl.create_default_context(cafile=file)
    except ssl.SSLError:
        yield RecipientFault(path, f"holds no certificate: {file}", "it should be a PEM file")
    except OSError as error:
        yield RecipientFault(path, f"{file} cannot be read: {error.strerror}")
