"""A synthetic scene as a loop of frames with ground truth: the one door into this package. One thread."""

from __future__ import annotations

from simulator.world.painter import MARGIN, Painter
from simulator.world.scene import build_scene
from simulator.world.truth import Picture


class World:
    """Frames of the scene that a seed stands for; any index may be asked for, in any order.

    Args:
        seed: what the scene is; FIRST_TEST_SEED and above are for tests only.
        size_wh: pixels of a frame.
        fps: frames a second.
        duration_s: length of one round; the next one follows without a gap.
    """

    def __init__(
        self, seed: int, size_wh: tuple[int, int] = (1280, 720), fps: float = 10.0, duration_s: float = 20.0
    ) -> None:
        self.seed = seed
        self.size_wh = size_wh
        self.fps = fps
        self.frames = max(1, round(duration_s * fps))
        self._duration_s = self.frames / fps
        canvas_wh = (size_wh[0] + 2 * MARGIN, size_wh[1] + 2 * MARGIN)
        scene = build_scene(seed, canvas_wh, self._duration_s)
        self.title = scene.mood.title
        self._painter = Painter(scene, seed, self._duration_s)

    def picture(self, index: int) -> Picture:
        """Frame `index`; after the last one comes the first one again."""
        turn = index % self.frames
        return self._painter.paint(turn, turn / self.fps)
