"""Clips for the benchmarks of capture: 1080p25 H.264 of 3 Mbit/s, one that moves and one that stands still.

Made once from real footage (``Retail02_short.mp4``: people in a shop) and kept in the user's cache, since encoding
takes half a minute. The still one is a single frame of it with fresh sensor noise in each picture, so that it takes as
many bits as the other, as a camera's does at a constant bit rate.
"""

from pathlib import Path

import av
import numpy as np
from rich.console import Console
from rich.progress import track

FOOTAGE = Path(__file__).parents[1].parent / "shared" / "data" / "videos" / "Retail02_short.mp4"
CACHE = Path.home() / ".cache" / "mosaicd" / "bench"
FPS, SECONDS, GOP = 25, 20, 50
BIT_RATE = 3_000_000
NOISE = 2.5
"""Standard deviation, grey levels."""


def provide(*, is_moving: bool) -> Path:
    """Return the clip, encoding it if it is not there yet."""
    path = CACHE / f"{'moving' if is_moving else 'still'}-1080p25.mp4"
    if not path.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(".part.mp4")
        _encode(half, is_moving)
        half.rename(path)
    return path


def _encode(path: Path, is_moving: bool) -> None:
    chance = np.random.default_rng(1)
    with av.open(str(FOOTAGE)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 1920, 1080, "yuv420p", BIT_RATE
        stream.options = {
            "preset": "veryfast",
            "maxrate": str(BIT_RATE),
            "bufsize": str(BIT_RATE),
            "x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0",
        }
        frames = source.decode(video=0)
        first = next(frames)
        for number in track(range(FPS * SECONDS), f"encoding {path.name}", console=Console(stderr=True)):
            if is_moving:
                # 30 frames a second become 25: each sixth is left out.
                picture = first if number == 0 else next(frames)
                if number % 5 == 4:
                    next(frames, None)
                planes = picture.to_ndarray(format="yuv420p")
            else:
                planes = first.to_ndarray(format="yuv420p").astype(np.int16)
                planes[:1080] += np.rint(chance.normal(0.0, NOISE, (1080, 1920))).astype(np.int16)
                planes = planes.clip(0, 255).astype(np.uint8)
            encoded = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            encoded.pts = number
            target.mux(stream.encode(encoded))
        target.mux(stream.encode(None))
