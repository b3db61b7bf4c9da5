"""The detector of colours and its cameras (:mod:`simulator.colours`), and clips that do not move."""

from pathlib import Path

import av
import numpy as np

from simulator.colours import CELL, COLOURS, GROUND, LABELS, Model, write_model

__all__ = ["CELL", "COLOURS", "FPS", "GROUND", "LABELS", "Model", "write_clip", "write_model"]

FPS = 10


def write_clip(path: Path, colour: str, box: tuple[int, int, int, int], wh: tuple[int, int] = (640, 384)) -> Path:
    """Write ten seconds of a square of one colour on grey ground; ``box`` is x1, y1, x2, y2 in pixels."""
    x1, y1, x2, y2 = box
    image = np.full((wh[1], wh[0], 3), GROUND, np.uint8)
    image[y1:y2, x1:x2] = COLOURS[colour]
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "g": str(FPS), "bf": "0"})
        stream.width, stream.height = wh
        stream.pix_fmt = "yuv420p"
        for _ in range(10 * FPS):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return path
