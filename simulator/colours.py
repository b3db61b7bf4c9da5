"""Cameras and a detector whose truth is known: coloured squares, and a network that was wired by hand to see them.

    python -m simulator.colours FOLDER CAMERAS

writes the network, and for each camera a clip with a colour and a place that no other has. So a box that was credited
to a wrong camera shows by its label or by where it lies, and nothing has to be trained. The network is real (a Darknet
cfg and weights, built and run like any other): max pooling to cells and one 1x1 convolution that asks which channels
are saturated. Encodes through PyAV.
"""

from __future__ import annotations

import json
import struct
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

CELL = 32
"""Side of the network's cells in pixels of the canvas: a box is one of them."""
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

SMALL_WH = (320, 192)
"""So small that dozens can be decoded ten times a second beside everything else."""
PLACES = ((16, 32, 112, 128), (208, 32, 304, 128))
"""Where squares lie in a small picture, x1, y1, x2, y2: further apart than a box is out of place."""
MOST_CAMERAS = len(LABELS) * len(PLACES)
VIEWS_FILE = "views.json"

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


@dataclass(frozen=True, slots=True)
class View:
    """What one camera shows.

    Attributes:
        clip: its file's name.
        label: the colour of its square.
        box: where that is, x1, y1, x2, y2 in the picture's pixels.
    """

    clip: str
    label: str
    box: tuple[int, int, int, int]


def views(cameras: int) -> list[View]:
    """What each of so many cameras shows: neighbours differ in colour, and no two in both colour and place.

    Raises:
        ValueError: more cameras than can be told apart.
    """
    if not 1 <= cameras <= MOST_CAMERAS:
        raise ValueError(f"{cameras} cameras cannot be told apart, but 1 to {MOST_CAMERAS} can")
    pairs = [(LABELS[number % len(LABELS)], PLACES[number // len(LABELS)]) for number in range(cameras)]
    return [View(f"{number:02}-{label}.mp4", label, box) for number, (label, box) in enumerate(pairs, start=1)]


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


def write_moving_clip(
    path: Path,
    colour: str,
    box: tuple[int, int, int, int],
    *,
    wh: tuple[int, int] = SMALL_WH,
    fps: int = 10,
    gop: int = 10,
    codec: str = "libx264",
    is_moving: bool = True,
) -> None:
    """Write ten seconds of a square of one colour, and of a speckled shadow that walks beneath it."""
    jpeg = codec == "mjpeg"
    options = {"huffman": "default"} if jpeg else {"preset": "ultrafast", "g": str(gop), "bf": "0"}
    if codec == "libx265":
        options["x265-params"] = f"log-level=none:keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:pools=1"
    chance = np.random.default_rng(0)
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=fps, options=options)
        stream.width, stream.height = wh
        stream.pix_fmt = "yuvj420p" if jpeg else "yuv420p"
        for number in range(10 * fps):
            image = np.full((wh[1], wh[0], 3), GROUND, np.uint8)
            x = number * 16 % (wh[0] - 48) if is_moving else 0
            if is_moving or number == 0:
                speckles = chance.integers(GROUND // 4, GROUND, (10, 12), np.uint8).repeat(4, 0).repeat(4, 1)
            image[-40:, x : x + 48] = speckles[..., None]
            image[box[1] : box[3], box[0] : box[2]] = COLOURS[colour]
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            container.mux(stream.encode(picture.reformat(format=stream.pix_fmt)))
        container.mux(stream.encode(None))


def main() -> None:
    """Write network, clips and, last, what each camera shows."""
    folder, cameras = Path(sys.argv[1]), int(sys.argv[2])
    write_model(folder)
    shown = views(cameras)
    for view in shown:
        write_moving_clip(folder / view.clip, view.label, view.box)
    (folder / VIEWS_FILE).write_text(json.dumps([asdict(view) for view in shown]))


if __name__ == "__main__":
    main()
