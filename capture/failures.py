"""Why a source ended: one typed error, and how FFmpeg's and the system's errors become it.

Its text never holds the URL: FFmpeg's own errors carry it, password and all, in ``str(e)``, ``e.args`` and
``e.filename``, so they are neither shown nor chained: what is made here is raised outside of ``except``, or it would
keep them as its ``__context__``. Nor may the frame that raises an error keep it in a variable: error, traceback and
frame would hold each other, and with them a decoder and its pictures, until Python's collector finds them, which in a
process that makes few objects may take hours.
"""

import errno
import os

import av.error

from capture.words import Reason

_SENTENCES = {
    Reason.REFUSED: "connection refused: nobody listens there",
    Reason.UNREACHABLE: "host not found, or no route to it",
    Reason.TIMEOUT: "no answer within {timeout:g} s",
    Reason.UNAUTHORIZED: "user name or password refused",
    Reason.NOT_FOUND: "no such stream",
    Reason.NOT_VIDEO: "what answers is no video stream that can be decoded",
    Reason.HANG: "no packet for {timeout:g} s",
    Reason.ENDED: "the stream ended",
    Reason.BROKEN: "the stream could not be read on",
    Reason.CRASHED: "its stream has crashed the decoder more than once: kept away for {timeout:.0f} s",
    Reason.REDIRECTED: "it sends us to another address: write that one into the roster if it is right",
}


class SourceError(Exception):
    """Why a source ended."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def because(reason: Reason, timeout_s: float = 0.0) -> SourceError:
    """Return the error for a reason, in its usual words."""
    return SourceError(reason, _SENTENCES[reason].format(timeout=timeout_s))


def while_opening(error: Exception, took_s: float, timeout_s: float) -> SourceError:
    """Return why an attempt to open failed."""
    reason = Reason.NOT_VIDEO
    match error:
        case av.error.HTTPUnauthorizedError() | av.error.HTTPForbiddenError():
            reason = Reason.UNAUTHORIZED
        case av.error.HTTPNotFoundError() | FileNotFoundError() | IsADirectoryError() | NotADirectoryError():
            reason = Reason.NOT_FOUND
        case av.error.HTTPError() | av.error.HTTPClientError() | av.error.HTTPServerError():
            reason = Reason.BROKEN
        case ConnectionRefusedError():
            reason = Reason.REFUSED
        case TimeoutError() | av.error.ExitError():
            reason = Reason.TIMEOUT
        # FFmpeg reports silence while opening as invalid data; only the time it took tells.
        case av.error.InvalidDataError() if took_s >= 0.9 * timeout_s:
            reason = Reason.TIMEOUT
        case PermissionError():
            return SourceError(Reason.NOT_FOUND, "no permission to read it")
        case ConnectionError() | BrokenPipeError():
            reason = Reason.ENDED
        case OSError() if error.errno in (errno.EIO, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN):
            reason = Reason.UNREACHABLE
        case OSError() if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS):
            return SourceError(Reason.BROKEN, f"this machine: {os.strerror(error.errno)}")
    return because(reason, timeout_s)
