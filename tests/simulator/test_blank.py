"""Blank pictures decode to what they are said to be."""

from fractions import Fraction

import av
import numpy as np
import pytest

from simulator.blank import LOOP_FRAMES, Blank, blank_footage
from simulator.footage import Footage
from simulator.nal import Codec
from simulator.rtp import payloads_of
from tests.simulator.depacketize import depacketize

DECODERS = {Codec.H264: "h264", Codec.H265: "hevc"}


def decode(footage: Footage) -> list[np.ndarray]:
    """Grey pictures (h, w) of one round."""
    decoder = av.CodecContext.create(DECODERS[footage.codec], "r")
    pictures = []
    for frame in footage.frames:
        nals = depacketize(footage.codec, payloads_of(frame.packets))
        pictures += decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals)))
    pictures += decoder.decode(None)
    return [picture.to_ndarray(format="gray") for picture in pictures]


@pytest.mark.parametrize("codec", DECODERS)
@pytest.mark.parametrize(("blank", "mean", "noise"), [(Blank.BLACK, 0, (0, 0.1)), (Blank.BLIND, 112, (0.3, 4))])
def test_pictures(codec: Codec, blank: Blank, mean: float, noise: tuple[float, float]) -> None:
    footage = blank_footage(blank, codec, (320, 180), Fraction(30))
    assert (footage.codec, footage.size_wh, footage.fps) == (codec, (320, 180), 30)
    assert [frame.is_key for frame in footage.frames] == [True, *[False] * (LOOP_FRAMES - 1)]
    pictures = decode(footage)
    assert len(pictures) == LOOP_FRAMES
    for picture in pictures:
        assert picture.shape == (180, 320)
        assert picture.mean() == pytest.approx(mean, abs=20)
        assert noise[0] <= picture.std() <= noise[1]


def test_is_encoded_once() -> None:
    first = blank_footage(Blank.BLACK, Codec.H264, (64, 64), Fraction(10))
    assert blank_footage(Blank.BLACK, Codec.H264, (64, 64), Fraction(10)) is first
