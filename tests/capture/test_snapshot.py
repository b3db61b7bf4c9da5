"""Pictures out of a ring: the right frame, its colours, and what stands in where it cannot be had."""

import os
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from capture.mediamessages import Snapped, Snapshot
from capture.photographer import ORDERS, WAIT_S, Photographer, Sitting, take
from capture.reader import Tile
from capture.ring import Ring
from capture.snapshot import decode, jpeg, picture_of, wanted
from capture.track import KeptPacket, PacketRing
from capture.words import Shortfall
from tests.capture.rings import FRAME_S, ring_of_file
from tests.simulator.clips import GOP, SIZE_WH, draw_number, encode_clip, read_number

TILE_NUMBER = 201
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    params = f"keyint={GOP}:min-keyint={GOP}:scenecut=0:bframes=0:threads=1"
    return encode_clip(tmp_path_factory.mktemp("snapshot") / "clip.mp4", **{"x264-params": params})


@pytest.fixture
def ring(clip: Path) -> PacketRing:
    return ring_of_file(clip, at_s=100.0)


@pytest.fixture
def fds() -> Iterator[list[int]]:
    """Descriptors of files that the test reads; closed after it."""
    kept: list[int] = []
    yield kept
    for fd in kept:
        os.close(fd)


def sitting(
    packets: list[KeptPacket], at_s: float, fds: list[int], ago_s: float = 0.0, has_tile: bool = True
) -> Sitting:
    """An order whose picture can be read from the last of ``fds``."""
    fds.append(os.memfd_create("picture"))
    pixels = np.repeat(draw_number(TILE_NUMBER)[..., None], 3, axis=2)
    tile = Tile(1, pixels, SIZE_WH, 0.0, 0.0, 55.0) if has_tile else None
    order = Snapshot("cam", 1, f"e{len(fds)}", at_s)
    return Sitting(order, os.dup(fds[-1]), packets, tile, time.monotonic() - ago_s)


def number_in(fd: int) -> int:
    with av.open(f"/proc/self/fd/{fd}", format="mjpeg") as container:
        return read_number(next(container.decode(video=0)).to_ndarray(format="gray"))


@pytest.mark.parametrize("number", [0, 1, 19, 20, 47, 99])
def test_the_frame_nearest_to_the_moment_is_decoded(ring: PacketRing, number: int) -> None:
    at_s = 100.0 + (number + 0.4) * FRAME_S
    packets = wanted(ring, at_s)
    assert packets[0].is_key
    found = decode(packets, at_s)
    assert found is not None
    assert read_number(found[0].to_ndarray(format="gray")) == number
    assert found[1] == 100.0 + number * FRAME_S


def test_no_more_is_taken_than_decoding_needs(ring: PacketRing) -> None:
    assert len(wanted(ring, 100.0 + 45 * FRAME_S)) <= 6 + GOP
    assert wanted(ring, 95.0) == []
    assert wanted(ring, 110.0) == []
    assert wanted(Ring(5.0, 1000), 100.0) == []


def test_a_moment_between_two_connections_takes_packets_of_one(clip: Path, ring: PacketRing) -> None:
    ring_of_file(clip, ring, 102.5)
    packets = wanted(ring, 102.0)
    assert {each.track for each in packets} == {packets[0].track}


def test_a_picture_is_written_and_told(ring: PacketRing, fds: list[int]) -> None:
    at_s = 100.0 + 33 * FRAME_S
    found = take(sitting(wanted(ring, at_s), at_s, fds))
    assert number_in(fds[0]) == 33
    size = os.fstat(fds[0]).st_size
    assert found == Snapped("cam", 1, "e1", size, SIZE_WH, pytest.approx(at_s), is_tile=False, reason=None)  # type: ignore[arg-type]


def test_the_tile_stands_in_and_the_reason_is_told(ring: PacketRing, fds: list[int]) -> None:
    at_s = 100.0 + 33 * FRAME_S
    packets = wanted(ring, at_s)
    spoiled = packets[1:5]  # without the key frame
    for those, ago_s, reason in (
        (packets, WAIT_S + 1, Shortfall.BUSY),
        ([], 0.0, Shortfall.GONE),
        (spoiled, 0.0, Shortfall.SPOILED),
    ):
        found = take(sitting(those, at_s, fds, ago_s))
        assert (found.is_tile, found.reason, found.captured_mono_s) == (True, reason, 55.0)
        assert number_in(fds[-1]) == TILE_NUMBER
    found = take(sitting([], at_s, fds, has_tile=False))
    assert (found.size_bytes, found.is_tile, found.reason) == (0, False, Shortfall.GONE)


