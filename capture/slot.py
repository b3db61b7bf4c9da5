"""The slot: shared memory through which one mosaic travels from its compositor to a worker. Newest wins.

A sealed memfd with three canvases. The writer (capture process) never waits; the reader (worker) copies the newest and
checks its sequence number again. Nothing has a name, so nothing is left behind whoever is killed. The seals keep
everybody but the creator from mapping it writable, and from changing its size under a reader.

Layout, little-endian: page 0 holds magic, version, width, height, and at NEWEST the number of the newest canvas
(1, 2, ...). Canvas n lies in buffer n % 3: a page with its sequence number (2n - 1 while it is written, 2n when whole),
its time and four tile headers; then its pixels, uint8 RGB (h, w, 3).
"""

import contextlib
import fcntl
import mmap
import os
import re
import struct
from dataclasses import dataclass
from math import isfinite

import numpy as np
import numpy.typing as npt

from capture.layout import TILES, Canvas, Rect

MAGIC = b"mosaicd1"
BUFFERS = 3
PAGE = 4096
NEWEST = 64
HEADER = struct.Struct("<8sII")
TILE_HEADERS = 64
F_SEAL_FUTURE_WRITE = 0x10
"""linux/fcntl.h; Python 3.11 does not name it."""
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | F_SEAL_FUTURE_WRITE | fcntl.F_SEAL_SEAL
MAX_SIDE = 16384
"""No camera's picture and no canvas is larger."""
TORN_RETRIES = 3
CAMERA_NAME = re.compile(rb"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
"""What the roster allows."""

TILE_DTYPE = np.dtype(
    [
        ("camera", "S64"),
        ("epoch", "<u8"),
        ("composed_number", "<u8"),
        ("pts_s", "<f8"),
        ("captured_at", "<f8"),
        ("captured_mono_s", "<f8"),
        ("source_wh", "<u4", 2),
        ("content", "<u4", 4),
        ("valid", "<u8"),
    ]
)

Pixels = npt.NDArray[np.uint8]


class SlotError(Exception):
    """A descriptor that was passed as a slot is none."""


@dataclass(frozen=True, slots=True)
class TileHeader:
    """All that is needed to read one tile."""

    camera: str
    epoch: int
    """The camera's settings that this tile was captured under."""
    composed_number: int
    """Running number of this camera's frames put on a canvas, from 1; a repeated frame keeps its number."""
    pts_s: float
    captured_at: float
    """Wall clock at arrival, seconds since 1970."""
    captured_mono_s: float
    """CLOCK_MONOTONIC at arrival: the same clock in every process of the machine."""
    source_wh: tuple[int, int]
    content: Rect
    """Where the picture lies on the canvas, in canvas pixels."""


@dataclass(frozen=True, slots=True)
class CanvasHeader:
    """One canvas as read: its number, when it was composed, and its four tiles (None: blank)."""

    number: int
    composed_mono_s: float
    tiles: tuple[TileHeader | None, ...]


def slot_bytes(canvas: Canvas) -> int:
    """Return the size of a slot for this canvas."""
    return PAGE + BUFFERS * _stride(canvas)


def _stride(canvas: Canvas) -> int:
    pixels = canvas.w * canvas.h * 3
    return PAGE + (pixels + PAGE - 1) // PAGE * PAGE


class _Buffer:
    """Views of one of the three canvases."""

    def __init__(self, memory: mmap.mmap, canvas: Canvas, index: int) -> None:
        start = PAGE + index * _stride(canvas)
        # One aligned 8-byte store or load each: struct.pack_into writes bytewise and was seen to tear.
        self.sequence = memoryview(memory)[start : start + 8].cast("Q")
        self.composed = memoryview(memory)[start + 8 : start + 16].cast("d")
        self.tiles = np.frombuffer(memory, TILE_DTYPE, TILES, start + TILE_HEADERS)
        flat = np.frombuffer(memory, np.uint8, canvas.w * canvas.h * 3, start + PAGE)
        self.pixels: Pixels = flat.reshape(canvas.h, canvas.w, 3)


class SlotWriter:
    """The compositor's side; created by the capture process. One thread writes."""

    def __init__(self, name: str, canvas: Canvas) -> None:
        size = slot_bytes(canvas)
        self.canvas = canvas
        self.fd = os.memfd_create(f"mosaicd:{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.ftruncate(self.fd, size)
            memory = mmap.mmap(self.fd, size)
            HEADER.pack_into(memory, 0, MAGIC, canvas.w, canvas.h)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
            self.wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        except OSError:
            os.close(self.fd)
            raise
        self._newest = memoryview(memory)[NEWEST : NEWEST + 8].cast("Q")
        self._buffers = tuple(_Buffer(memory, canvas, i) for i in range(BUFFERS))
        self._number = 0

    def begin(self) -> tuple[int, Pixels]:
        """Begin the next canvas: return its buffer's index (0..2) and its pixels to write into.

        The pixels still hold what this buffer held three canvases ago.
        """
        self._number += 1
        index = self._number % BUFFERS
        buffer = self._buffers[index]
        buffer.sequence[0] = 2 * self._number - 1
        return index, buffer.pixels

    def publish(self, tiles: tuple[TileHeader | None, ...], composed_mono_s: float) -> int:
        """Finish the canvas that was begun, make it the newest, wake the reader; return its number."""
        buffer = self._buffers[self._number % BUFFERS]
        for row, tile in zip(buffer.tiles, tiles, strict=True):
            if tile is None:
                row["valid"] = 0
                continue
            row["camera"] = tile.camera.encode()
            row["epoch"] = tile.epoch
            row["composed_number"] = tile.composed_number
            row["pts_s"] = tile.pts_s
            row["captured_at"] = tile.captured_at
            row["captured_mono_s"] = tile.captured_mono_s
            row["source_wh"] = tile.source_wh
            row["content"] = (tile.content.x, tile.content.y, tile.content.w, tile.content.h)
            row["valid"] = 1
        buffer.composed[0] = composed_mono_s
        buffer.sequence[0] = 2 * self._number
        self._newest[0] = self._number
        # EAGAIN: the counter is full, so the reader is awake anyway.
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self.wake_fd, 1)
        return self._number

    def close(self) -> None:
        """Close the descriptors. The memory itself goes when its last mapping does."""
        os.close(self.fd)
        os.close(self.wake_fd)


class SlotReader:
    """The worker's side. Takes ownership of both descriptors. One thread reads."""

    def __init__(self, fd: int, wake_fd: int) -> None:
        self.wake_fd = wake_fd
        self._fd = fd
        try:
            # Before its memory is looked at: what can be shrunk meanwhile kills this process with SIGBUS.
            seals = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
            if seals & SEALS != SEALS:
                raise ValueError(f"its seals are {seals:#x}")
            self._memory = mmap.mmap(fd, 0, prot=mmap.PROT_READ)
            magic, w, h = HEADER.unpack_from(self._memory, 0)
            self.canvas = Canvas(w, h)
        except (OSError, ValueError, struct.error) as error:
            self.close()
            raise SlotError(f"not a slot: {error}") from error
        if magic != MAGIC or max(w, h) > MAX_SIDE or len(self._memory) != slot_bytes(self.canvas):
            self.close()
            raise SlotError(f"not a slot: magic {magic!r}, {w}x{h}, {len(self._memory)} bytes")
        self._newest = memoryview(self._memory)[NEWEST : NEWEST + 8].cast("Q")
        self._buffers = tuple(_Buffer(self._memory, self.canvas, i) for i in range(BUFFERS))
        self._read = 0
        self.torn = 0
        """Reads that the writer overtook."""

    @property
    def is_unread(self) -> bool:
        """Whether a canvas is there that was not read."""
        return bool(self._newest[0] != self._read)

    def read(self, into: Pixels) -> CanvasHeader | None:
        """Copy the newest canvas into ``into``, uint8 (h, w, 3); return its header, or None if nothing is new."""
        for _ in range(TORN_RETRIES):
            number = self._newest[0]
            if number == self._read:
                return None
            buffer = self._buffers[number % BUFFERS]
            if buffer.sequence[0] == 2 * number:
                np.copyto(into, buffer.pixels)
                rows = buffer.tiles.copy()
                composed = buffer.composed[0]
                composed = composed if isfinite(composed) else 0.0  # NaN would pass for fresh
                if buffer.sequence[0] == 2 * number:
                    self._read = number
                    return CanvasHeader(number, composed, tuple(self._tile(i, row) for i, row in enumerate(rows)))
            self.torn += 1
        return None

    def close(self) -> None:
        """Close the descriptors; the mapping goes with this object."""
        os.close(self._fd)
        os.close(self.wake_fd)

    def _tile(self, index: int, row: np.void) -> TileHeader | None:
        """Return the header if it is valid and sane: the process that wrote it decodes what strangers send."""
        if row["valid"] != 1:
            return None
        x, y, w, h = (int(n) for n in row["content"])
        sw, sh = (int(n) for n in row["source_wh"])
        cell = self.canvas.cell(index)
        times = (float(row["pts_s"]), float(row["captured_at"]), float(row["captured_mono_s"]))
        inside = cell.x <= x and cell.y <= y and x + w <= cell.x + cell.w and y + h <= cell.y + cell.h
        if not (inside and w and h and 0 < sw <= MAX_SIDE and 0 < sh <= MAX_SIDE and np.isfinite(times).all()):
            return None
        camera = bytes(row["camera"])
        if not CAMERA_NAME.fullmatch(camera):
            return None
        return TileHeader(
            camera.decode("ascii"), int(row["epoch"]), int(row["composed_number"]), *times, (sw, sh), Rect(x, y, w, h)
        )
