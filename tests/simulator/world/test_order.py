import numpy as np
import pytest

from simulator.world.order import Stand, footprint, is_behind, painting_order, stand_on

EYE = np.array([0.0, 0.0])
EVERYWHERE = (0.0, 0.0, 100.0, 100.0)


def stand(x: float, y: float, ahead: float = 0.3, aside: float = 0.3, heading: float = 0.0) -> Stand:
    """Something that fills the picture."""
    return stand_on(footprint(x, y, heading, ahead, aside), EVERYWHERE, float(np.hypot(x, y)))


@pytest.mark.parametrize("heading", [0.0, 0.4, 1.57, -2.0])
def test_farther_is_behind(heading: float) -> None:
    near, far = stand(1.0, 10.0, heading=heading), stand(0.5, 14.0, heading=heading)
    assert is_behind(far, near, EYE)
    assert not is_behind(near, far, EYE)


def test_person_beside_a_long_bus_whose_middle_is_nearer() -> None:
    bus = stand(2.0, 14.0, ahead=6.0, aside=1.25, heading=np.pi / 2)
    behind_its_side, before_its_side = stand(4.2, 12.0), stand(0.2, 17.0)
    assert is_behind(behind_its_side, bus, EYE)
    assert is_behind(bus, before_its_side, EYE)  # though the bus' middle is nearer


def test_order_runs_from_back_to_front() -> None:
    stands = [stand(0.0, y) for y in (10.0, 30.0, 20.0)]
    assert painting_order(stands, EYE) == [1, 2, 0]


def test_things_apart_on_the_picture_need_no_order() -> None:
    left = stand_on(footprint(0, 10, 0, 1, 1), (0.0, 0.0, 10.0, 10.0), 10.0)
    right = stand_on(footprint(0, 20, 0, 1, 1), (50.0, 0.0, 60.0, 10.0), 20.0)
    assert sorted(painting_order([left, right], EYE)) == [0, 1]


def test_every_stand_is_painted_once_even_in_a_circle() -> None:
    rng = np.random.default_rng(1)
    stands = [
        stand(*rng.uniform(-3, 3, 1), *rng.uniform(5, 12, 1), ahead=3.0, aside=0.2, heading=float(rng.uniform(-3, 3)))
        for _ in range(30)
    ]
    assert sorted(painting_order(stands, EYE)) == list(range(30))
    assert sorted(painting_order(stands, EYE, moving=10)) == list(range(30))


def test_moving_things_stay_in_order_with_what_stands_still() -> None:
    walker, post, wall = stand(0.0, 15.0), stand(0.1, 10.0), stand(0.0, 20.0, ahead=5.0, aside=0.2)
    order = painting_order([walker, post, wall], EYE, moving=1)
    assert order.index(2) < order.index(0) < order.index(1)
