"""From scenes to one input of the network: a tile, or a window over the seams of a mosaic, varied by chance. Pure.

The detector sees whole mosaics, so half of its samples are windows of a tile's size anywhere over four tiles: with
seams through them, bars in their middle, and things cut off by a neighbour. All chance comes from the generator passed
in.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from simulator.training.boxes import CONTENT_TOP, CONTENT_WH, GREY, TILE_WH, Floats, Integers, Pixels, clipped, sizes
from simulator.training.quality import Truths
from simulator.training.targets import Labelled

WINDOWS: Final = 0.5
"""Share of the samples that are windows over a mosaic."""
ZOOM: Final = (0.85, 1.3)
LEARNED_SIZE: Final = 8.0
"""Smaller things are left alone: neither learned nor called wrong. Below what is judged, so its border is learned."""
LEARNED_VISIBLE: Final = 0.25
"""Likewise, things of which less can be seen."""
COMMON: Final = 0.6
"""A class that is in at least this share of the scenes needs no help."""
MIN_LEFT: Final = 0.35
"""Of a box that the window cuts off, at least this share of its area must be left; else it is left alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One input of the network: uint8 RGB (256, 416, 3), and what is in it."""

    pixels: Pixels
    things: Labelled


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    """A picture with its boxes, xyxy in its own pixels."""

    pixels: Pixels
    xyxy: Floats
    class_ids: Integers
    visible_ratio: Floats


def scene_weights(truths: Sequence[Truths], classes: int) -> Floats:
    """How often each scene should be shown, (n,), 1 and more: those with rare things more often.

    By the rarest class in it, the square root of `COMMON` over the share of scenes that hold that class (the repeat
    factor of LVIS, arXiv:1908.03195, appendix).
    """
    holds = np.zeros((len(truths), classes), np.bool_)
    for index, item in enumerate(truths):
        holds[index, item.class_ids[item.is_judged]] = True
    factors = np.maximum(np.sqrt(COMMON / np.maximum(holds.mean(axis=0), 1e-3)), 1)
    out: Floats = np.maximum((holds * factors).max(axis=1), 1).astype(np.float32)
    return out


def plain(content: Pixels, truths: Truths) -> Sample:
    """The scene in its tile, letterboxed as the compositor does it, without any change."""
    return _sample(_tile(_Piece(content, truths.xyxy, truths.class_ids, truths.visible_ratio)))


def vary(contents: Sequence[Pixels], truths: Sequence[Truths], rng: np.random.Generator) -> Sample:
    """A sample of four scenes (all of them in a window over a mosaic, else only the first)."""
    if rng.random() >= WINDOWS:
        piece = _tile(_varied(contents[0], truths[0], rng))
    else:
        tiles = [_tile(_varied(*pair, rng)) for pair in zip(contents, truths, strict=True)]
        width, height = TILE_WH
        piece = _window(tiles, (int(rng.integers(0, width + 1)), int(rng.integers(0, height + 1))))
    if rng.random() < 0.5:
        piece = _flipped(piece)
    return _sample(piece)


def _varied(content: Pixels, truths: Truths, rng: np.random.Generator) -> _Piece:
    piece = _Piece(content, truths.xyxy, truths.class_ids, truths.visible_ratio)
    if rng.random() < 0.6:
        piece = _zoomed(piece, rng)
    if rng.random() < 0.7:
        pixels = _recoloured(piece.pixels, rng)
        piece = _Piece(pixels, piece.xyxy, piece.class_ids, piece.visible_ratio)
    return piece


def _zoomed(piece: _Piece, rng: np.random.Generator) -> _Piece:
    """Magnified or reduced about a random point; what is missing is grey."""
    width, height = CONTENT_WH
    zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
    stretch = float(np.exp(rng.uniform(-0.08, 0.08)))
    scale = np.array([zoom * stretch, zoom / stretch], np.float32)
    # Where the picture's upper left corner comes to lie, so that it covers the frame or lies within it.
    free = np.array([width, height], np.float32) * (1 - scale)
    shift = (free * rng.random(2)).astype(np.float32)
    matrix = np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]], np.float32)
    # Pixel centres lie at halves, where our boxes' coordinates do not.
    matrix[:, 2] += 0.5 * (scale - 1)
    pixels = cv2.warpAffine(
        piece.pixels, matrix, CONTENT_WH, flags=cv2.INTER_LINEAR, borderValue=(GREY, GREY, GREY)
    ).astype(np.uint8)
    moved = (piece.xyxy * np.tile(scale, 2) + np.tile(shift, 2)).astype(np.float32)
    return _cut(_Piece(pixels, moved, piece.class_ids, piece.visible_ratio))


def _recoloured(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """Other light, contrast and tint; sometimes noise."""
    ramp = np.arange(256, dtype=np.float32) / 255
    gains = rng.uniform(0.75, 1.25) * rng.uniform(0.94, 1.06, 3)
    curves = np.clip(ramp[:, None] ** rng.uniform(0.8, 1.25) * gains + rng.uniform(-0.06, 0.06), 0, 1)
    out = cv2.LUT(pixels, (curves * 255 + 0.5).astype(np.uint8)[None])
    if rng.random() < 0.3:
        grey = cv2.cvtColor(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        share = float(rng.uniform(0.0, 0.7))
        out = cv2.addWeighted(out, 1 - share, grey, share, 0)
    if rng.random() < 0.2:
        noise = np.empty(out.shape, np.int16)
        cv2.setRNGSeed(int(rng.integers(1 << 31)))
        cv2.randn(noise, 0, float(rng.uniform(2, 8)))
        out = cv2.add(out, noise, dtype=cv2.CV_8U)
    varied: Pixels = out.astype(np.uint8, copy=False)
    return varied


def _tile(piece: _Piece) -> _Piece:
    width, height = TILE_WH
    pixels = np.full((height, width, 3), GREY, np.uint8)
    pixels[CONTENT_TOP : CONTENT_TOP + CONTENT_WH[1]] = piece.pixels
    xyxy = piece.xyxy + np.array([0, CONTENT_TOP, 0, CONTENT_TOP], np.float32)
    return _Piece(pixels, xyxy, piece.class_ids, piece.visible_ratio)


def _window(tiles: Sequence[_Piece], corner: tuple[int, int]) -> _Piece:
    """What is seen of a 2x2 mosaic through a window of a tile's size whose upper left corner is given."""
    width, height = TILE_WH
    x, y = corner
    rows = [np.concatenate([tiles[row].pixels, tiles[row + 1].pixels], axis=1)[:, x : x + width] for row in (0, 2)]
    pixels = np.concatenate(rows)[y : y + height]
    offsets = [np.array([column * width - x, row * height - y] * 2, np.float32) for row in (0, 1) for column in (0, 1)]
    return _cut(
        _Piece(
            np.ascontiguousarray(pixels),
            np.concatenate([tile.xyxy + offset for tile, offset in zip(tiles, offsets, strict=True)]),
            np.concatenate([tile.class_ids for tile in tiles]),
            np.concatenate([tile.visible_ratio for tile in tiles]),
        )
    )


