"""The slot: newest wins, nobody else can write, no copy is torn, and a forged one harms nobody."""

import contextlib
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from capture.layout import GREY, TILES, Canvas, Rect
from capture.slot import (
    BUFFERS,
    HEADER,
    MAGIC,
    MAX_SIDE,
    NEWEST,
    PAGE,
    SEALS,
    TILE_DTYPE,
    TILE_HEADERS,
    SlotError,
    SlotReader,
    SlotWriter,
    TileHeader,
    slot_bytes,
)

ROOT = Path(__file__).parents[2]
CANVAS = Canvas(64, 32)
RACE_CANVASES = 5000


def tile(index: int, number: int = 1) -> TileHeader:
    content = CANVAS.content(index, (640, 480))
    return TileHeader(f"cam-{index}", 7, number, 1.5 * number, 1.7e9, 123.25, (640, 480), content)


def publish(writer: SlotWriter, number: int) -> None:
    """One canvas filled with its number, whose tiles carry it too."""
    _, pixels = writer.begin()
    pixels[:] = number % 256
    assert writer.publish(tuple(tile(i, number) for i in range(TILES)), float(number)) == number


def reader_of(writer: SlotWriter) -> SlotReader:
    return SlotReader(os.dup(writer.fd), os.dup(writer.wake_fd))


def descriptors() -> set[str]:
    """What this process has open of memfds and eventfds."""
    found = []
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists the folder
            found.append(f"{fd.name} {os.readlink(fd)}")
    return {each for each in found if "memfd" in each or "eventfd" in each}


@pytest.fixture
def writer() -> Iterator[SlotWriter]:
    made = SlotWriter("m1", CANVAS)
    yield made
    made.close()


@pytest.fixture
def reader(writer: SlotWriter) -> Iterator[SlotReader]:
    made = reader_of(writer)
    yield made
    made.close()


@pytest.fixture
def pixels() -> np.ndarray:
    return np.zeros((CANVAS.h, CANVAS.w, 3), np.uint8)


def test_what_is_published_is_read(writer: SlotWriter, reader: SlotReader, pixels: np.ndarray) -> None:
    tiles = (tile(0), None, tile(2, 2**63 + 1), tile(3))
    _, drawn = writer.begin()
    drawn[:] = np.random.default_rng(1).integers(0, 256, drawn.shape, np.uint8)
    assert writer.publish(tiles, 99.5) == 1
    header = reader.read(pixels)
    assert header is not None
    assert (header.number, header.composed_mono_s, header.tiles) == (1, 99.5, tiles)
    assert np.array_equal(pixels, drawn)
    assert reader.canvas == CANVAS


def test_nothing_is_read_before_the_first_and_nothing_twice(
    writer: SlotWriter, reader: SlotReader, pixels: np.ndarray
) -> None:
    assert not reader.is_unread
    assert reader.read(pixels) is None
    publish(writer, 1)
    assert reader.is_unread
    assert reader.read(pixels)
    assert not reader.is_unread
    assert reader.read(pixels) is None


def test_the_newest_wins(writer: SlotWriter, reader: SlotReader, pixels: np.ndarray) -> None:
    for number in range(1, 3 * BUFFERS + 2):
        publish(writer, number)
    header = reader.read(pixels)
    assert header and header.number == 3 * BUFFERS + 1
    assert (pixels == 3 * BUFFERS + 1).all()
    assert reader.torn == 0


def test_a_canvas_that_is_being_written_hides_none_that_is_whole(
    writer: SlotWriter, reader: SlotReader, pixels: np.ndarray
) -> None:
    publish(writer, 1)
    publish(writer, 2)
    _, half = writer.begin()
    half[:] = 255
    header = reader.read(pixels)
    assert header and header.number == 2
    assert (pixels == 2).all()


def test_a_buffer_still_holds_what_it_held_three_canvases_ago(writer: SlotWriter) -> None:
    for number in range(1, BUFFERS + 1):
        publish(writer, number)
    index, pixels = writer.begin()
    assert index == (BUFFERS + 1) % BUFFERS
    assert (pixels == 1).all()


