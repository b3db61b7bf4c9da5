"""Faults as FFmpeg's library sees them."""

from collections.abc import Iterator

import av
import av.error
import numpy as np
import pytest

from simulator.camera import CameraSpec
from simulator.demux import load_footage
from simulator.faults import (
    Black,
    Blind,
    Corrupt,
    Fault,
    Flood,
    Freeze,
    Loss,
    NotVideo,
    Redirect,
    Refuse,
    Reorder,
    Switch,
    Unauthorized,
)
from simulator.footage import Footage
from simulator.thread import ServerThread
from tests.simulator.clips import draw_noise, encode_clip
from tests.simulator.test_client_pyav import options

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def large_footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    """The same codec in another size."""
    path = tmp_path_factory.mktemp("clips") / "large.mp4"
    return load_footage(encode_clip(path, "libx264", frames=40, draw=draw_noise, crf="45"))


@pytest.fixture
def server(h264_footage: Footage, h265_footage: Footage, large_footage: Footage) -> Iterator[ServerThread]:
    cameras = [
        CameraSpec("h264", h264_footage, own_port=True),
        CameraSpec("h265", h265_footage),
        CameraSpec("large", large_footage),
    ]
    with ServerThread(cameras) as running:
        yield running


def pictures(container: av.container.InputContainer) -> Iterator[np.ndarray]:
    """Grey pictures; what does not decode is passed over, as the capture process does."""
    for packet in container.demux(video=0):
        try:
            for frame in packet.decode():
                yield frame.to_ndarray(format="gray")
        except av.error.InvalidDataError:
            continue


def see(server: ServerThread, name: str, fault: Fault, transport: str = "tcp") -> Iterator[np.ndarray]:
    """Pictures of a session that runs when the fault begins, from the first after that on."""
    with av.open(server.url(name), options=options(transport)) as container:
        seen = pictures(container)
        next(seen)
        server.set_fault(name, fault)
        yield from seen


@pytest.mark.parametrize("camera", ["h264", "h265"])
@pytest.mark.parametrize(("fault", "grey"), [(Black(), 0), (Blind(), 112)])
def test_blank_picture_in_mid_stream_and_from_the_start(
    server: ServerThread, camera: str, fault: Fault, grey: int
) -> None:
    for _, picture in zip(range(400), see(server, camera, fault), strict=False):
        if abs(picture.mean() - grey) < 20 and picture.std() < 5:
            break
    else:
        pytest.fail("never blank")
    with av.open(server.url(camera), options=options()) as container:
        assert next(pictures(container)).mean() == pytest.approx(grey, abs=20)


@pytest.mark.parametrize("camera", ["h264", "h265"])
def test_frozen_picture_stays_exactly_the_same(server: ServerThread, camera: str) -> None:
    same = 0
    before = None
    for _, picture in zip(range(400), see(server, camera, Freeze()), strict=False):
        same = same + 1 if before is not None and np.array_equal(picture, before) else 0
        before = picture
        if same == 40:
            return
    pytest.fail("never froze")


def test_other_size_in_mid_stream(server: ServerThread) -> None:
    shapes = [picture.shape for _, picture in zip(range(150), see(server, "h264", Switch(to="large")), strict=False)]
    assert shapes[0] == (64, 192)
    assert shapes[-1] == (360, 640)


def test_other_codec_for_new_sessions(server: ServerThread) -> None:
    server.set_fault("h264", Switch(to="h265"))
    with av.open(server.url("h264"), options=options()) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
        next(pictures(container))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("fault", [Loss(ratio=0.05), Corrupt(ratio=0.05), Reorder(ratio=0.1), Flood(times=20)])
def test_bad_way_ends_no_session(server: ServerThread, fault: Fault, transport: str) -> None:
    assert len([*zip(range(60), see(server, "h264", fault, transport), strict=False)]) == 60


@pytest.mark.parametrize(
    ("fault", "error"), [(Refuse(), ConnectionRefusedError), (Unauthorized(), av.error.HTTPUnauthorizedError)]
)
def test_refused(server: ServerThread, fault: Fault, error: type[Exception]) -> None:
    server.set_fault("h264", fault)
    with pytest.raises(error):
        av.open(server.url("h264"), options=options())


def test_redirect_is_followed(server: ServerThread) -> None:
    server.set_fault("h264", Redirect(location=server.url("large")))
    with av.open(server.url("h264"), options=options()) as container:
        assert next(pictures(container)).shape == (360, 640)


def test_sound_without_video(server: ServerThread) -> None:
    server.set_fault("h264", NotVideo())
    with av.open(server.url("h264"), options=options()) as container:
        assert not container.streams.video
        assert container.streams.audio[0].codec_context.name == "pcm_mulaw"
