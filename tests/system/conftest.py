"""What the tests of the whole chain share."""

from pathlib import Path

import pytest

from simulator.demux import load_footage
from simulator.footage import Footage
from tests.system.colours import COLOURS, Model, write_clip, write_model

DATA = Path(__file__).parents[2].parent / "shared" / "data"

BOXES = {
    "red": (64, 64, 192, 160),
    "green": (320, 64, 448, 160),
    "blue": (64, 224, 192, 320),
    "yellow": (448, 224, 576, 320),
    "magenta": (256, 128, 384, 224),
    "cyan": (0, 0, 96, 96),
}
"""Where each colour's camera shows its square, in pixels of 640x384."""


@pytest.fixture(scope="session")
def colour_model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """The detector of colours."""
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def colour_clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A clip of each colour."""
    folder = tmp_path_factory.mktemp("colours")
    return {colour: write_clip(folder / f"{colour}.mp4", colour, BOXES[colour]) for colour in COLOURS}


@pytest.fixture(scope="session")
def colour_footage(colour_clips: dict[str, Path]) -> dict[str, Footage]:
    """The same, loaded for the simulator."""
    return {colour: load_footage(path) for colour, path in colour_clips.items()}


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real footage and weights."""
    if not DATA.is_dir():
        pytest.skip(f"{DATA} is absent: this test needs its footage and weights")
    return DATA
