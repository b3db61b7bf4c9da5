"""What a simulated camera is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.auth import AuthScheme, Credentials
from simulator.faults import Fault
from simulator.footage import Footage


@dataclass(frozen=True, slots=True)
class CameraSpec:
    """One camera.

    Attributes:
        name: what it is called in the roster and in `set_fault`.
        footage: what it shows; cameras may share one.
        path: its URL's path (and query) without the leading slash; the name, if empty.
        start_offset_s: where in the footage its time starts (snapped back to a key frame).
        username: who may watch; None lets anybody.
        password: the password, never shown by `repr`.
        auth: how the password is asked for.
        fault: what is wrong with it from the start.
        own_port: it has a TCP port of its own and is at no other, so that it can refuse connections.
    """

    name: str
    footage: Footage = field(repr=False)
    path: str = ""
    start_offset_s: float = 0.0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    auth: AuthScheme = AuthScheme.DIGEST
    fault: Fault | None = None
    own_port: bool = False

    @property
    def url_path(self) -> str:
        """The path under which it is served, without slashes around it."""
        return (self.path or self.name).strip("/")

    @property
    def credentials(self) -> Credentials | None:
        """Who may watch; None for anybody."""
        return None if self.username is None else Credentials(self.username, self.password or "")
