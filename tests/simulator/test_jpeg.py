"""JPEG over RTP: what is refused, and that FFmpeg's depacketizer puts the pictures together again."""

import av
import cv2
import numpy as np
import pytest

from simulator.camera import CameraSpec
from simulator.faults import Black, Freeze
from simulator.footage import Footage
from simulator.jpeg import packetize_jpeg
from simulator.nal import Codec
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, read_number
from tests.simulator.test_client_pyav import options


def jpeg(height: int = 64, width: int = 96, *options: int) -> bytes:
    noise = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", noise, options)[1].tobytes()


def test_footage(jpeg_footage: Footage) -> None:
    assert (jpeg_footage.codec, jpeg_footage.size_wh, jpeg_footage.fps) == (Codec.JPEG, (192, 64), FPS)
    assert len(jpeg_footage.frames) == 50
    assert all(frame.is_key and frame.packets.picture.startswith(b"\xff\xd8") for frame in jpeg_footage.frames)


def test_payloads_follow_each_other() -> None:
    payloads = packetize_jpeg(jpeg(480, 640))
    assert len(payloads) > 10
    offset = 0
    for payload in payloads:
        assert len(payload) <= 1400
        assert int.from_bytes(payload[1:4], "big") == offset
        assert payload[4:8] == bytes((1, 255, 80, 60))
        offset += len(payload) - 8 - (0 if offset else 4 + 128)


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (b"", "no JPEG"),
        (b"\xff\xd8", "ends before its picture"),
        (jpeg()[:300], "ends before its picture"),
        (jpeg(16, 2048), "over 2040 pixels"),
        (jpeg(64, 96, cv2.IMWRITE_JPEG_OPTIMIZE, 1), "Huffman tables of its own"),
        (jpeg(64, 96, cv2.IMWRITE_JPEG_PROGRESSIVE, 1), "not baseline"),
        (jpeg(64, 96, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444), "neither 4:2:0 nor"),
    ],
)
def test_what_rtp_cannot_carry(picture: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        packetize_jpeg(picture)


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_ffmpeg_plays_it(jpeg_footage: Footage, transport: str) -> None:
    with (
        ServerThread([CameraSpec("cam-01", jpeg_footage)]) as server,
        av.open(server.url("cam-01"), options=options(transport)) as container,
    ):
        assert container.streams.video[0].codec_context.name == "mjpeg"
        frames = [
            frame.to_ndarray(format="gray") for frame, _ in zip(container.decode(video=0), range(60), strict=False)
        ]
    numbers = [read_number(frame) for frame in frames]
    assert numbers == [number % 50 for number in range(numbers[0], numbers[0] + 60)]


@pytest.mark.slow
def test_blank_and_frozen_pictures(jpeg_footage: Footage) -> None:
    with ServerThread([CameraSpec("cam-01", jpeg_footage, fault=Black())]) as server:
        with av.open(server.url("cam-01"), options=options()) as container:
            assert next(container.decode(video=0)).to_ndarray(format="gray").mean() < 25
        server.set_fault("cam-01", Freeze())
        with av.open(server.url("cam-01"), options=options()) as container:
            assert (
                len(
                    {
                        read_number(frame.to_ndarray(format="gray"))
                        for frame, _ in zip(container.decode(video=0), range(20), strict=False)
                    }
                )
                == 1
            )
