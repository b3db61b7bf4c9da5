"""What becomes of cameras and children, told once for each change: in the log, and to whoever looks.

Cameras' own words are told only if they are of cameras as they are now, which the ledger knows.
"""

import logging
import time
from collections.abc import Iterable

from capture.messages import CameraNotice, CameraTransition
from capture.words import CameraState
from daemon.ledger import Ledger
from daemon.logs import fields
from daemon.recent import Recent, Transition
from daemon.statistics import DisabledCamera
from daemon.verdict import Cause

log = logging.getLogger(__name__)


class News:
    """Used by the supervisor's thread."""

    def __init__(self, recent: Recent, ledger: Ledger) -> None:
        self._recent = recent
        self._ledger = ledger

    def child_is_ready(self, kind: str, name: str, memory_mib: float, detail: str) -> None:
        """A child is up."""
        self._note(kind, name, "up")
        log.info("child ready", extra=fields(child=name, memory_mib=round(memory_mib), detail=detail))

    def child_has_ended(self, kind: str, name: str, cause: Cause | None) -> None:
        """A child has ended; None is one that was asked to. The crew has logged why."""
        self._note(kind, name, "down", cause or "asked")

    def camera_crashed(self, camera: str, child: str, hold_s: float) -> None:
        """A camera's decoder has crashed its process, and it is kept away for so long."""
        self._ledger.note_crash(camera)
        log.error("camera crashed its process", extra=fields(camera=camera, child=child, hold_s=round(hold_s)))

    def camera_changed(self, told: CameraTransition, now_s: float) -> None:
        """A camera is up, or down."""
        if not self._ledger.note_transition(told, now_s):
            return
        if told.state is CameraState.STREAMING:
            self._note("camera", told.camera, "up")
            log.info("camera up", extra=fields(camera=told.camera))
        else:
            self._note("camera", told.camera, "down", told.reason or "", told.detail)
            log.warning("camera down", extra=fields(camera=told.camera, reason=told.reason, detail=told.detail))

    def camera_noticed(self, told: CameraNotice) -> None:
        """Something is wrong with a camera's stream, or no longer is."""
        if self._ledger.is_current(told.camera, told.epoch):
            level = logging.INFO if told.is_over or told.flaw is None else logging.WARNING
            words = "camera flaw over" if told.is_over else "camera flaw" if told.flaw else "camera notice"
            log.log(level, words, extra=fields(camera=told.camera, flaw=told.flaw, detail=told.detail))

    def cameras_left(self, names: Iterable[str], disabled: Iterable[DisabledCamera]) -> None:
        """Cameras are read no more; the reloader has logged it."""
        why = {camera.name: camera.words for camera in disabled}
        for name in names:
            self._note("camera", name, "down", why.get(name, "removed"))

    def _note(self, kind: str, name: str, state: str, reason: str = "", detail: str = "") -> None:
        self._recent.note(Transition(time.time(), kind, name, state, reason, detail))
