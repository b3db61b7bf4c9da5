"""What all tests share."""

import pytest


@pytest.fixture(scope="session")
def one_thread() -> None:
    """TensorFlow on one thread, as its engine's tests want it: that cannot be changed once it has run in a process."""
    from tests.inference.darknet.parity import on_one_thread

    on_one_thread()
