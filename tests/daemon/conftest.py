"""What tests of the daemon share."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.control import Control
from daemon.orders import Reply, Request

Answering = Callable[[Reply], list[Request]]


@pytest.fixture
def answering(tmp_path: Path) -> Iterator[Answering]:
    """Return a function that lets a daemon answer so from now on; the list is what it was asked."""
    control, ended = Control(tmp_path), threading.Event()
    asked: list[Request] = []
    replies: list[Reply] = []

    def turn() -> None:
        while not ended.wait(0.01):
            for each in control.take():
                asked.append(each.request)
                each.answer(replies[-1])

    thread = threading.Thread(target=turn)

    def answer(reply: Reply) -> list[Request]:
        replies.append(reply)
        thread.start()
        return asked

    yield answer
    ended.set()
    thread.join()
    control.close()
