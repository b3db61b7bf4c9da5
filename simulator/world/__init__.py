"""A synthetic world: streets and yards with traffic, as frames whose ground truth is exact.

A seed is a scene::

    seed ─ scene (mood, layout, lens, light, cast) ─► painter ─► Picture(rgb, truths) ─ clip ─► MP4 + truths
             │                                           │
             street, yard, scenery: the place            backdrop: drawn once
             vehicles, people, cycles, motion: who       sight, order, shapes, shine, weather: drawn every frame

Core (pure): all but clip, which encodes and writes, and studio, which runs several renderings at once.
"""

from simulator.world.scene import FIRST_TEST_SEED, SHOWCASE, Mood, is_test_scene, mood_of
from simulator.world.truth import LABELS, Picture, Truth
from simulator.world.world import World

__all__ = ["FIRST_TEST_SEED", "LABELS", "SHOWCASE", "Mood", "Picture", "Truth", "World", "is_test_scene", "mood_of"]
