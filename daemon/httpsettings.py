"""The `http` block of the settings, and the token that it names. Must not know requests. `find_token` reads a file."""

import ipaddress
import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from daemon.fieldtypes import NamedSecret, Strict, fault
from daemon.secrets import Expanded, Secret, SecretFault, SecretSources, expand

TOKEN_CHARS = 16
_TOKEN = re.compile(rf"[A-Za-z0-9._~+/=-]{{{TOKEN_CHARS},}}", re.ASCII)
"""What a Bearer token may be made of (RFC 6750, section 2.1)."""
_HOST = re.compile(r"(?!-)[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*", re.ASCII)


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches it. Raises ValueError for one that is no IP address, nor localhost."""
    return address == "localhost" or ipaddress.ip_address(address).is_loopback


def _address(value: str) -> str:
    try:
        is_loopback(value)
    except ValueError:
        raise fault("should be an IP address") from None
    return value


def _host(value: str) -> str:
    name = value.lower()
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        if _HOST.fullmatch(name):
            return name
        message = "should be a host's name or IP address, such as cams.example.org"
        raise fault(message, "without scheme, port and path") from None


def _hosts(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class Http(Strict):
    """Metrics, API and live page over HTTP."""

    address: Annotated[str, AfterValidator(_address)] = Field(
        default="127.0.0.1", description="IP address to listen on; one that others reach needs a token."
    )
    port: int = Field(default=9109, ge=0, le=65535, description="TCP port; 0 takes any free one.")
    token: NamedSecret | None = Field(
        default=None,
        description="${NAME} of the secret that whoever asks must know; null is nobody, on a loopback address only.",
    )
    hosts: Annotated[tuple[Annotated[str, AfterValidator(_host)], ...], BeforeValidator(_hosts)] = Field(
        default=(), description="Names by which it is reached besides its address: of this machine, or of a proxy."
    )

    @model_validator(mode="after")
    def _guarded(self) -> "Http":
        if self.token is None and not is_loopback(self.address):
            message = "whoever reaches this address could read and change all: a token is needed"
            remedy = (
                "token: ${HTTP_TOKEN}, and `openssl rand -hex 32` in the file HTTP_TOKEN in secrets_dir; or 127.0.0.1"
            )
            raise fault(message, remedy, ("address",))
        return self


def find_token(http: Http, sources: SecretSources) -> Expanded:
    """Return the token that is named; a secret of None, without faults, if none is."""
    if http.token is None:
        return Expanded(None)
    found = expand(Secret(http.token), sources)
    if found.secret is not None and not _TOKEN.fullmatch(found.secret.reveal()):
        message = f"{http.token} has fewer than {TOKEN_CHARS} characters, or others than letters, digits and -._~+/="
        return Expanded(None, (SecretFault(message, "`openssl rand -hex 32` makes one"),))
    return found