def _cut(piece: _Piece) -> _Piece:
    """Boxes clipped to the picture; those outside are dropped, and of those cut off by much, nothing counts as seen."""
    height, width = piece.pixels.shape[:2]
    inside = clipped(piece.xyxy, (width, height))
    left = (sizes(inside) / np.maximum(sizes(piece.xyxy), 1e-6)) ** 2
    stays = (inside[:, 2:] - inside[:, :2] > 1).all(axis=1)
    visible = np.where(left >= MIN_LEFT, piece.visible_ratio, 0).astype(np.float32)
    return _Piece(piece.pixels, inside[stays], piece.class_ids[stays], visible[stays])


def _flipped(piece: _Piece) -> _Piece:
    width = piece.pixels.shape[1]
    xyxy = piece.xyxy.copy()
    xyxy[:, [0, 2]] = width - piece.xyxy[:, [2, 0]]
    return _Piece(np.ascontiguousarray(piece.pixels[:, ::-1]), xyxy, piece.class_ids, piece.visible_ratio)


def _sample(piece: _Piece) -> Sample:
    is_learned = (sizes(piece.xyxy) >= LEARNED_SIZE) & (piece.visible_ratio >= LEARNED_VISIBLE)
    return Sample(piece.pixels, Labelled(piece.xyxy.astype(np.float32), piece.class_ids, is_learned))
