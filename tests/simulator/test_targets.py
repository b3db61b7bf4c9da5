import pytest

from simulator.targets import base_url, camera_path


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("rtsp://127.0.0.1:8554/cam-01", "cam-01"),
        ("RTSPS://host:322/cam-01/video", "cam-01"),
        ("rtsp://127.0.0.1:8554/cam-01/", "cam-01"),
        ("RTSP://host/cam-01/video", "cam-01"),
        ("rtsp://host/cam-01//video", "cam-01"),
        ("rtsp://user:p%2Fw@host/axis-media/media.amp", "axis-media/media.amp"),
        ("rtsp://host/cam/realmonitor?channel=1&subtype=0/video", "cam/realmonitor?channel=1&subtype=0"),
        ("rtsp://host/caf%C3%A9", "café"),
        ("/cam-01", "cam-01"),
        ("rtsp://host", ""),
        ("*", "*"),
    ],
)
def test_camera_path(target: str, path: str) -> None:
    assert camera_path(target) == path


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("rtsp://host:554/cam/", "rtsp://host:554/cam"),
        ("rtsp://user:secret@host/cam", "rtsp://host/cam"),
        ("rtsp://user:se@cret@host/cam", "rtsp://host/cam"),
        ("rtsp://host/cam@home", "rtsp://host/cam@home"),
        ("/cam", "/cam"),
    ],
)
def test_answers_repeat_no_password(target: str, url: str) -> None:
    assert base_url(target) == url
