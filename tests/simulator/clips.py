"""Small encoded clips whose pictures say which number they have, so that a test knows what it sees."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

FPS = 50
FRAMES = 100
GOP = 20
SIZE_WH = (192, 64)
BITS = 8


def draw_number(number: int) -> np.ndarray:
    """A grey picture, (64, 192) uint8: eight bars, bright for a set bit, the highest bit left."""
    bits = [(number >> (BITS - 1 - bit)) & 1 for bit in range(BITS)]
    row = np.repeat(np.array(bits, np.uint8) * 160 + 48, SIZE_WH[0] // BITS)
    return np.broadcast_to(row, (SIZE_WH[1], SIZE_WH[0])).copy()


def read_number(grey: np.ndarray) -> int:
    """The number that `draw_number` drew, after any encoding."""
    bars = grey[:, : SIZE_WH[0]].reshape(SIZE_WH[1], BITS, SIZE_WH[0] // BITS).mean(axis=(0, 2)) > 128
    return int("".join("1" if bar else "0" for bar in bars), 2)


def draw_noise(number: int) -> np.ndarray:
    """A picture that compresses badly, (360, 640) uint8."""
    return np.random.default_rng(number).integers(0, 256, (360, 640), np.uint8)


def encode_clip(path: Path, codec: str = "libx264", frames: int = FRAMES, draw=draw_number, **options: str) -> Path:
    """Writes a clip of 50 frames a second with B-frames and a key frame every 20 frames."""
    if codec == "libx265":
        options = {"x265-params": f"log-level=none:keyint={GOP}:min-keyint={GOP}:scenecut=0:pools=1", **options}
    elif codec == "libx264":
        options = {"x264-params": f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=2:threads=1", **options}
    height, width = draw(0).shape
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options={"preset": "ultrafast", **options})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base = Fraction(1, FPS)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(draw(number), format="gray").reformat(format="yuv420p")
            picture.pts = number
            picture.time_base = Fraction(1, FPS)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def encode_jpegs(path: Path, frames: int = 50) -> Path:
    """Writes numbered pictures as MJPEG that RTP can carry."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=FPS, options={"huffman": "default"})
        stream.width, stream.height, stream.pix_fmt = *SIZE_WH, "yuvj420p"
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(draw_number(number), format="gray").reformat(format="yuvj420p")
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def remux(source: Path, target: Path, **options: str) -> Path:
    """Copies the packets into another container."""
    with av.open(str(source)) as given, av.open(str(target), "w", options=options) as container:
        stream = container.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                container.mux(packet)
    return target
