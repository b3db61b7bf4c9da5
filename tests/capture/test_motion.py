"""The motion gate: what it must notice, what it must not; and the hint from packet sizes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from capture.masks import Grid
from capture.motion import GAP_S, GateOptions, MotionGate, SizeHint

H, W = 360, 640
"""Cells of 4x4: fewer samples of each than a camera gives, so noise is harder here."""
BODY = 36, 18
"""Height and width of a walker: 1/35 of the picture's width."""
LEFT_HALF = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def room(seed=0):
    """A still of patches, dark and bright, float32."""
    return np.kron(np.random.default_rng(seed).integers(40, 190, (9, 16)), np.ones((40, 40))).astype(np.float32)


def with_body(picture, x, y=150, contrast=-30.0):
    picture = picture.copy()
    picture[y : y + BODY[0], max(0, x) : max(0, x + BODY[1])] += contrast
    return picture


class Camera:
    """Films with fresh noise, and asks the gate."""

    def __init__(self, noise=2.0, **kwargs):
        self.gate = MotionGate(**kwargs)
        self.at_s = 1000.0
        self._rng = np.random.default_rng(7)
        self._noise = self._rng.normal(0.0, noise, (H + 97, W + 97)).astype(np.float32)

    def film(self, picture, after_s=0.2):
        self.at_s += after_s
        y, x = self._rng.integers(0, 97, 2)
        noisy = picture + self._noise[y : y + picture.shape[0], x : x + picture.shape[1]]
        return self.gate.observe(np.clip(noisy, 0, 255).astype(np.uint8), self.at_s)

    def rest(self, picture, seconds=4.0, every_s=0.2):
        """Films the same; returns how many observations moved."""
        return sum(self.film(picture, every_s).is_moving for _ in range(round(seconds / every_s)))

    def seconds_until_still(self, picture, every_s, limit_s=120.0):
        began_s = self.at_s
        while self.film(picture, every_s).is_moving:
            assert self.at_s - began_s < limit_s
        return self.at_s - began_s


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0, 14.0])
@pytest.mark.parametrize("every_s", [0.1, 2.0])
def test_noise_is_no_motion(noise, every_s):
    assert Camera(noise).rest(room(), 60 * every_s, every_s) == 0


@pytest.mark.parametrize("noise", [0.0, 2.0, 8.0])
@pytest.mark.parametrize("contrast", [-30.0, 25.0])
def test_a_small_body_that_entered_between_two_key_frames_is_noticed(noise, contrast):
    camera = Camera(noise)
    camera.rest(room(), 20.0, 2.0)
    assert camera.film(with_body(room(), 300, contrast=contrast), 2.0).is_moving


@pytest.mark.parametrize(("every_s", "step_px"), [(0.2, 1), (2.0, 4), (0.1, 10)])
def test_a_walker_is_noticed_at_any_pace_and_for_as_long_as_it_walks(every_s, step_px):
    camera = Camera()
    camera.rest(room())
    found = [camera.film(with_body(room(), 100 + i * step_px), every_s).is_moving for i in range(40)]
    assert all(found)


