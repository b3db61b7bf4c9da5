"""Basic and Digest authentication. Pure.

RFC 7617 (Basic), RFC 2617 and RFC 7616 (Digest, MD5, with and without `qop=auth`). Like most cameras the
server offers no `qop`; it accepts what a client then answers.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass, field
from enum import Enum
from hashlib import md5


class AuthScheme(Enum):
    """How a camera asks for its password; the value stands in the challenge."""

    BASIC = "Basic"
    DIGEST = "Digest"


class Verdict(Enum):
    """What an Authorization header is worth."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    STALE = "stale"  # a Digest answer to a nonce that is not ours (any more): ask again


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who may watch a camera. Its `repr` leaves the password out."""

    username: str
    password: str = field(repr=False)


# name=token or name="quoted string with \ before quotes and backslashes" (RFC 7235, 2.1)
_PARAMETER = re.compile(r'\s*([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^",\s]+))\s*(?:,|$)')


def challenge(scheme: AuthScheme, realm: str, nonce: str, *, is_stale: bool = False) -> str:
    """Value of WWW-Authenticate."""
    if scheme is AuthScheme.BASIC:
        return f'Basic realm="{realm}"'
    stale = ", stale=TRUE" if is_stale else ""
    return f'Digest realm="{realm}", nonce="{nonce}", algorithm=MD5{stale}'


def judge(
    scheme: AuthScheme, credentials: Credentials, authorization: str, *, method: str, realm: str, nonce: str
) -> Verdict:
    """Judges the value of an Authorization header.

    The URI inside a Digest answer is not compared with the request's (GStreamer signs the presentation's URL in
    requests for its tracks); see `digest_uri` for callers that want to know which camera was meant.
    """
    name, _, rest = authorization.strip().partition(" ")
    if name.lower() != scheme.value.lower():
        return Verdict.REFUSED
    if scheme is AuthScheme.BASIC:
        return _judge_basic(credentials, rest.strip())
    answer = _parameters(rest)
    if answer.get("username") != credentials.username or answer.get("realm") != realm:
        return Verdict.REFUSED
    if answer.get("algorithm", "MD5").upper() != "MD5":
        return Verdict.REFUSED
    if answer.get("nonce") != nonce:
        return Verdict.STALE
    expected = digest_response(credentials, realm, method, answer)
    is_right = hmac.compare_digest(expected.encode(), answer.get("response", "").lower().encode())
    return Verdict.ACCEPTED if is_right else Verdict.REFUSED


def digest_uri(authorization: str) -> str | None:
    """The URI that a Digest answer was computed for."""
    return _parameters(authorization.strip().partition(" ")[2]).get("uri")


def digest_response(credentials: Credentials, realm: str, method: str, answer: dict[str, str]) -> str:
    """The response a client must give (RFC 2617, 3.2.2.1), from its own nonce, uri, qop, nc and cnonce."""
    secret = _md5(f"{credentials.username}:{realm}:{credentials.password}")
    action = _md5(f"{method}:{answer.get('uri', '')}")
    middle = [answer.get("nonce", "")]
    if "qop" in answer:
        middle += [answer.get("nc", ""), answer.get("cnonce", ""), answer["qop"]]
    return _md5(":".join((secret, *middle, action)))


def _judge_basic(credentials: Credentials, encoded: str) -> Verdict:
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return Verdict.REFUSED
    wanted = f"{credentials.username}:{credentials.password}".encode()
    return Verdict.ACCEPTED if hmac.compare_digest(given, wanted) else Verdict.REFUSED


def _parameters(text: str) -> dict[str, str]:
    """Parameters of a challenge or answer, names in lower case; of text that is none, what can be read."""
    return {
        match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
        for match in _PARAMETER.finditer(text)
    }


def _md5(text: str) -> str:
    return md5(text.encode(), usedforsecurity=False).hexdigest()