def test_a_canvas_overtaken_while_it_is_copied_is_not_used(writer: SlotWriter, reader: SlotReader) -> None:
    class Overtaking(np.ndarray):
        """Pixels during whose copying the writer goes once around."""

        def __array_function__(self, func, types, args, kwargs):  # type: ignore[no-untyped-def]
            result = super().__array_function__(func, types, args, kwargs)
            if writer._number < 1 + BUFFERS:
                for number in range(2, 2 + BUFFERS):
                    publish(writer, number)
            return result

    publish(writer, 1)
    into = np.zeros((CANVAS.h, CANVAS.w, 3), np.uint8).view(Overtaking)
    header = reader.read(into)
    assert header and header.number == 1 + BUFFERS
    assert (np.asarray(into) == 1 + BUFFERS).all()
    assert reader.torn == 1


def test_nobody_else_can_write_or_resize(writer: SlotWriter) -> None:
    path = f"/proc/self/fd/{writer.fd}"
    reopened = os.open(path, os.O_RDWR)
    try:
        for fd in (writer.fd, reopened):
            for flags, protection in (
                (mmap.MAP_SHARED, mmap.PROT_WRITE),
                (mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE),
            ):
                with pytest.raises(PermissionError):
                    mmap.mmap(fd, 0, flags, protection)
            with pytest.raises(PermissionError):
                os.write(fd, b"x")
            with pytest.raises(PermissionError):
                os.pwrite(fd, b"x", PAGE)
            for size in (0, slot_bytes(CANVAS) - PAGE, slot_bytes(CANVAS) + PAGE):
                with pytest.raises(PermissionError):
                    os.ftruncate(fd, size)
            with pytest.raises(PermissionError):
                fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE)
    finally:
        os.close(reopened)


def test_punching_a_hole_is_refused_too(writer: SlotWriter) -> None:
    """fallocate(PUNCH_HOLE) would zero a canvas under its reader."""
    script = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); "
        "libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]; "
        f"print(libc.fallocate({writer.fd}, 3, 0, {PAGE}), ctypes.get_errno())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], pass_fds=(writer.fd,), capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.split() == ["-1", str(errno.EPERM)]


def test_a_slot_can_be_passed_on_read_only(writer: SlotWriter, reader: SlotReader) -> None:
    """The seals do not keep anybody from reading."""
    with mmap.mmap(writer.fd, 0, prot=mmap.PROT_READ) as memory:
        assert memory[: len(MAGIC)] == MAGIC


def test_publishing_wakes_a_poll(writer: SlotWriter, reader: SlotReader) -> None:
    poll = select.poll()
    poll.register(reader.wake_fd, select.POLLIN)
    assert poll.poll(0) == []
    publish(writer, 1)
    assert poll.poll(5000) == [(reader.wake_fd, select.POLLIN)]
    assert os.eventfd_read(reader.wake_fd) == 1
    assert poll.poll(0) == []


def test_a_reader_that_never_reads_does_not_block_the_writer(writer: SlotWriter) -> None:
    os.eventfd_write(writer.wake_fd, 2**64 - 2)  # the counter is full: a write would block
    publish(writer, 1)


def test_closing_leaves_no_descriptor() -> None:
    before = descriptors()
    for _ in range(20):
        writer = SlotWriter("m1", CANVAS)
        reader = reader_of(writer)
        publish(writer, 1)
        assert len(descriptors()) >= len(before) + 4
        reader.close()
        writer.close()
        del reader, writer  # the mapping holds one more
    assert not descriptors() - before


def test_descriptors_are_not_inherited(writer: SlotWriter) -> None:
    assert not os.get_inheritable(writer.fd)
    assert not os.get_inheritable(writer.wake_fd)


RACING_WRITER = """
import socket, sys
from capture.layout import Canvas
from capture.slot import SlotWriter, TileHeader
big = Canvas(256, 256)
writer = SlotWriter("race", big)
sock = socket.socket(fileno=int(sys.argv[1]))
socket.send_fds(sock, [b"slot"], [writer.fd, writer.wake_fd])
assert sock.recv(1) == b"g"
for number in range(1, int(sys.argv[2]) + 1):
    index, pixels = writer.begin()
    pixels[:] = number % 256
    content = big.content(0, (256, 256))
    header = TileHeader("cam", number, number, float(number), float(number), float(number), (256, 256), content)
    writer.publish((header, None, None, None), float(number))
"""


