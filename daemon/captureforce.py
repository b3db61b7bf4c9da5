"""The capture processes together: which mosaics and cameras each has, had, or is kept from. Pure.

What one of them may speak of, and what a new generation is told to open. Knows no process, and sends nothing.
"""

from collections.abc import Iterable, Iterator

from msgspec import structs

from capture.messages import CameraNotice, CameraSpec, CameraTransition, CaptureReport, OpenMosaic
from daemon.blame import Quarantine, crashed_camera, holds_left
from daemon.child import FromAnyChild
from daemon.job import Job
from daemon.trust import UntrustworthyError


class CaptureForce:
    """The capture processes of one job. One thread uses it; times are monotonic."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._formerly: dict[str, set[str]] = {name: set() for name in job.captures}
        """Cameras and mosaics that the present generation has had, and may still have something to say of."""
        self._quarantine = Quarantine()
        self._held_until_s: dict[str, float] = {}
        """Cameras that are kept away, and until when."""

    def adopt(self, job: Job) -> None:
        """Go by this job from now on."""
        for name in self._formerly:
            self._formerly[name] |= self._cameras(name) | set(self.mosaics(name))
        self._job = job

    def mosaics(self, name: str) -> tuple[str, ...]:
        """Return what a process captures; nothing for one that is no capture process."""
        return self._job.captures[name][1] if name in self._job.captures else ()

    def openings(self, mosaics: Iterable[str], now_s: float) -> Iterator[OpenMosaic]:
        """Yield what a process is to be told of these mosaics."""
        held = holds_left(self._held_until_s, now_s)

        def held_back(spec: CameraSpec | None) -> CameraSpec | None:
            return structs.replace(spec, hold_s=held[spec.name]) if spec and spec.name in held else spec

        for mosaic in mosaics:
            opening = self._job.openings[mosaic]
            yield structs.replace(opening, cameras=tuple(map(held_back, opening.cameras)))

    def home(self, camera: str) -> tuple[str, int] | None:
        """Return which process has a camera, and in which epoch; None if none has."""
        for name in self._job.captures:
            for mosaic in self.mosaics(name):
                for spec in self._job.openings[mosaic].cameras:
                    if spec and spec.name == camera:
                        return name, spec.epoch
        return None

    def check_own(self, name: str, message: FromAnyChild) -> None:
        """Raise UntrustworthyError if a capture process speaks of what is not, and was not, its own."""
        cameras, mosaics = _named_in(message)
        if not cameras and not mosaics:
            return
        strange = (mosaics - set(self.mosaics(name))) | (cameras - self._cameras(name))
        if strange := strange - self._formerly[name]:
            raise UntrustworthyError(f"it reports {', '.join(sorted(strange))}, which it does not capture")

    def note_death(self, name: str) -> None:
        """Take note that a generation has ended: the next has never had anything else."""
        self._formerly[name].clear()

    def blame(self, name: str, stderr: tuple[str, ...], now_s: float, chance: float) -> tuple[str, float] | None:
        """Return the camera whose decoder crashed its process, and for how many seconds it is kept away.

        That is 0 if it was the first time. None if no camera did, or it cannot be told which.
        """
        camera = crashed_camera(stderr, self._cameras(name))
        if camera is None:
            return None
        hold_s = self._quarantine.note_crash(camera, now_s, chance)
        self._held_until_s[camera] = now_s + hold_s
        return camera, hold_s

    def _cameras(self, name: str) -> set[str]:
        openings = [self._job.openings[mosaic] for mosaic in self.mosaics(name)]
        return {camera.name for opening in openings for camera in opening.cameras if camera}


def _named_in(message: FromAnyChild) -> tuple[set[str], set[str]]:
    """The cameras and mosaics of which a capture process speaks."""
    match message:
        case CameraTransition() | CameraNotice():
            return {message.camera}, set()
        case CaptureReport():
            return {each.camera for each in message.cameras}, {each.mosaic for each in message.mosaics}
    return set(), set()
