"""Who may ask for what over HTTP. Pure.

Two dangers come through a person's own browser, past any firewall: a page from elsewhere that sends orders here
(cross-site request forgery), and one whose name is made to point here so that it may read (DNS rebinding). The first is
told by `Sec-Fetch-Site` or `Origin`, the second by `Host`. Where others reach the address, whoever asks must know the
token.
"""

import hashlib
import hmac
import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from daemon.secrets import Secret

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110, section 9.2.1)."""
OPEN = frozenset({"/healthz"})
"""Says nothing but whether the loop turns, to whoever asks: a load balancer knows no token and no name."""
SIGN_IN = frozenset({"/login", "/page.css"})
"""What is shown to people who have yet to say the token."""
COOKIE = "mosaicd"
_HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]*)?", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of whoever asks."""

    names: frozenset[str]
    """Hosts by which it may be reached."""
    trusted: frozenset[str] = frozenset()
    """Those of them that the settings name: a proxy may stand there."""
    is_any_address: bool = False
    """It listens on all addresses of the machine, so each of them may be the host; an address cannot be rebound."""
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides. A header that is not there is None."""

    method: str
    path: str
    host: str | None = None
    origin: str | None = None
    fetch_site: str | None = None
    authorization: str | None = None
    session: str | None = None
    """The value of our cookie."""


@dataclass(frozen=True, slots=True)
class Denied:
    """Why not, and what can be done."""

    status: int
    why: str
    remedy: str


def make_access(address: str, hosts: Iterable[str] = (), token: Secret | None = None) -> Access:
    """Return what is asked on this address; ``hosts`` are names from the settings."""
    trusted = frozenset(hosts)
    is_any = address != "localhost" and ipaddress.ip_address(address).is_unspecified
    own = () if is_any or address == "localhost" else (str(ipaddress.ip_address(address)),)
    return Access(frozenset((*_LOOPBACK, *own)) | trusted, trusted, is_any, token)


def judge(access: Access, asked: Asked) -> Denied | None:
    """Return why the request is denied; None if it is not."""
    if asked.path in OPEN and asked.method in SAFE:
        return None
    if not _is_host_known(access, asked.host):
        remedy = "ask by its address, or name the host in the settings, under http.hosts"
        return Denied(421, "this host's name is not known here", remedy)
    if asked.method not in SAFE and not _is_same_origin(access, asked):
        return Denied(403, "a page from elsewhere may change nothing here", "order it on the daemon's own page")
    if access.token is None or asked.path in SIGN_IN or knows_token(access.token, asked):
        return None
    remedy = "send `Authorization: Bearer TOKEN`, the token that http.token names in the settings; people go to /login"
    return Denied(401, "a token is needed" if asked.authorization is None else "this is not the token", remedy)


def knows_token(token: Secret, asked: Asked) -> bool:
    """Whether the request carries the token, or the cookie that its knowledge earned. Takes the same time for each."""
    scheme, _, given = (asked.authorization or "").partition(" ")
    by_header = _are_same(given.strip(), token.reveal()) and scheme.lower() == "bearer"
    return by_header | _are_same(asked.session or "", session_of(token))


def is_token(token: Secret, given: str) -> bool:
    """Whether a person has typed the token."""
    return _are_same(given.strip(), token.reveal())


def session_of(token: Secret) -> str:
    """Return the cookie's value: it tells nothing of the token, and another token makes another."""
    return hmac.new(token.reveal().encode(), b"mosaicd session", hashlib.sha256).hexdigest()


def _are_same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), wanted.encode())


def _is_host_known(access: Access, host: str | None) -> bool:
    name = _name(host or "")
    return name in access.names or (access.is_any_address and _is_address(name))


def _is_same_origin(access: Access, asked: Asked) -> bool:
    """By what browsers say of it, and they always do; other programs say nothing, and send no cookie unasked."""
    if asked.fetch_site is not None:
        return asked.fetch_site in ("same-origin", "none")
    if asked.origin is None:
        return True
    scheme, _, origin = asked.origin.lower().partition("://")
    # A proxy may have put another host in place of its own; then the port is its scheme's.
    return scheme in ("http", "https") and (origin == (asked.host or "").lower() or origin in access.trusted)


def _name(host: str) -> str:
    """Return a host without its port, in the form in which names are kept; empty for one that is none."""
    found = _HOST.fullmatch(host.lower())
    name = found["address"] or found["name"] if found else ""
    return str(ipaddress.ip_address(name)) if _is_address(name) else name.removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
