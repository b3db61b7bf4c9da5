"""Footage whose truth is known: a square of one colour in its place, and a shadow that walks beneath it."""

from pathlib import Path

import av
import numpy as np

from simulator.colours import COLOURS, GROUND

FPS = 10
WH = (640, 384)
BOX = (320, 64, 368, 112)
"""Of the square."""


def write_square(path: Path, seconds: float, colour: str = "red", **options: str) -> Path:
    """Write footage; ``options`` are the encoder's. There is a key frame each second, unless they say otherwise."""
    x1, y1, x2, y2 = BOX
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": str(FPS)} | options)
        stream.width, stream.height = WH
        stream.pix_fmt = "yuv420p"
        for number in range(round(seconds * FPS)):
            image = np.full((WH[1], WH[0], 3), GROUND, np.uint8)
            x = 8 * number % WH[0]
            image[300:340, x : x + 40] = GROUND - 30
            image[y1:y2, x1:x2] = COLOURS[colour]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def spoil(path: Path, from_s: float, to_s: float) -> None:
    """Overwrite the packets of a time with noise."""
    with av.open(path) as container:
        at = [
            (packet.pos, packet.size, float(packet.dts * packet.time_base))
            for packet in container.demux(video=0)
            if packet.dts is not None and packet.size
        ]
    content, chance = bytearray(path.read_bytes()), np.random.default_rng(1)
    for pos, size, at_s in at:
        if from_s <= at_s < to_s:
            content[pos + 6 : pos + size] = chance.integers(0, 256, size - 6, np.uint8).tobytes()
    path.write_bytes(content)
