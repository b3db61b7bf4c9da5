"""Worlds that are built once for all tests."""

import pytest

from simulator.world import World

SMALL_WH = (640, 360)


@pytest.fixture(scope="session")
def street() -> World:
    """A street by day."""
    return World(5, SMALL_WH)


@pytest.fixture(scope="session")
def yard() -> World:
    """A yard at dusk with a shaking camera."""
    return World(1, SMALL_WH)


@pytest.fixture(scope="session")
def night() -> World:
    """A street by night, in the rain."""
    return World(2, SMALL_WH)


@pytest.fixture(params=["street", "yard", "night"])
def world(request: pytest.FixtureRequest) -> World:
    """Each of them."""
    built: World = request.getfixturevalue(request.param)
    return built
