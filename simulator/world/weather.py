"""What lies between the scene and the picture: rain, sensor noise, shaking. Pure; made once, moved every frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

_SPARE = 64


@dataclass(frozen=True, slots=True, eq=False)
class Weather:
    """What every frame gets on top.

    Attributes:
        noise: around 128, uint8 (h + 64, w + 64, 3).
        streaks: rain, uint8 (h + 64, w + 64, 3); None when it is dry.
        shake_px: how far the camera moves at most.
        shake_turns: whole turns of its swaying in one round, four of them.
    """

    noise: Bytes
    streaks: Bytes | None
    shake_px: float
    shake_turns: tuple[int, int, int, int]

    def offset_px(self, share: float) -> tuple[float, float]:
        """The camera's shake at a share (0 to 1) of the round."""
        a, b, c, d = (2 * np.pi * share * turns for turns in self.shake_turns)
        x = self.shake_px * (0.7 * np.sin(a) + 0.3 * np.sin(b + 1.3))
        y = self.shake_px * (0.7 * np.sin(c + 0.4) + 0.3 * np.sin(d + 2.1))
        return float(x), float(y)

    def fall_on(self, rgb: Bytes, index: int) -> None:
        """Rain and noise of frame `index`, in place."""
        height, width = rgb.shape[:2]
        moves = np.random.default_rng([index, 5]).integers(0, _SPARE, (2, 2)).tolist()
        if self.streaks is not None:
            x, y = moves[1]
            cv2.add(rgb, self.streaks[y : y + height, x : x + width], rgb)
        x, y = moves[0]
        cv2.addWeighted(rgb, 1.0, self.noise[y : y + height, x : x + width], 1.0, -128.0, rgb)


def make_weather(
    rng: np.random.Generator,
    size_wh: tuple[int, int],
    *,
    noise_rms: float,
    rains: bool,
    shake_px: float,
    duration_s: float,
) -> Weather:
    """Planes of noise and rain for pictures of this size."""
    width, height = size_wh[0] + _SPARE, size_wh[1] + _SPARE
    grey = rng.standard_normal((height, width), np.float32)
    colour = rng.standard_normal((height // 2 + 1, width // 2 + 1, 3), np.float32)
    blotches = cv2.resize(colour, (width, height))
    noise = np.clip(128.5 + noise_rms * (grey[..., None] * 0.85 + blotches * 0.7), 0, 255).astype(np.uint8)
    turns = tuple(max(1, round(duration_s * hz)) for hz in (0.55, 1.7, 0.45, 2.1))
    streaks = _streaks(rng, (width, height)) if rains else None
    return Weather(noise, streaks, shake_px, (turns[0], turns[1], turns[2], turns[3]))


def _streaks(rng: np.random.Generator, size_wh: tuple[int, int]) -> Bytes:
    width, height = size_wh
    plane = np.zeros((height, width), np.uint8)
    slant = float(rng.uniform(-0.18, 0.18))
    for _ in range(int(width * height / 900)):
        x, y = float(rng.uniform(0, width)), float(rng.uniform(-40, height))
        length = float(rng.uniform(0.012, 0.05)) * height
        ends = ((int(x * 16), int(y * 16)), (int((x + slant * length) * 16), int((y + length) * 16)))
        cv2.line(plane, *ends, int(rng.uniform(14, 46)), 1, cv2.LINE_AA, 4)
    return np.repeat(cv2.GaussianBlur(plane, (3, 3), 0)[..., None], 3, axis=2)
