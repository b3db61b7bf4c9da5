"""The measuring process: loads one engine and answers what it is asked. ``python -P -m inference.evaluation.child``.

One a combination: frameworks keep threads, limits and memory a process. Orders come on stdin and answers go to stdout,
one JSON document a line (`messages`); it ends when its stdin does.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import numpy as np
import numpy.typing as npt

from capture.layout import GREY, letterbox
from inference.decode import Floats
from inference.engine import EngineOptions, MemoryUse, ModelFiles, status_mib
from inference.evaluation.arrangement import Arrangement, Image, Placed, compose, credit, mosaics_of
from inference.evaluation.messages import (
    PREDICT,
    Done,
    Failed,
    Load,
    Loaded,
    Look,
    Multiplied,
    Multiply,
    Reply,
    Request,
    Seen,
    Time,
    Timed,
    Work,
    Worked,
)
from inference.evaluation.pictures import read_photo, read_video
from inference.export import PR_SET_PDEATHSIG
from inference.loading import Backend, Detector, load_backend
from inference.model import inspect_model

WARM_UPS: Final = 3
"""Calls before any is measured: frameworks trace, tune and allocate in the first ones."""
_NOISE_SEED: Final = 1


class Stopwatch:
    """A backend that measures the one it wraps."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.last_s = 0.0
        """How long the last call took."""

    def run(self, images: npt.NDArray[np.uint8]) -> Sequence[Floats]:
        began = time.perf_counter()
        maps = self._backend.run(images)
        self.last_s = time.perf_counter() - began
        return maps

    def memory_mib(self) -> MemoryUse:
        return self._backend.memory_mib()


class Measured:
    """A loaded engine and what is asked of it."""

    def __init__(self, order: Load) -> None:
        files = ModelFiles(Path(order.cfg), Path(order.weights), Path(order.names))
        options = EngineOptions(
            input_wh=order.input_wh,
            batch=order.batch,
            threads=order.threads,
            device=order.device,
            precision=order.precision,
            cache_dir=Path(order.cache_dir) if order.cache_dir else None,
            memory_mode=order.memory_mode,
            memory_limit_mib=order.memory_limit_mib,
            score_threshold=order.score_threshold,
            max_detections=order.max_detections,
        )
        network, self.labels = inspect_model(files, options.input_wh)
        self._stopwatch = Stopwatch(_backend(order.engine, files, options))
        self._detector = Detector(self._stopwatch, network.heads, self.labels, options)
        self._options = options
        width, height = options.input_wh
        for _ in range(WARM_UPS):
            self._detector.detect(np.full((options.batch, height, width, 3), GREY, np.uint8))

    def look(self, order: Look) -> Iterator[Seen]:
        """Each picture's detections, mosaic by mosaic."""
        arrangement = Arrangement(order.way, order.tile_wh, order.stretch)
        # Neighbours in a video share no mosaic, so all its pictures are held, each as large as its tile.
        frames = list(read_video(Path(order.video), order.frames, arrangement.place)) if order.video else []

        def placed(picture: int) -> Placed:
            return frames[picture] if order.video else read_photo(Path(order.photos[picture]), arrangement.place)

        for pictures in mosaics_of(len(frames) or len(order.photos)):
            together = [placed(picture) for picture in pictures]
            found = [item for images in compose(together, arrangement) for item in self._detector.detect(images)]
            for picture, item, credited in zip(pictures, together, credit(found, together, arrangement), strict=True):
                yield Seen(
                    picture=picture,
                    source_wh=item.source_wh,
                    xyxy=tuple(map(tuple, credited.found.xyxy.tolist())),
                    scores=tuple(credited.found.scores.tolist()),
                    class_ids=tuple(credited.found.class_ids.tolist()),
                    crosses=tuple(credited.crosses.tolist()),
                )

    def time(self, order: Time) -> Timed:
        """So many calls, one after the other."""
        inputs = self._inputs(order.photos)
        forward_s, postprocess_s = [], []
        for call in range(order.calls):
            images = inputs[call % len(inputs)]
            began = time.perf_counter()
            self._detector.detect(images)
            whole_s = time.perf_counter() - began
            forward_s.append(self._stopwatch.last_s)
            postprocess_s.append(whole_s - self._stopwatch.last_s)
        use = self._detector.memory_mib()
        return Timed(
            forward_s=tuple(forward_s),
            postprocess_s=tuple(postprocess_s),
            resident_mib=use.resident_mib,
            peak_mib=peak_mib(),
            device_mib=use.device_mib,
            device_peak_mib=use.device_peak_mib,
        )

    def work(self, order: Work) -> Worked:
        """Calls without pause until the window ends."""
        [images] = self._inputs(())
        call_s: list[float] = []
        is_late = time.monotonic() > order.from_s
        while (began_s := time.monotonic()) < order.until_s:
            self._detector.detect(images)
            ended_s = time.monotonic()
            if began_s >= order.from_s and ended_s <= order.until_s:
                call_s.append(ended_s - began_s)
        return Worked(tuple(call_s), is_late, peak_mib(), self._detector.memory_mib().device_peak_mib)

    def _inputs(self, photos: Sequence[str]) -> list[Image]:
        """Images to measure with, uint8 (batch, h, w, 3) each."""
        width, height = self._options.input_wh
        shape = (self._options.batch, height, width, 3)
        if not photos:
            return [np.random.default_rng(_NOISE_SEED).integers(0, 256, shape, np.uint8)]
        inputs = []
        for first in range(len(photos)):
            images = np.full(shape, GREY, np.uint8)
            for item in range(self._options.batch):
                photo = read_photo(
                    Path(photos[(first + item) % len(photos)]), lambda wh: letterbox(wh, (width, height))
                )
                images[item][letterbox(photo.source_wh, (width, height)).slices] = photo.pixels
            inputs.append(images)
        return inputs


