"""Events as signed HTTP requests: ``POST`` of `events.words.document`, one a change.

The standard library's client on a socket of our own, since none of the larger ones bounds a whole exchange: a server
that sends a byte now and then would hold the thread for ever. A connection is used once. Redirects are not followed,
for the signed body would go wherever they point.

A request has these headers beside the usual ones::

    Mosaicd-Signature: t=1796004785,v1=HEX    HMAC-SHA256 by the secret over "1796004785." and the body
    Idempotency-Key: ID/REVISION              the same when it is told again

The url may hold a token, and is as secret as the secret: neither is in any message.
"""

import base64
import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, unquote

import msgspec

from events.outbox import Letter
from events.sinks.courier import LaterError, RefusedError
from events.sinks.options import PORTS, WebhookOptions, split_url
from events.words import document

MAX_ANSWER_BYTES = 4096
"""More of an answer's body is not read."""
_TEMPORARY = frozenset({408, 425, 429})
"""Of 4xx: those that say nothing against the request itself (RFC 9110, RFC 8470, RFC 6585)."""


class Webhook:
    """One address. ``clock`` is the wall clock."""

    def __init__(self, options: WebhookOptions, clock: Callable[[], float] = time.time) -> None:
        """Raises ``ValueError`` for what is no url of a web server, and ``OSError`` for a bad ``ca_file``."""
        self.name = options.name
        self._options = options
        self._clock = clock
        self._url = split_url(options.url)
        self._host = self._url.hostname or ""
        self._port = self._url.port or PORTS[self._url.scheme]
        path = quote(self._url.path or "/", safe="/%:@!$&'()*+,;=~")
        self._target = f"{path}?{quote(self._url.query, safe='/%:@!$&()*+,;=?~')}" if self._url.query else path
        is_tls = self._url.scheme == "https"
        self._tls = ssl.create_default_context(cafile=options.ca_file) if is_tls else None
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None

    def deliver(self, letter: Letter) -> None:
        """Post one change. Raises ``LaterError`` and ``RefusedError``."""
        if letter.event.kind not in self._options.kinds:
            return
        body = msgspec.json.encode(document(letter.event))
        try:
            with self._bounded() as is_late:
                status, retry_after = self._exchange(body, self._headers(letter, body), is_late)
        except HTTPException as error:
            raise LaterError(f"{self._host}: no proper answer ({type(error).__name__})") from error
        except TimeoutError as error:
            raise LaterError(f"{self._host}: no answer within {self._options.timeout_s:g} s") from error
        except OSError as error:
            raise LaterError(f"{self._host}: {error.strerror or type(error).__name__}") from error
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise RefusedError(f"{self._host}: {status}, redirects are not followed")
        if 400 <= status < 500 and status not in _TEMPORARY:
            raise RefusedError(f"{self._host}: {status}")
        raise LaterError(f"{self._host}: {status}", retry_after_s(retry_after, self._clock()))

    def idle(self, timeout_s: float) -> bool:
        """Nothing has to be done."""
        return False

    def interrupt(self) -> None:
        """Break off an exchange that is under way."""
        with self._lock:
            if self._socket is not None:
                with suppress(OSError):
                    socket.socket.shutdown(
                        self._socket, socket.SHUT_RDWR
                    )  # not TLS's own, which is not for two threads

    def close(self) -> None:
        """Nothing is open between two requests."""

    def _exchange(self, body: bytes, headers: dict[str, str], is_late: threading.Event) -> tuple[int, str | None]:
        """Send, and give the answer's status and its Retry-After; what comes behind them is of no importance."""
        connection = HTTPConnection(self._host, self._port)
        connection.sock = self._connected()
        connection.auto_open = 0
        try:
            connection.request("POST", self._target, body, headers)
            with closing(connection.getresponse()) as answer:
                if is_late.is_set():  # http.client takes the half of an answer for the whole
                    raise TimeoutError
                with suppress(OSError, HTTPException):
                    answer.read(MAX_ANSWER_BYTES)
                return answer.status, answer.headers.get("Retry-After")
        finally:
            with self._lock:
                self._socket = None
            connection.close()

    def _connected(self) -> socket.socket:
        plain = socket.create_connection((self._host, self._port), self._options.timeout_s)
        if self._tls is None:
            self._watch(plain)
            return plain
        secured = self._tls.wrap_socket(plain, server_hostname=self._host, do_handshake_on_connect=False)
        self._watch(secured)
        try:
            secured.do_handshake()
        except BaseException:
            secured.close()
            raise
        return secured

    def _watch(self, opened: socket.socket) -> None:
        with self._lock:
            self._socket = opened

    @contextmanager
    def _bounded(self) -> Iterator[threading.Event]:
        """Break off what takes too long in all, and say so: a socket's own timeout begins anew with each byte."""
        is_late = threading.Event()

        def break_off() -> None:
            is_late.set()
            self.interrupt()

        timer = threading.Timer(self._options.timeout_s, break_off)
        timer.start()
        try:
            yield is_late
        except (OSError, HTTPException) as error:
            if is_late.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()
            timer.join()
            with self._lock:
                self._socket = None

    def _headers(self, letter: Letter, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "mosaicd",
            "Connection": "close",
            "Idempotency-Key": f"{letter.event.id}/{letter.event.revision}",
        }
        if self._options.secret:
            headers["Mosaicd-Signature"] = signature(self._options.secret, body, int(self._clock()))
        if self._url.username is not None:
            pair = f"{unquote(self._url.username)}:{unquote(self._url.password or '')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return headers


def signature(secret: str, body: bytes, at: int) -> str:
    """Return the header's value: receivers refuse what is signed too long ago, so that nobody sends it again."""
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def retry_after_s(text: str | None, now: float) -> float:
    """Return what a Retry-After says (RFC 9110, section 10.2.3: seconds or a date); 0 for none, and for nonsense."""
    if text is None:
        return 0.0
    if text.strip().isascii() and text.strip().isdigit():
        return float(text.strip()[:9])
    with suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    return 0.0