def test_half_a_body_at_the_edge_is_noticed():
    camera = Camera()
    camera.rest(room())
    assert camera.film(with_body(room(), -BODY[1] // 2)).is_moving


def test_one_lone_cell_is_nothing():
    camera = Camera()
    camera.rest(room())
    picture = room()
    picture[100:104, 200:204] += 60
    assert camera.film(picture).score == 0.0


@pytest.mark.parametrize(("levels_s", "every_s"), [(0.5, 0.5), (0.5, 2.0), (-2.0, 0.5), (-1.0, 4.0)])
def test_slow_light_is_no_motion(levels_s, every_s):
    camera = Camera()
    camera.rest(room())
    steps = round(30 / every_s)
    assert sum(camera.film(room() + levels_s * i * every_s, every_s).is_moving for i in range(steps)) == 0


EXPOSURES = {
    "brighter": lambda p: p + 25,
    "darker": lambda p: p * 0.6,
    "gain": lambda p: p * 1.3,
    "flatter": lambda p: 0.8 * p + 40,
    "gamma": lambda p: 255 * (p / 255) ** 0.4,
}


@pytest.mark.parametrize("name", EXPOSURES)
@pytest.mark.parametrize("every_s", [0.2, 2.0])
def test_another_exposure_is_no_motion(name, every_s):
    camera = Camera()
    camera.rest(room())
    assert camera.rest(EXPOSURES[name](room()), 60 * every_s, every_s) == 0


def test_slow_light_on_a_part_of_the_picture_is_no_motion():
    camera = Camera()
    camera.rest(room())
    sunny = np.zeros((H, W), np.float32)
    sunny[:200, :300] = 0.4
    assert sum(camera.film(room() + sunny * i, 1.0).is_moving for i in range(100)) == 0


def test_what_parks_in_another_light_becomes_background_too():
    camera = Camera()
    camera.rest(room())
    camera.rest(room() * 0.6, 2.0)
    parked = with_body(room() * 0.6, 300, contrast=100)
    assert camera.film(parked).is_moving
    camera.rest(parked, 34.0, 0.5)
    assert camera.rest(parked, 20.0, 0.5) == 0


def test_a_body_is_noticed_while_exposure_changes():
    camera = Camera()
    camera.rest(room())
    assert camera.film(0.7 * with_body(room(), 300, contrast=-60)).is_moving


def test_a_body_is_noticed_soon_after_the_light_changed():
    camera = Camera()
    camera.rest(room())
    camera.rest(room() * 1.3, 1.0)
    assert camera.film(with_body(room() * 1.3, 300)).is_moving


@pytest.mark.parametrize("every_s", [0.1, 0.2, 1.0, 2.0])
def test_another_scene_is_one_wake(every_s):
    """The switch to infrared, a turned camera: moving at once, quiet within two seconds or the next picture."""
    camera = Camera()
    camera.rest(room(1), 4.0, every_s)
    assert camera.film(room(2), every_s).is_moving
    assert camera.seconds_until_still(room(2), every_s) <= max(2.0, every_s)
    assert camera.rest(room(2), 20.0, every_s) == 0


@pytest.mark.parametrize("every_s", [0.5, 2.0])
def test_what_stops_becomes_background_and_what_it_leaves_too(every_s):
    camera = Camera()
    camera.rest(room())
    parked = with_body(room(), 300, contrast=-80)
    assert 29 <= camera.seconds_until_still(parked, every_s) <= 33
    assert camera.rest(parked, 20.0, every_s) == 0
    assert camera.film(room(), every_s).is_moving
    assert 27 <= camera.seconds_until_still(room(), every_s) <= 33


def test_a_body_passing_a_parked_one_is_noticed():
    camera = Camera()
    camera.rest(room())
    parked = with_body(room(), 300)
    camera.seconds_until_still(parked, 0.5)
    assert camera.film(with_body(parked, 340)).is_moving


def test_blur_between_key_frames_is_no_motion():
    """A low bit rate: key frames are sharp, what follows is coarse blocks."""
    rng = np.random.default_rng(3)
    sharp = room() + rng.normal(0, 12, (H, W)).astype(np.float32)
    blocks = sharp.reshape(H // 8, 8, W // 8, 8).mean((1, 3))
    blurred = np.kron(blocks, np.ones((8, 8), np.float32))
    camera = Camera(1.0)
    camera.rest(sharp, 10, 2.0)
    assert sum(camera.film(blurred if i % 10 else sharp).is_moving for i in range(100)) == 0


def test_leaves_are_learned_while_bodies_beside_them_are_not():
    """A tree sways for minutes: it raises its own limits only."""
    rng = np.random.default_rng(4)
    camera = Camera()
    camera.rest(room())

    def swaying():
        picture = room()
        picture[40:120, 40:160] += np.kron(rng.normal(0, 6, (10, 15)), np.ones((8, 8)))
        return picture

    early = sum(camera.film(swaying(), 0.5).is_moving for _ in range(20))
    for _ in range(60):
        camera.film(swaying(), 2.0)
    late = sum(camera.film(swaying(), 0.5).is_moving for _ in range(50))
    assert early > 10
    assert late <= 3
    assert camera.film(with_body(swaying(), 400)).is_moving


def test_motion_under_a_mask_does_not_count():
    masked, open_ = Camera(masks=(LEFT_HALF,)), Camera()
    for camera in (masked, open_):
        camera.rest(room())
    assert open_.film(with_body(room(), 100)).is_moving
    assert masked.film(with_body(room(), 100)).score == 0.0
    assert masked.film(with_body(room(), 500)).is_moving


def test_the_score_is_the_part_of_the_unmasked_cells():
    for masks, expected in (((), 40 * 36 / 14400), ((LEFT_HALF,), 40 * 16 / 7200)):
        camera = Camera(0.0, masks=masks)
        camera.rest(room())
        picture = room()
        picture[80:240, 240:384] += 50  # 40 rows of 36 cells, 16 of them right of the middle
        assert camera.film(picture).score == pytest.approx(expected, rel=0.02)


def test_everything_masked_is_never_motion_but_still_measured():
    camera = Camera(masks=(((0, 0), (1, 0), (1, 1), (0, 1)),))
    camera.rest(room(1))
    motion = camera.film(room(2))
    assert (motion.score, motion.is_moving) == (0.0, False)
    assert motion.mean_luma == pytest.approx(room(2).mean(), abs=1)


def test_mean_and_contrast_are_those_of_the_unmasked_cells():
    picture = room()
    motion = Camera(0.0, masks=(LEFT_HALF,)).film(picture)
    seen = picture[:, W // 2 :]
    assert motion.mean_luma == pytest.approx(seen.mean(), abs=0.1)
    assert motion.contrast == pytest.approx(seen.std(), abs=0.1)
    assert Camera(8.0).film(np.full((H, W), 128.0)).contrast < 4.0


def test_identical_means_exactly_the_same_picture():
    camera = Camera(0.0)
    picture = room()
    assert not camera.film(picture).is_identical
    assert camera.film(picture).is_identical
    picture[Grid((H, W), ())._rows[0], 77] += 1
    assert not camera.film(picture).is_identical
    assert camera.film(picture).is_identical
    assert not Camera(2.0).film(picture).is_identical


def test_another_size_or_a_long_pause_starts_afresh():
    camera = Camera()
    assert camera.film(room()).is_fresh
    assert not camera.film(room()).is_fresh
    other = camera.film(room()[: H // 2])
    assert (other.is_fresh, other.is_moving, other.score) == (True, False, 0.0)
    assert camera.rest(room()[: H // 2]) == 0
    camera.film(room()[: H // 2], GAP_S - 1)
    assert camera.film(with_body(room()[: H // 2], 300, 100), GAP_S + 1).is_fresh


def test_a_picture_is_neither_kept_nor_changed():
    gate = MotionGate()
    pictures = [room(seed).astype(np.uint8) for seed in (1, 1, 2)]
    for i, picture in enumerate(pictures):
        before = picture.copy()
        picture.flags.writeable = False
        gate.observe(picture, float(i))
        assert np.array_equal(picture, before)
    reused = room(1).astype(np.uint8)
    gate = MotionGate()
    gate.observe(reused, 0.0)
    reused[:] = room(2).astype(np.uint8)
    assert gate.observe(reused, 1.0).is_moving


pictures = npst.arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.one_of(pictures, npst.arrays(np.uint8, (24, 32))), st.floats(0, 100)), max_size=8))
def test_whatever_it_sees_its_numbers_stay_in_range(shots):
    gate, at_s = MotionGate(options=GateOptions(contrast=1.0)), 0.0
    for picture, after_s in shots:
        at_s += after_s
        motion = gate.observe(picture, at_s)
        assert 0.0 <= motion.score <= 1.0
        assert motion.is_moving == (motion.score >= GateOptions().threshold)
        assert 0.0 <= motion.mean_luma <= 255.001
        assert 0.0 <= motion.contrast <= 127.6


@settings(max_examples=40)
@given(st.integers(0, 2**32))
def test_what_is_under_a_mask_changes_no_score(seed):
    """Whatever the masked half shows, be it another scene each second, the rest scores as if it were still."""
    hidden = np.random.default_rng(seed).integers(0, 256, (4, 90, 80))
    plain, other = MotionGate((LEFT_HALF,)), MotionGate((LEFT_HALF,))
    still = room()[:90, :160].astype(np.uint8)
    for i, left in enumerate(hidden):
        picture = with_body(still, 120, 20, 40).astype(np.uint8) if i else still
        behind = picture.copy()
        behind[:, :80] = left
        assert plain.observe(picture, i).score == other.observe(behind, i).score


# --- packet sizes ----------------------------------------------------------------------------------------------------


def quiet_sizes(pattern, count, seed=0):
    """Sizes of a camera before which nothing moves."""
    spread = np.random.default_rng(seed).lognormal(0.0, 0.35, count)
    return [int(pattern[i % len(pattern)] * factor) for i, factor in enumerate(spread)]


PATTERNS = {
    "plain": (900,),
    "b frames": (1500, 300, 300, 300),
    "skipping": (36,),
    "virtual key frame": (400,) * 49 + (20_000,),
    "two pulses": (400,) * 48 + (20_000, 12_000),
    "after a key frame": (2500, 1500, *(600,) * 22),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_usual_sizes_are_hardly_ever_a_hint(name):
    hint = SizeHint()
    hints = [hint.observe(size) for size in quiet_sizes(PATTERNS[name], 5000)]
    assert sum(hints) <= 3, "5000 packets are 200 s; a hint costs a second of decoding"


@pytest.mark.parametrize("name", ["plain", "b frames", "virtual key frame"])
def test_growth_is_a_hint_within_half_a_second(name):
    hint = SizeHint()
    for size in quiet_sizes(PATTERNS[name], 500):
        hint.observe(size)
    found = [hint.observe(4 * size) for size in quiet_sizes(PATTERNS[name], 12, seed=1)]
    assert any(found), "12 packets are 0.48 s"


def test_one_large_packet_is_no_hint():
    hint = SizeHint()
    for size in quiet_sizes((900,), 500):
        hint.observe(size)
    assert not any(hint.observe(size) for size in (900, 90_000, *(900,) * 20))


def test_motion_that_the_gate_confirms_is_not_learned():
    hint = SizeHint()
    for size in quiet_sizes((900,), 500):
        hint.observe(size)
    for size in quiet_sizes((5000,), 25 * 600, seed=1):
        hint.observe(size, is_quiet=False)
    for size in quiet_sizes((900,), 20, seed=2):
        hint.observe(size)
    assert any(hint.observe(size) for size in quiet_sizes((4000,), 12, seed=3))


def test_growth_that_the_gate_denies_is_learned_within_two_minutes():
    """A camera's night noise, or another bit rate, after hours of the other."""
    hint = SizeHint()
    for size in quiet_sizes((900,), 25_000):
        hint.observe(size)
    for size in quiet_sizes((5000,), 25 * 120, seed=1):
        hint.observe(size)
    assert not any(hint.observe(size) for size in quiet_sizes((5000,), 500, seed=2))


def test_a_tenth_more_is_no_hint_however_even_the_sizes_were():
    hint = SizeHint()
    for _ in range(1000):
        hint.observe(700)
    assert not any(hint.observe(770) for _ in range(20))
    assert any(hint.observe(1400) for _ in range(10))


def test_nothing_is_hinted_before_the_usual_is_known():
    hint = SizeHint()
    assert not any(hint.observe(size) for size in [100] * 20 + [5000] * 30)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.integers(0, 10_000_000), st.booleans()), max_size=100))
def test_constant_sizes_never_hint_whatever_came_before(history):
    hint = SizeHint()
    for size, is_quiet in history:
        hint.observe(size, is_quiet=is_quiet)
    for _ in range(4000):
        hint.observe(700)
    assert not hint.observe(700)
