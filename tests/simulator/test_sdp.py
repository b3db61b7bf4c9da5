from base64 import b64decode
from pathlib import Path

import pytest

from simulator.footage import Footage
from simulator.sdp import describe


def attributes(text: str) -> dict[str, str]:
    lines = [line[2:] for line in text.split("\r\n") if line.startswith("a=")]
    return {name: value for name, _, value in (line.partition(":") for line in lines)}


def parameters(text: str) -> dict[str, str]:
    listed = attributes(text)["fmtp"].removeprefix("96 ").split(";")
    return {name: value for name, _, value in (part.partition("=") for part in listed)}


def test_h264_description(h264_footage: Footage) -> None:
    text = describe("cam-01", h264_footage, "127.0.0.1")
    assert text.startswith("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=cam-01\r\n")
    assert "\r\nm=video 0 RTP/AVP 96\r\n" in text
    assert text.endswith("a=control:video\r\n")
    assert attributes(text) | {"fmtp": "", "control": ""} == {
        "tool": "mosaicd simulator",
        "control": "",
        "range": "npt=0-",
        "rtpmap": "96 H264/90000",
        "fmtp": "",
        "framerate": "50",
        "framesize": "96 192-64",
    }
    found = parameters(text)
    sets = tuple(b64decode(part) for part in found["sprop-parameter-sets"].split(","))
    assert sets == h264_footage.parameter_sets
    assert found["packetization-mode"] == "1"
    assert bytes.fromhex(found["profile-level-id"]) == sets[0][1:4]


def test_h265_description(h265_footage: Footage) -> None:
    text = describe("cam-01", h265_footage, "::1")
    assert "\r\nc=IN IP6 ::\r\n" in text
    assert attributes(text)["rtpmap"] == "96 H265/90000"
    found = parameters(text)
    sets = tuple(b64decode(found[f"sprop-{kind}"]) for kind in ("vps", "sps", "pps"))
    assert sets == h265_footage.parameter_sets


@pytest.mark.data
def test_fractional_rate(videos: Path) -> None:
    from simulator.demux import load_footage

    assert attributes(describe("c", load_footage(videos / "car-detection.mp4"), "127.0.0.1"))["framerate"] == "12.5"
