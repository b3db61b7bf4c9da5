"""Who looks at what, by value: workers are told as soon as somebody looks, and when nobody does any more."""

import os
from collections.abc import Callable

import pytest

from capture.messages import Picture, Watch
from daemon.pictures import LOOKED_AT_S, MAX_BYTES, Pictures
from daemon.trust import UntrustworthyError

JPEG = b"\xff\xd8\xff\xe0 and so on"
SEATS = {"m1": "w1", "m2": "w2", "m3": "w1"}


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pictures(clock: Clock) -> Pictures:
    return Pictures(clock)


def put(pictures: Pictures, mosaic: str, content: bytes) -> None:
    fd = os.memfd_create("picture")
    os.write(fd, content)
    try:
        pictures.put(Picture(mosaic, 1), fd)
    finally:
        os.close(fd)


def test_nobody_looks_and_nobody_is_told(pictures: Pictures) -> None:
    assert pictures.orders(SEATS) == {}


def test_a_worker_is_told_once_of_all_that_is_looked_at(pictures: Pictures) -> None:
    for mosaic in ("m3", "m1"):
        assert pictures.ask(mosaic) is None
    assert pictures.orders(SEATS) == {"w1": Watch(("m1", "m3"))}
    assert pictures.orders(SEATS) == {}


def test_it_is_told_when_nobody_looks_any_more_and_the_picture_is_gone(pictures: Pictures, clock: Clock) -> None:
    pictures.ask("m1")
    pictures.orders(SEATS)
    put(pictures, "m1", JPEG)
    clock.now_s += LOOKED_AT_S + 0.1
    assert pictures.orders(SEATS) == {"w1": Watch(())}
    assert pictures.orders(SEATS) == {}
    assert pictures.ask("m1") is None, "an old picture is not shown as a new one"


def test_a_mosaic_that_moves_is_drawn_by_its_new_worker_alone(pictures: Pictures) -> None:
    pictures.ask("m1")
    pictures.orders(SEATS)
    assert pictures.orders(SEATS | {"m1": "w2"}) == {"w1": Watch(()), "w2": Watch(("m1",))}


def test_the_next_generation_is_told_anew(pictures: Pictures) -> None:
    pictures.ask("m1")
    pictures.orders(SEATS)
    pictures.forget("w1")
    assert pictures.orders(SEATS) == {"w1": Watch(("m1",))}


def test_the_newest_picture_is_shown_with_a_number_that_rises(pictures: Pictures) -> None:
    pictures.ask("m1")
    put(pictures, "m1", JPEG)
    first = pictures.ask("m1")
    put(pictures, "m1", JPEG + b"2")
    second = pictures.ask("m1")
    assert first is not None and second is not None
    assert (first.jpeg, second.jpeg, second.number > first.number) == (JPEG, JPEG + b"2", True)
    assert pictures.ask("m2") is None


@pytest.mark.parametrize("content", [b"", b"<svg onload=...>", JPEG + bytes(MAX_BYTES)])
def test_what_is_no_picture_is_refused(pictures: Pictures, content: bytes) -> None:
    with pytest.raises(UntrustworthyError):
        put(pictures, "m1", content)


def test_what_cannot_be_read_is_refused(pictures: Pictures) -> None:
    end: Callable[[], tuple[int, int]] = os.pipe
    read, write = end()
    try:
        with pytest.raises(UntrustworthyError):
            pictures.put(Picture("m1", 1), write)
    finally:
        os.close(read)
        os.close(write)
