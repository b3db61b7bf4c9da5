"""Cameras and a detector whose truth is known: coloured squares, and a network that was wired by hand to see them.

The network is real (a Darknet cfg and weights, built and run like any other): max pooling to 32x32 cells and one 1x1
convolution that asks which channels are saturated. So tests of the whole chain need no trained weights, and a box
credited to the wrong camera shows by its label.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

CELL = 32
COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}
LABELS = tuple(COLOURS)
GROUND = 120
"""Grey behind a square. Not dark: the network needs two channels at about a half beside a saturated one."""
FPS = 10

CFG = f"""[net]
width=832
height=512
channels=3

[maxpool]
size=8
stride=8
padding=0

[maxpool]
size={CELL // 8}
stride={CELL // 8}
padding=0

[convolutional]
filters={5 + len(LABELS)}
size=1
stride=1
pad=0
activation=linear

[yolo]
mask=0
anchors={CELL},{CELL}
classes={len(LABELS)}
num=1
"""


@dataclass(frozen=True, slots=True)
class Model:
    """Paths of a model on disk."""

    cfg: Path
    weights: Path
    names: Path


def write_model(folder: Path) -> Model:
    """Write the colour network."""
    model = Model(folder / "colours.cfg", folder / "colours.weights", folder / "colours.names")
    model.cfg.write_text(CFG)
    model.names.write_text("\n".join(LABELS) + "\n")
    weights = np.zeros((5 + len(LABELS), 3), np.float32)
    biases = np.zeros(5 + len(LABELS), np.float32)
    # Objectness: brighter in the sum of channels than the grey that lies between pictures (1.5) can be.
    weights[4], biases[4] = 20.0, -20.0 * 1.75
    for i, colour in enumerate(COLOURS.values()):
        signs = np.where(np.array(colour) > 0, 1.0, -1.0)
        weights[5 + i], biases[5 + i] = 20.0 * signs, -20.0 * 0.75 * signs.sum() - 10.0
    content = struct.pack("<iiiq", 0, 2, 5, 0) + biases.tobytes() + weights.tobytes()
    model.weights.write_bytes(content)
    return model


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
