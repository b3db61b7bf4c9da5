"""A camera's url: which are accepted, and what of one may be shown. Pure.

Owns the allowlist of schemes and the splitting off of credentials, so that they end as secrets and in no message.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from capture.words import PORTS
from daemon.secrets import Secret


class UrlError(Exception):
    """Why a url is refused; holds nothing of the url but a scheme from a list of ours."""

    def __init__(self, message: str, remedy: str = "") -> None:
        self.message, self.remedy = message, remedy
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class CameraUrl:
    """A camera's url, taken apart. Its repr holds nothing secret."""

    base: str
    """`SCHEME://host:port` or `file:`."""
    rest: str = field(repr=False)
    """Path and query."""
    address: str
    target: tuple[str, str] = field(repr=False)
    """The same for all spellings of one place."""
    username: Secret | None = None
    password: Secret | None = None

    @property
    def has_credentials(self) -> bool:
        """Whether user name or password stood in the url."""
        return self.username is not None or self.password is not None

    @property
    def is_template(self) -> bool:
        """Whether the password is looked up elsewhere."""
        return self.password is not None and "${" in self.password.reveal()


NO_URL = CameraUrl("", "", "", ("", ""))
"""Stands where a url is wrong, so that the camera's secrets are looked up all the same."""

_NETWORK = PORTS.keys()
_OTHER_SCHEMES = frozenset({"rtspu", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp", "exec", "ffmpeg", "pipe", "concat"})
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9._-]{0,252})(?::([0-9]{1,5}))?", re.ASCII)
_BESIDE = "write the password as password: beside the url"


def parse_url(text: str) -> CameraUrl:
    """Splits a url by RFC 3986; raises UrlError. Whatever could be read in two ways is refused: what is taken for a
    host here may be half a password."""
    if not text.isprintable() or " " in text or "\\" in text:
        raise UrlError("a space, '\\' or control character in the url", "percent-encode it")
    scheme = text.partition(":")[0].lower()
    if scheme in _OTHER_SCHEMES:
        raise UrlError(f"{scheme} is not supported", "use rtsp, rtsps, http, https or file")
    if scheme not in {*_NETWORK, "file"}:
        raise UrlError("should begin with rtsp://, rtsps://, http://, https:// or file:/")
    try:
        parts = urlsplit(text)
    except ValueError:  # its message quotes the url
        raise UrlError("not a valid url", _BESIDE) from None
    if "#" in text:
        raise UrlError("a '#' would end the url", f"percent-encode it as %23, or {_BESIDE}")
    return _file(parts) if scheme == "file" else _network(parts)


def _network(parts: SplitResult) -> CameraUrl:
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    if "@" in rest:
        raise UrlError("an '@' after the host", f"percent-encode '/', '?' and '@', or {_BESIDE}")
    userinfo, _, host_port = parts.netloc.rpartition("@")
    match = _HOST.fullmatch(host_port)
    scheme = parts.scheme
    if match is None or not _is_host(match[1]) or not 1 <= int(match[2] or PORTS[scheme]) <= 65535:
        raise UrlError(f"should be {scheme}://host[:port]/path", _BESIDE if userinfo or ":" in host_port else "")
    name, colon, password = userinfo.partition(":")
    base = f"{scheme}://{host_port}"
    return CameraUrl(
        base=base,
        rest=rest,
        address=base,
        target=(f"{match[1].lower()}:{int(match[2] or PORTS[scheme])}", rest),
        username=_decoded(name) if name else None,
        password=_decoded(password) if colon else None,
    )


def _is_host(host: str) -> bool:
    if not host.startswith("["):
        return True
    try:
        return bool(ipaddress.IPv6Address(host[1:-1]))
    except ValueError:
        return False


def _decoded(text: str) -> Secret:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise UrlError("credentials in the url that are not percent-encoded UTF-8", _BESIDE) from None
    if not decoded.isprintable():
        raise UrlError("a control character in the url's credentials", _BESIDE)
    return Secret(decoded)


def _file(parts: SplitResult) -> CameraUrl:
    path = unquote(parts.path, errors="replace")
    if parts.netloc or not path.startswith("/") or path.startswith("//") or not path.isprintable():
        raise UrlError("should be file:/absolute/path")
    if parts.query not in {"", "loop=0", "loop=1"}:
        raise UrlError("a file has only the option ?loop=1")
    rest = parts.path + (f"?{parts.query}" if parts.query else "")
    return CameraUrl(base="file:", rest=rest, address=f"file:{parts.path}", target=("", rest))