def test_a_picture_that_cannot_be_written_is_told(ring: PacketRing) -> None:
    order = Snapshot("cam", 1, "e1", 100.0)
    found = take(Sitting(order, os.open("/dev/full", os.O_WRONLY), wanted(ring, 100.0), None, time.monotonic()))
    assert (found.size_bytes, found.reason) == (0, Shortfall.UNWRITABLE)


def test_so_many_wait_and_no_more_and_stop_lets_all_know(ring: PacketRing, fds: list[int]) -> None:
    replies: list[Snapped] = []
    begun, go_on = threading.Event(), threading.Event()

    def reply(snapped: Snapped) -> None:
        replies.append(snapped)
        begun.set()
        go_on.wait(DEADLINE_S)

    photographer = Photographer(reply)
    assert photographer.join(0.0)  # no thread before the first order
    packets = wanted(ring, 100.0)
    assert photographer.give(sitting(packets, 100.0, fds))
    assert begun.wait(DEADLINE_S)
    given = [sitting(packets, 100.0, fds) for _ in range(ORDERS + 1)]
    assert [photographer.give(each) for each in given] == [True] * ORDERS + [False]
    os.close(given[-1].fd)  # the caller's still
    photographer.stop()
    go_on.set()
    assert photographer.join(DEADLINE_S)
    assert [each.reason for each in replies] == [None] + [Shortfall.STOPPING] * ORDERS
    for each in given[:-1]:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(each.fd)


def test_a_decoder_that_crashes_here_is_blamed_on_its_camera(ring: PacketRing, fds: list[int]) -> None:
    stacks: list[list[str]] = []
    photographer = Photographer(lambda _: stacks.append([frame.name for frame in traceback.extract_stack()]))
    assert photographer.give(sitting(wanted(ring, 100.0), 100.0, fds))
    deadline_s = time.monotonic() + DEADLINE_S
    while not stacks:
        assert time.monotonic() < deadline_s
        threading.Event().wait(0.002)
    photographer.stop()
    assert photographer.join(DEADLINE_S)
    assert [name for name in stacks[0] if name.startswith("reader ")] == ["reader cam"]


RED, GREEN = (200, 30, 40), (20, 180, 60)


@pytest.mark.parametrize(
    ("space", "told", "scale"),
    [
        (Colorspace.ITU709, 1, ColorRange.MPEG),
        (Colorspace.ITU601, 5, ColorRange.MPEG),
        (Colorspace.ITU601, 2, ColorRange.MPEG),  # not told
        (Colorspace.ITU709, 1, ColorRange.JPEG),
    ],
)
def test_colours_are_those_of_the_camera(space: Colorspace, told: int, scale: ColorRange) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:, :32], pixels[:, 32:] = RED, GREEN
    picture = VideoReformatter().reformat(
        picture_of(pixels), format="yuv420p", dst_colorspace=space, dst_color_range=scale
    )
    picture.colorspace, picture.color_range = told, scale
    for each in (picture, picture_of(pixels)):
        assert_shows(jpeg(each))


def assert_shows(content: bytes) -> None:
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    [shown] = [*decoder.decode(av.Packet(content)), *decoder.decode(None)]
    rgb = shown.to_ndarray(format="rgb24").astype(int)
    assert abs(rgb[32, 8] - RED).max() <= 4
    assert abs(rgb[32, 56] - GREEN).max() <= 4


def test_a_picture_of_odd_size_is_made_even() -> None:
    pixels = np.full((61, 63, 3), 128, np.uint8)
    decoder = av.CodecContext.create("mjpeg", "r")
    assert isinstance(decoder, av.VideoCodecContext)
    [shown] = [*decoder.decode(av.Packet(jpeg(picture_of(pixels)))), *decoder.decode(None)]
    assert (shown.width, shown.height) == (62, 60)
