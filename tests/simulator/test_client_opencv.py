"""OpenCV's VideoCapture as a client."""

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, FRAMES, read_number

cv2 = pytest.importorskip("cv2")


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("codec", ["h264", "h265"])
def test_opencv_sees_every_picture_in_order(
    codec: str, transport: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"rtsp_transport;{transport}|timeout;5000000")
    footage: Footage = request.getfixturevalue(f"{codec}_footage")
    with ServerThread([CameraSpec("cam-01", footage, start_offset_s=1.6)]) as server:
        capture = cv2.VideoCapture(server.url("cam-01"), cv2.CAP_FFMPEG)
        try:
            assert capture.isOpened()
            assert capture.get(cv2.CAP_PROP_FPS) == FPS
            numbers = []
            for _ in range(40):
                is_read, picture = capture.read()
                assert is_read
                numbers.append(read_number(picture.mean(axis=2)))
        finally:
            capture.release()
    assert numbers == [(80 + step) % FRAMES for step in range(40)]
