"""What the tests of training share."""

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread(one_thread: None) -> None:
    """Whichever test comes first in its process."""
