"""Who is told of events: the `mqtt` and `webhooks` blocks of the settings. Pure."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from daemon.fieldtypes import AnyPath, NamedSecret, Strict, Switch, fault
from daemon.secrets import Secret
from events.sinks.options import is_host, is_topic_prefix, split_url

MAX_WEBHOOKS = 16
"""Each has a thread."""
_LITERAL_PASSWORD = re.compile(r"[^:]*:[^$]+", re.DOTALL)


def _host(value: str) -> str:
    if not is_host(value):
        raise fault("should be a host's name or IP address, such as broker.lan", "the port goes into port")
    return value


def _topic(value: str) -> str:
    if not is_topic_prefix(value):
        raise fault("should be the begin of a topic, such as site/mosaicd", "without +, #, blanks and empty levels")
    return value


def _topic_or_none(value: str) -> str:
    return value and _topic(value)


def _printable(value: str) -> str:
    if not value.isprintable():
        raise fault("should be printable characters")
    return value


def _url(value: Secret) -> Secret:
    """Judged here as far as it is written here."""
    text = value.reveal()
    if "$" not in text:
        try:
            split_url(text)
        except ValueError as error:
            raise fault(str(error)) from None
    user = text.partition("://")[2].partition("/")[0].rpartition("@")[0]
    if _LITERAL_PASSWORD.fullmatch(user):
        remedy = "write ${NAME} in its place; it belongs into a file of that name in secrets_dir"
        raise fault("a password does not belong here", remedy)
    return value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _some_kinds(value: tuple[str, ...]) -> tuple[str, ...]:
    if not value:
        raise fault("an empty list would tell nothing", "leave the key out for all changes")
    return value


Host = Annotated[str, AfterValidator(_host)]
Topic = Annotated[str, Field(max_length=200), AfterValidator(_topic)]
TopicOrNone = Annotated[str, Field(max_length=200), AfterValidator(_topic_or_none)]
Text = Annotated[str, AfterValidator(_printable)]
Url = Annotated[Secret, AfterValidator(_url)]
Kinds = Annotated[
    tuple[Literal["new", "update", "end"], ...],
    BeforeValidator(_tuple),
    AfterValidator(_some_kinds),
    WithJsonSchema({"type": "array", "items": {"enum": ["new", "update", "end"]}, "minItems": 1}),
]


class MqttBroker(Strict):
    """An MQTT broker, told in the form that Frigate's users know."""

    host: Host = Field(description="Name or IP address of the broker.")
    port: Annotated[int, Field(ge=1, le=65535)] | None = Field(
        default=None, description="TCP port; null is 1883, and 8883 with tls."
    )
    username: Annotated[Text, Field(min_length=1, max_length=256)] | None = Field(
        default=None, description="User name; may hold ${NAME}; null is none."
    )
    password: NamedSecret | None = Field(default=None, description="${NAME} of the secret; null is none.")
    tls: Switch = Field(default=False, description="Whether the connection is encrypted, and the broker known by TLS.")
    ca_file: AnyPath | None = Field(
        default=None, description="tls: PEM file of certificates to trust; null is the system's."
    )
    client_id: Annotated[Text, Field(max_length=128)] = Field(
        default="", description="Name of the connection; empty lets the broker choose."
    )
    topic_prefix: Topic = Field(default="mosaicd", description="What all topics begin with.")
    discovery_prefix: TopicOrNone = Field(
        default="homeassistant", description="Where Home Assistant looks for what there is; empty tells it nothing."
    )

    snapshots: Switch = Field(default=True, description="Whether pictures of events are published, too.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.password is not None and self.username is None:
            raise fault("there is a password, but no username", at=("password",))
        if self.ca_file is not None and not self.tls:
            raise fault("certificates are looked at with tls only", "tls: true", ("ca_file",))
        return self


class WebHook(Strict):
    """A web server that gets a POST request for each change of an event."""

    url: Url = Field(description="http:// or https://; may hold ${NAME}, or be one.")
    secret: NamedSecret | None = Field(
        default=None, description="${NAME} of the secret by which requests are signed; null signs nothing."
    )
    kinds: Kinds = Field(default=("new", "update", "end"), description="Changes that are told: new, update, end.")
    timeout_s: Annotated[float, Field(ge=0.1, le=300)] = Field(
        default=10.0, description="Longest time in seconds for a request and its answer."
    )
    ca_file: AnyPath | None = Field(
        default=None, description="https: PEM file of certificates to trust; null is the system's."
    )
