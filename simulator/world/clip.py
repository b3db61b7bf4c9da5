"""A world as a file: H.264 in an MP4, and beside it the truths of every frame as JSON Lines. Shell: encodes, writes.

A clip that is there is whole: the truths are put in their place first, the MP4 last, both by renaming.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.video.stream import VideoStream

from simulator.errors import SimulatorError
from simulator.world.scene import mood_of
from simulator.world.truth import Truth
from simulator.world.world import World

VERSION = 1
"""Part of a clip's name. Raise it when the same seed comes to look different."""

GOP_S = 2.0
_BITS_PER_PIXEL_S = 1.7
"""Bits a second and pixel: 1.6 Mbit/s for 1280x720, as cameras on a small site are set to."""


class ClipError(SimulatorError):
    """A clip cannot be made, or its truths cannot be read."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """All that a clip depends on.

    Attributes:
        seed: the world's seed.
        size_wh: pixels; both even, as H.264 wants it.
        fps: frames a second, a whole number.
        duration_s: length of one round.
    """

    seed: int
    size_wh: tuple[int, int] = (640, 360)
    fps: int = 10
    duration_s: float = 20.0

    @property
    def title(self) -> str:
        """What the scene shows."""
        return mood_of(self.seed).title

    @property
    def bitrate_bps(self) -> int:
        """What the encoder aims at."""
        return max(200_000, int(self.size_wh[0] * self.size_wh[1] * _BITS_PER_PIXEL_S))

    @property
    def file_name(self) -> str:
        """A name that no other clip has."""
        words = self.title.replace(", ", "-")
        width, height = self.size_wh
        rate = f"{self.fps}fps-{self.duration_s:g}s-{self.bitrate_bps // 1000}k"
        return f"{words}-{self.seed}-{width}x{height}-{rate}-v{VERSION}.mp4"


def truths_beside(clip: Path) -> Path:
    """Where the truths of a clip are."""
    return clip.with_suffix(".truths.jsonl")


def render_clip(spec: ClipSpec, folder: Path, on_frame: Callable[[int], None] = lambda done: None) -> Path:
    """Renders a clip into the folder, or takes the one that is there.

    Args:
        spec: which.
        folder: made where it is missing.
        on_frame: hears how many frames are done; what it raises ends the rendering, and nothing is left.

    Raises:
        ClipError: the folder or the disk does not take it.
    """
    clip = folder / spec.file_name
    if clip.is_file() and truths_beside(clip).is_file():
        return clip
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".rendering-", dir=folder) as workshop:
            video, truths = Path(workshop) / "clip.mp4", Path(workshop) / "truths.jsonl"
            _render(spec, video, truths, on_frame)
            os.replace(truths, truths_beside(clip))
            os.replace(video, clip)
    except BrokenPipeError:
        raise  # whoever listened to the progress is gone: no fault of the disk
    except OSError as error:
        raise ClipError(f"cannot write {clip}: {error.strerror or error}; choose another --scenes-folder") from error
    return clip


def read_truths(clip: Path) -> list[tuple[Truth, ...]]:
    """What is true of each frame of a clip, by the frame's index.

    Raises:
        ClipError: no truths beside the clip, or they are no truths.
    """
    path = truths_beside(clip)
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        if [line["frame"] for line in lines] != list(range(len(lines))):
            raise ValueError("frames are missing")
        return [tuple(_truth(each) for each in line["truths"]) for line in lines]
    except OSError as error:
        raise ClipError(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ClipError(f"{path} holds no truths: {error}") from error


def _render(spec: ClipSpec, video: Path, truths: Path, on_frame: Callable[[int], None]) -> None:
    world = World(spec.seed, spec.size_wh, spec.fps, spec.duration_s)
    with truths.open("w", encoding="utf-8") as lines, av.open(str(video), "w") as container:
        stream = _open_stream(container, spec)
        for index in range(world.frames):
            picture = world.picture(index)
            frame = av.VideoFrame.from_ndarray(picture.rgb, format="rgb24").reformat(format="yuv420p")
            frame.pts = index
            frame.time_base = Fraction(1, spec.fps)
            container.mux(stream.encode(frame))
            lines.write(_line(index, picture.truths))
            on_frame(index + 1)
        container.mux(stream.encode(None))


def _open_stream(container: av.container.OutputContainer, spec: ClipSpec) -> VideoStream:
    gop = round(GOP_S * spec.fps)
    rate = f"vbv-maxrate={spec.bitrate_bps * 3 // 2000}:vbv-bufsize={spec.bitrate_bps * 2 // 1000}"
    options = {
        "preset": "veryfast",
        "x264-params": f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:threads=1:{rate}",
    }
    stream = container.add_stream("libx264", rate=spec.fps, options=options)
    stream.width, stream.height = spec.size_wh
    stream.pix_fmt = "yuv420p"
    stream.bit_rate = spec.bitrate_bps
    stream.time_base = Fraction(1, spec.fps)
    return stream


def _line(index: int, truths: tuple[Truth, ...]) -> str:
    objects = [
        {
            "label": truth.label,
            "xyxy": [round(value, 2) for value in truth.xyxy],
            "visible_ratio": round(truth.visible_ratio, 4),
            "track": truth.track,
        }
        for truth in truths
    ]
    return json.dumps({"frame": index, "truths": objects}) + "\n"


def _truth(given: dict[str, object]) -> Truth:
    x0, y0, x1, y1 = (float(value) for value in _numbers(given["xyxy"]))
    (visible, track) = _numbers([given["visible_ratio"], given["track"]])
    return Truth(str(given["label"]), (x0, y0, x1, y1), float(visible), int(track))


def _numbers(given: object) -> list[float]:
    if not isinstance(given, list) or not all(isinstance(value, int | float) for value in given):
        raise TypeError(f"no numbers: {given!r}")
    return given
