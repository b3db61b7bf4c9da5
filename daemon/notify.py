"""Tells systemd how the daemon is: ready, status, watchdog, stopping (sd_notify(3)).

Owns nothing but the choice between telling and silence. Must not know what the daemon does. Everything here is for the
supervisor's thread.
"""

import importlib
import logging
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from daemon.logs import fields

log = logging.getLogger(__name__)


class NotifyError(Exception):
    """systemd waits for word from us, and what it says about that makes no sense."""


class Notifier(Protocol):
    """What the supervisor tells whoever started it. None of these raises."""

    watchdog_s: float | None
    """Word is expected at least this often; None where nobody watches. Feed it at half of that."""

    def starting(self, status: str, within_s: float) -> None:
        """Say what start-up is at, and that it may take so long from now on."""

    def ready(self, status: str) -> None:
        """Say that loop and HTTP are up."""

    def reloading(self, now_s: float) -> None:
        """Say that other cameras are taken on; :meth:`ready` says that it is done. ``now_s`` is monotonic."""

    def status(self, text: str) -> None:
        """Say in one line how things are (``systemctl status`` shows it)."""

    def watchdog(self) -> None:
        """Say that the loop turns."""

    def stopping(self, within_s: float) -> None:
        """Say that the end has begun, and that it may take so long from now on."""


class Silence:
    """For a daemon that systemd did not start."""

    watchdog_s: float | None = None

    def starting(self, status: str, within_s: float) -> None:
        """Do nothing."""

    def ready(self, status: str) -> None:
        """Do nothing."""

    def reloading(self, now_s: float) -> None:
        """Do nothing."""

    def status(self, text: str) -> None:
        """Do nothing."""

    def watchdog(self) -> None:
        """Do nothing."""

    def stopping(self, within_s: float) -> None:
        """Do nothing."""


class Systemd:
    """Speaks to systemd."""

    def __init__(self, send: Callable[[str], object], watchdog_s: float | None) -> None:
        self._tell = send
        self._is_failing = False
        self.watchdog_s = watchdog_s

    def starting(self, status: str, within_s: float) -> None:
        """Say what start-up is at, and that it may take so long from now on."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(within_s * 1e6)}\nSTATUS={_one_line(status)}")

    def ready(self, status: str) -> None:
        """Say that loop and HTTP are up."""
        self._send(f"READY=1\nSTATUS={_one_line(status)}")

    def reloading(self, now_s: float) -> None:
        """Say that other cameras are taken on."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(now_s * 1e6)}")

    def status(self, text: str) -> None:
        """Say in one line how things are."""
        self._send(f"STATUS={_one_line(text)}")

    def watchdog(self) -> None:
        """Say that the loop turns."""
        self._send("WATCHDOG=1")

    def stopping(self, within_s: float) -> None:
        """Say that the end has begun, and that it may take so long: longer than ``TimeoutStopSec=``, if need be."""
        self._send(f"STOPPING=1\nEXTEND_TIMEOUT_USEC={int(within_s * 1e6)}\nSTATUS=stopping")

    def _send(self, text: str) -> None:
        try:
            self._tell(text)
        except OSError as error:
            if not self._is_failing:
                log.warning("cannot notify systemd", extra=fields(reason=error))
            self._is_failing = True
        else:
            self._is_failing = False


class Herald:
    """What systemd is told by a supervisor's loop: READY once, the status when it changes, and that the loop turns."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._status: str | None = None
        self._fed_s = 0.0

    def tell(self, status: str) -> None:
        """Say how things are; the first time this makes the service ready."""
        if self._status is None:
            self._notifier.ready(status)
        elif status != self._status:
            self._notifier.status(status)
        self._status = status

    def feed(self, now_s: float) -> None:
        """Feed the watchdog, if there is one and it is time."""
        period_s = self._notifier.watchdog_s
        if period_s is not None and now_s - self._fed_s >= period_s / 3:
            self._fed_s = now_s
            self._notifier.watchdog()

    def reloading(self, now_s: float) -> None:
        """Say that another roster is being applied."""
        self._notifier.reloading(now_s)

    def reloaded(self) -> None:
        """Say that it has been."""
        self._notifier.ready(self._status or "")

    def stopping(self, within_s: float) -> None:
        """Say that the end begins, and how long it may take."""
        self._notifier.stopping(within_s)


def open_notifier(environ: Mapping[str, str], pid: int, library: str = "systemd.daemon") -> Notifier:
    """Choose by what systemd put into the environment; ``pid`` is this process's.

    Where the library (systemd-python) is not installed, the protocol's one datagram is sent without it: a unit that
    never becomes ready would be killed and restarted without a reason in sight. Raises :class:`NotifyError` if the
    variables make no sense.
    """
    address = environ.get("NOTIFY_SOCKET")
    if not address:
        return Silence()
    send: Callable[[str], object]
    try:
        # It finds NOTIFY_SOCKET in the process's own environment.
        send = importlib.import_module(library).notify
    except (ImportError, AttributeError):
        send = partial(_send_datagram, address)
    return Systemd(send, _watchdog_s(environ, pid))


def _send_datagram(address: str, text: str) -> None:
    """Notify as sd_notify(3) does: one datagram; an address that begins with @ is an abstract one. Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(text.encode(), f"\0{address[1:]}" if address.startswith("@") else address)


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float | None:
    """The watchdog's period as sd_watchdog_enabled(3) has it: meant for us only where ``WATCHDOG_PID`` says so."""
    microseconds = environ.get("WATCHDOG_USEC")
    if not microseconds or environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    try:
        period_s = int(microseconds) / 1e6
    except ValueError as error:
        raise NotifyError(f"WATCHDOG_USEC is no number of microseconds: {microseconds!r}") from error
    return period_s if period_s > 0 else None


def _one_line(text: str) -> str:
    """Without line ends, behind which text from outside could say ``READY=1``, and without zero bytes."""
    return "".join(character if character.isprintable() else " " for character in text)
