"""A reader: the thread of one camera. Owns its source, backoff, state and stop; knows nothing of RTSP.

The newest tile and the state are frozen values, replaced whole by the reader's thread and read by others.
"""

import random
import threading
import time
from dataclasses import dataclass
from math import ceil

import av.error
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from capture import camerastate
from capture.camerastate import CameraLife, Condition
from capture.layout import letterbox
from capture.messages import CameraCounts, CameraReport, CameraSpec, Reason
from capture.sampler import Sampler
from capture.slot import Pixels
from capture.source import Frame, SourceError, SourceOptions, Tally, read_frames


@dataclass(frozen=True, slots=True)
class Tile:
    """The picture of one camera, scaled to its place in the mosaic."""

    number: int
    """Running number of this reader's tiles, from 1."""
    pixels: Pixels
    """uint8 RGB (h, w, 3), the letterbox's content only. Do not write."""
    source_wh: tuple[int, int]
    pts_s: float
    captured_at: float
    captured_mono_s: float


class CameraReader:
    """One camera's thread: connect, read, scale what is due, wait after a failure, again."""

    def __init__(self, spec: CameraSpec, options: SourceOptions, tile_wh: tuple[int, int], sampler: Sampler) -> None:
        self.spec = spec
        self.newest: Tile | None = None
        self._options = options
        self._tile_wh = tile_wh
        self._sampler = sampler
        self._tally = Tally()
        self._skipped_by_rate = 0
        self._failures: dict[Reason, int] = {}
        self._life = CameraLife()
        self._last_frame = (0.0, 0.0)
        """Monotonic and wall clock of the newest frame."""
        self._source_wh = (0, 0)
        self._stop = threading.Event()
        self._reformatter = VideoReformatter()
        self._thread = threading.Thread(target=self._run, name=f"reader {spec.name}")

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end; it does at the next packet, or when its read times out."""
        self._stop.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread; return whether it has ended."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def condition(self, now_s: float, stale_s: float) -> Condition:
        """Return what a person should be told of this camera now."""
        return camerastate.condition(self._life, self._last_frame[0], now_s, stale_s)

    def report(self, now_s: float, stale_s: float, superseded: int) -> CameraReport:
        """Return this camera's statistics; ``superseded`` of its tiles came to no canvas."""
        condition = self.condition(now_s, stale_s)
        tally = self._tally
        return CameraReport(
            camera=self.spec.name,
            state=condition.state,
            reason=condition.reason,
            counts=CameraCounts(
                connects=tally.connects,
                packets=tally.packets,
                bytes=tally.bytes,
                frames=tally.frames,
                rate=self._skipped_by_rate,
                superseded=superseded,
                damaged=tally.damaged,
            ),
            failures=dict(self._failures),
            source_wh=self._source_wh,
            last_frame_at=self._last_frame[1],
        )

    def _run(self) -> None:
        while not self._stop.is_set():
            self._life = camerastate.connect(self._life)
            is_connected = False
            delay_s = 0.0
            try:
                for frame in read_frames(self._options, self._tally, self._stop):
                    if not is_connected:
                        is_connected = True
                        self._tally.connects += 1
                    self._take(frame)
            except SourceError as error:
                self._failures[error.reason] = self._failures.get(error.reason, 0) + 1
                self._life = camerastate.fail(self._life, error.reason, error.detail)
                # Jitter only spreads reconnects: no secret depends on it.
                delay_s = camerastate.retry_delay_s(self._life, random.random())
            # Not while the error lives: its traceback holds the decoder with all its pictures.
            self._stop.wait(delay_s)
        self._life = camerastate.stop(self._life)

    def _take(self, frame: Frame) -> None:
        self._last_frame = (frame.captured_mono_s, frame.captured_at)
        self._life = camerastate.frame(self._life, frame.captured_mono_s)
        if not self._sampler.is_due(time.monotonic()):
            self._skipped_by_rate += 1
            return
        picture = frame.picture
        self._source_wh = (picture.width, picture.height)
        place = letterbox(self._source_wh, self._tile_wh)
        try:
            # AREA: every source pixel counts, so small objects survive the reduction. One thread: many readers.
            scaled = self._reformatter.reformat(
                picture, place.w, place.h, format="rgb24", interpolation=Interpolation.AREA, threads=1
            )
        except (av.error.FFmpegError, ValueError) as error:
            raise SourceError(Reason.NOT_VIDEO, f"cannot convert from {picture.format.name}") from error
        plane = scaled.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(place.h, plane.line_size)
        self.newest = Tile(
            number=self.newest.number + 1 if self.newest else 1,
            pixels=rows[:, : place.w * 3].reshape(place.h, place.w, 3),
            source_wh=self._source_wh,
            pts_s=frame.pts_s,
            captured_at=frame.captured_at,
            captured_mono_s=frame.captured_mono_s,
        )


def sampler_for(spec: CameraSpec, mosaic_fps: float, phase_s: float) -> Sampler:
    """Return the sampler of a camera: a whole number of its mosaic's ticks apart, at most ``spec.fps`` a second."""
    every = max(1, ceil(mosaic_fps / spec.fps - 1e-9))
    return Sampler(every / mosaic_fps, phase_s)
