"""Pictures of the synthetic world as a camera's tile shows them: rendered, through H.264, scaled as capture scales.

Shell: renders in processes of its own, and imports av. Each world gives a few pictures, some seconds apart and encoded
one after the other, so that they have what a stream's have: blocks, blurred ground, things that have just come.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from typing import Final

import av
import cv2
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from simulator.training.boxes import CONTENT_WH, Pixels
from simulator.training.quality import Truths
from simulator.world import LABELS, Truth, World

SOURCE_SIZES_WH: Final = ((1280, 720), (960, 540), (640, 360))
CRF: Final = (20, 32)
"""x264's quality, best and worst. In this world about 0.3 to 2.5 Mbit/s of 1280x720 at 10 frames a second."""
FPS: Final = 10.0
DURATION_S: Final = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What one camera shows: content uint8 RGB (234, 416, 3), and what is in it, in pixels of the content."""

    content: Pixels
    truths: Truths


@dataclass(frozen=True, slots=True)
class Order:
    """Some pictures of one world, wanted from one process."""

    seed: int
    pictures: int


def render(orders: Sequence[Order], processes: int) -> Iterator[list[Scene]]:
    """The scenes of each order, in order. The processes live as long as the iterator."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(render_order, orders)


def render_order(order: Order) -> list[Scene]:
    """The scenes of one order; the same for the same order."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng((order.seed, 1))
    size_wh = SOURCE_SIZES_WH[rng.integers(len(SOURCE_SIZES_WH))]
    world = World(order.seed, size_wh, FPS, DURATION_S)
    frames = int(DURATION_S * FPS)
    # One picture in each equal part of the loop, at any place in it.
    starts = np.linspace(0, frames, order.pictures, endpoint=False)
    indices = (starts + rng.uniform(0, frames / order.pictures, order.pictures)).astype(int)
    pictures = [world.picture(int(index)) for index in indices]
    streamed = through_h264([picture.rgb for picture in pictures], int(rng.integers(CRF[0], CRF[1] + 1)))
    return [
        Scene(content, truths_of(picture.truths, size_wh)) for content, picture in zip(streamed, pictures, strict=True)
    ]


def truths_of(truths: Sequence[Truth], size_wh: tuple[int, int]) -> Truths:
    """The world's truth of a picture of this size, in pixels of a tile's content."""
    scale = np.array(CONTENT_WH, np.float32) / np.array(size_wh, np.float32)
    xyxy = np.array([truth.xyxy for truth in truths], np.float32).reshape(-1, 4) * np.tile(scale, 2)
    class_ids = np.array([LABELS.index(truth.label) for truth in truths], np.int64)
    return Truths(xyxy, class_ids, np.array([truth.visible_ratio for truth in truths], np.float32))


def through_h264(pictures: Sequence[Pixels], crf: int) -> list[Pixels]:
    """Encode pictures of one size as one stream, decode it, scale each to a tile's content (AREA, as capture does)."""
    height, width = pictures[0].shape[:2]
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, int(FPS))
    encoder.options = {"preset": "veryfast", "tune": "zerolatency", "crf": str(crf), "threads": "1", "g": "250"}
    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.thread_count = 1
    packets = []
    for number, pixels in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame.pts = number
        packets += encoder.encode(frame)
    packets += encoder.encode(None)
    decoded = [frame for packet in packets for frame in decoder.decode(packet)] + decoder.decode(None)
    reformatter = VideoReformatter()
    scaled = [
        reformatter.reformat(frame, *CONTENT_WH, format="rgb24", interpolation=Interpolation.AREA, threads=1)
        for frame in decoded
    ]
    if len(scaled) != len(pictures):
        raise RuntimeError(f"{len(pictures)} pictures went into the encoder, {len(scaled)} came out of the decoder")
    return [frame.to_ndarray().astype(np.uint8, copy=False) for frame in scaled]