@pytest.mark.slow
def test_copies_are_never_torn_in_a_race_with_another_process() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", RACING_WRITER, str(theirs.fileno()), str(RACE_CANVASES)]
        child = subprocess.Popen(command, pass_fds=(theirs.fileno(),), cwd=ROOT)
        try:
            ours.settimeout(30)
            _, fds, _, _ = socket.recv_fds(ours, 16, 2)
            reader = SlotReader(*fds)
            ours.sendall(b"g")
            canvas = np.zeros((256, 256, 3), np.uint8)
            last, copies = 0, 0
            while last < RACE_CANVASES:
                header = reader.read(canvas)
                if header is None:
                    assert child.poll() in (None, 0)
                    continue
                number, cell = header.number, header.tiles[0]
                assert (canvas == number % 256).all(), f"canvas {number} is torn"
                assert cell is not None
                assert {number} == {cell.epoch, cell.composed_number, int(cell.pts_s), int(header.composed_mono_s)}
                assert number > last
                last = number
                copies += 1
            assert copies > 10
            reader.close()
        finally:
            assert child.wait(30) == 0


# --- forged slots ----------------------------------------------------------------------------------------------------


def forge(content: bytes, seals: int = SEALS) -> tuple[int, int]:
    """A memfd with this content, and an eventfd."""
    fd = os.memfd_create("forged", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    if seals:
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd, os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)


def blank(w: int = CANVAS.w, h: int = CANVAS.h, magic: bytes = MAGIC) -> bytearray:
    content = bytearray(slot_bytes(CANVAS))
    HEADER.pack_into(content, 0, magic, w, h)
    return content


NO_SLOTS = {
    "empty": b"",
    "shorter than a header": b"mosaicd1",
    "random": np.random.default_rng(3).bytes(3 * PAGE),
    "another magic": bytes(blank(magic=b"mosaicd2")),
    "odd width": bytes(blank(w=63)),
    "no width": bytes(blank(w=0)),
    "wider than it is": bytes(blank(w=640)),
    "huge": bytes(blank(2**32 - 2, 2**32 - 2)),
    "a side too large": bytes(blank(MAX_SIDE + 2, 2)),
    "too short by a page": bytes(blank())[:-PAGE],
    "too long by a byte": bytes(blank()) + b"x",
    "header only": bytes(blank())[:PAGE],
}


@pytest.mark.parametrize("content", NO_SLOTS.values(), ids=NO_SLOTS.keys())
def test_what_is_no_slot_is_refused_and_its_descriptors_closed(content: bytes) -> None:
    before = descriptors()
    with pytest.raises(SlotError, match="not a slot"):
        SlotReader(*forge(content))
    assert not descriptors() - before


@pytest.mark.parametrize("missing", [SEALS, fcntl.F_SEAL_SHRINK, fcntl.F_SEAL_GROW, 0x10])
def test_a_slot_without_all_its_seals_is_refused(missing: int) -> None:
    """One that can shrink kills its reader with SIGBUS; one that can be written tears under it."""
    with pytest.raises(SlotError, match="not a slot"):
        SlotReader(*forge(bytes(blank()), SEALS & ~missing))


def open_pipe() -> int:
    reading, writing = os.pipe()
    os.close(writing)
    return reading


@pytest.mark.parametrize(
    "opened", [open_pipe, lambda: os.open("/dev/null", os.O_RDONLY), lambda: os.open(__file__, os.O_RDONLY)]
)
def test_a_descriptor_of_another_kind_is_refused(opened: Callable[[], int]) -> None:
    with pytest.raises(SlotError, match="not a slot"):
        SlotReader(opened(), os.eventfd(0))


def sane_row() -> np.ndarray:
    row = np.zeros((), TILE_DTYPE)
    row["camera"], row["valid"], row["source_wh"], row["content"] = b"cam-0", 1, (640, 480), (0, 0, 32, 16)
    return row