def _backend(engine: str, files: ModelFiles, options: EngineOptions) -> Backend:
    """Raises EngineError."""
    if engine == PREDICT:
        from inference.evaluation.predict import load

        return load(files, options)
    return load_backend(engine, files, options)


def peak_mib(proc: Path = Path("/proc/self")) -> float:
    """The most resident memory that this process has had; `proc` is its folder in procfs (proc(5), VmHWM)."""
    return status_mib("VmHWM", proc)


def answer(order: Request, measured: Measured | None, tell: Callable[[Reply], None]) -> Measured | None:
    """Carry out one order; the engine that is loaded afterwards. Raises whatever goes wrong."""
    match order:
        case Load():
            began = time.perf_counter()
            measured = Measured(order)
            tell(Loaded(measured.labels, time.perf_counter() - began))
        case Look() if measured:
            for seen in measured.look(order):
                tell(seen)
            tell(Done())
        case Time() if measured:
            tell(measured.time(order))
        case Work() if measured:
            tell(measured.work(order))
        case Multiply():
            from inference.evaluation.multiply import operations_per_s

            tell(Multiplied(operations_per_s(order)))
        case _:
            raise ValueError("no model is loaded")
    return measured


def serve(orders: BinaryIO, answers: BinaryIO) -> int:
    """Answer until the orders end or one fails; the process's exit code."""

    def tell(reply: Reply) -> None:
        answers.write(msgspec.json.encode(reply) + b"\n")
        answers.flush()

    measured: Measured | None = None
    for line in orders:
        try:
            measured = answer(msgspec.json.decode(line, type=Request), measured, tell)
        except Exception as error:  # noqa: BLE001 - the top of the process: report and end
            tell(Failed(type(error).__name__, str(error)[:2000]))
            return 1
    return 0


def main() -> None:
    """Entry point."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    with ExitStack() as stack:
        answers = stack.enter_context(os.fdopen(os.dup(1), "wb"))
        os.dup2(2, 1)  # libraries print where they like
        code = serve(sys.stdin.buffer, answers)
    sys.stderr.flush()
    # At once: a framework's shutdown takes its time, and after an out-of-memory it is not to be trusted.
    os._exit(code)


if __name__ == "__main__":
    main()
