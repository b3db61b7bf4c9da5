"""No sighting is ever credited to a wrong camera: each camera shows a colour and a place of its own."""

from collections import Counter

import pytest

from simulator.camera import CameraSpec
from simulator.thread import ServerThread
from tests.system.colours import CELL, LABELS
from tests.system.conftest import BOXES
from tests.system.stage import running, wait_until

pytestmark = pytest.mark.slow


def test_every_sighting_has_its_own_cameras_colour_and_place(tmp_path, colour_model, colour_footage):
    """Twelve cameras in three mosaics: each colour twice, on different tiles."""
    names = {f"{colour}-{i}": colour for i in range(2) for colour in (LABELS if i else reversed(LABELS))}
    specs = [CameraSpec(name, colour_footage[colour]) for name, colour in names.items()]
    with ServerThread(specs) as server:
        cameras = {name: {"url": server.url(name)} for name in names}
        with running(tmp_path, colour_model, cameras) as daemon:
            daemon.wait_ready()
            wait_until(
                lambda: min(Counter(line["camera"] for line in daemon.lines()).get(name, 0) for name in names) >= 20,
                lambda: f"20 answered frames of each camera:\n{daemon.log[-3000:]}",
            )
            lines = daemon.lines()
            assert daemon.stop() == 0
    assert {line["camera"] for line in lines} == set(names)
    seen = [(line["camera"], s) for line in lines for s in line["sightings"]]
    assert {camera for camera, _ in seen} == set(names), "every camera's square is seen"
    for camera, sighting in seen:
        assert sighting["label"] == names[camera]
        x1, y1, x2, y2 = BOXES[names[camera]]
        sx1, sy1, sx2, sy2 = sighting["box"]
        # A cell of the network that the square touches: no further away than that.
        slack = CELL * 640 / 416 + 8
        assert x1 - slack <= sx1 < sx2 <= x2 + slack
        assert y1 - slack <= sy1 < sy2 <= y2 + slack
