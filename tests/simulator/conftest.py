"""Clips that are encoded once for all tests of the simulator."""

from pathlib import Path

import pytest

from simulator.demux import load_footage
from simulator.footage import Footage
from tests.simulator.clips import draw_noise, encode_clip, encode_jpegs

DATA = Path(__file__).parents[2].parent / "shared" / "data"


@pytest.fixture(scope="session")
def h264_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of numbered pictures in H.264, with B-frames."""
    return encode_clip(tmp_path_factory.mktemp("clips") / "numbers.mp4", "libx264", preset="veryfast")


@pytest.fixture(scope="session")
def h265_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of numbered pictures in H.265, with B-frames and open groups of pictures."""
    return encode_clip(tmp_path_factory.mktemp("clips") / "numbers-h265.mp4", "libx265", preset="veryfast")


@pytest.fixture(scope="session")
def h264_footage(h264_clip: Path) -> Footage:
    """The H.264 clip, loaded."""
    return load_footage(h264_clip)


@pytest.fixture(scope="session")
def h265_footage(h265_clip: Path) -> Footage:
    """The H.265 clip, loaded."""
    return load_footage(h265_clip)


@pytest.fixture(scope="session")
def jpeg_footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """A second of numbered pictures in MJPEG."""
    return load_footage(encode_jpegs(tmp_path_factory.mktemp("clips") / "numbers.mkv"))


@pytest.fixture(scope="session")
def heavy_footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """Noise: key frames of well over 100 packets, several MB/s."""
    path = tmp_path_factory.mktemp("clips") / "noise.mp4"
    return load_footage(encode_clip(path, "libx264", frames=40, draw=draw_noise, crf="28"))


@pytest.fixture
def videos() -> Path:
    """The folder of real footage."""
    folder = DATA / "videos"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent")
    return folder
