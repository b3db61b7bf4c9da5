"""RTSP status codes (RFC 2326, 7.1.1). Pure."""

from __future__ import annotations

from enum import Enum


class Status(Enum):
    """The status codes that the simulator sends."""

    OK = 200
    MOVED_TEMPORARILY = 302
    BAD_REQUEST = 400
    UNAUTHORIZED = 401
    NOT_FOUND = 404
    NOT_ACCEPTABLE = 406
    SESSION_NOT_FOUND = 454
    METHOD_NOT_VALID_IN_THIS_STATE = 455
    INVALID_RANGE = 457
    UNSUPPORTED_TRANSPORT = 461
    NOT_IMPLEMENTED = 501
    RTSP_VERSION_NOT_SUPPORTED = 505
    OPTION_NOT_SUPPORTED = 551

    @property
    def phrase(self) -> str:
        """Reason phrase, for people."""
        return "OK" if self is Status.OK else self.name.replace("_", " ").capitalize()