def read_forged_tile(pixels: np.ndarray, **fields: object) -> TileHeader | None:
    """What a reader makes of a whole canvas whose tile 0 has these values."""
    content = blank()
    row = sane_row()
    for name, value in fields.items():
        row[name] = value
    start = PAGE + slot_buffer_bytes()
    struct.pack_into("<Q", content, NEWEST, 1)
    struct.pack_into("<Q", content, start, 2)
    content[start + TILE_HEADERS : start + TILE_HEADERS + TILE_DTYPE.itemsize] = row.tobytes()
    reader = SlotReader(*forge(bytes(content)))
    try:
        header = reader.read(pixels)
    finally:
        reader.close()
    assert header and header.number == 1
    assert header.tiles[1:] == (None, None, None)
    return header.tiles[0]


def slot_buffer_bytes() -> int:
    """From one of the three buffers to the next."""
    return (slot_bytes(CANVAS) - PAGE) // BUFFERS


def test_a_forged_tile_that_is_sane_is_read(pixels: np.ndarray) -> None:
    """So that the refusals below are for the reason they name."""
    read = read_forged_tile(pixels)
    assert read is not None
    assert (read.camera, read.content) == ("cam-0", Rect(0, 0, 32, 16))


LAST = 2**32 - 1
HOSTILE: dict[str, dict[str, object]] = {
    "over the cell's right edge": {"content": (1, 0, 32, 16)},
    "over the cell's lower edge": {"content": (0, 1, 32, 16)},
    "in another cell": {"content": (32, 0, 32, 16)},
    "huge": {"content": (0, 0, LAST, LAST)},
    "wraps around": {"content": (LAST, LAST, 2, 2)},
    "no width": {"content": (0, 0, 0, 16)},
    "no height": {"content": (0, 0, 32, 0)},
    "no source": {"source_wh": (0, 0)},
    "huge source": {"source_wh": (LAST, LAST)},
    "source too wide": {"source_wh": (MAX_SIDE + 1, 1)},
    "pts NaN": {"pts_s": np.nan},
    "pts infinite": {"pts_s": np.inf},
    "captured at NaN": {"captured_at": np.nan},
    "captured NaN": {"captured_mono_s": np.nan},
    "captured in minus infinity": {"captured_mono_s": -np.inf},
    "flag of another value": {"valid": 2},
    "name not ASCII": {"camera": "caméra".encode()},
    "name not UTF-8": {"camera": b"\xff\xfe"},
    "name with a NUL inside": {"camera": b"cam\0-0"},
    "name with a line break": {"camera": b"cam\n0"},
    "no name": {"camera": b""},
}


@pytest.mark.parametrize("fields", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_tile_is_as_good_as_blank(pixels: np.ndarray, fields: dict[str, object]) -> None:
    assert read_forged_tile(pixels, **fields) is None


@pytest.mark.parametrize("composed", [np.nan, np.inf, -np.inf])
def test_a_canvas_whose_time_is_no_number_is_older_than_any(pixels: np.ndarray, composed: float) -> None:
    """Otherwise it would pass for fresh: NaN > stale_s is False."""
    content = blank()
    start = PAGE + slot_buffer_bytes()
    struct.pack_into("<Q", content, NEWEST, 1)
    struct.pack_into("<Qd", content, start, 2, composed)
    reader = SlotReader(*forge(bytes(content)))
    header = reader.read(pixels)
    reader.close()
    assert header is not None
    assert header.composed_mono_s == 0.0


def test_a_canvas_that_is_for_ever_half_written_is_not_read(pixels: np.ndarray) -> None:
    content = blank()
    struct.pack_into("<Q", content, NEWEST, 1)
    struct.pack_into("<Q", content, PAGE + slot_buffer_bytes(), 1)
    reader = SlotReader(*forge(bytes(content)))
    assert reader.read(pixels) is None
    assert reader.torn > 0
    reader.close()


def test_a_name_of_full_length_survives(writer: SlotWriter, reader: SlotReader, pixels: np.ndarray) -> None:
    name = "c" * 63
    header = TileHeader(name, 0, 1, 0.0, 0.0, 0.0, (32, 16), Rect(0, 0, 32, 16))
    _, drawn = writer.begin()
    drawn[:] = GREY
    writer.publish((header, None, None, None), 1.0)
    read = reader.read(pixels)
    assert read and read.tiles[0] == header
