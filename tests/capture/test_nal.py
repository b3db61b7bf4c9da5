"""NAL units: parameter sets are found where they are, and only there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.nal import is_complete, join, nal_type, parameter_sets, split

H264 = b"\x00\x00\x00\x01\x67sps\x00\x00\x01\x68pps\x00\x00\x00\x01\x06sei\x00\x00\x01\x65slice\x00\x00\x01\x67late"
H265 = b"\x00\x00\x00\x01\x40\x01v\x00\x00\x00\x01\x42\x01s\x00\x00\x01\x44\x01p\x00\x00\x01\x26\x01idr"


def test_a_byte_stream_is_split_at_start_codes_of_either_length() -> None:
    assert list(split(H264)) == [b"\x67sps", b"\x68pps", b"\x06sei", b"\x65slice", b"\x67late"]
    assert list(split(b"no start code")) == []
    assert list(split(b"")) == []
    assert list(split(b"\x00\x00\x01\x00\x00\x01\x65")) == [b"\x65"]


def test_sets_behind_the_first_slice_are_not_of_this_picture() -> None:
    assert parameter_sets("h264", H264) == (b"\x67sps", b"\x68pps")
    assert parameter_sets("hevc", H265) == (b"\x40\x01v", b"\x42\x01s", b"\x44\x01p")


def test_a_set_that_is_repeated_counts_once() -> None:
    assert parameter_sets("h264", join((b"\x67a", b"\x68b", b"\x67a", b"\x68b"))) == (b"\x67a", b"\x68b")


@pytest.mark.parametrize(("codec", "data"), [("h264", H264), ("hevc", H265)])
def test_sets_are_complete_when_none_is_missing(codec: str, data: bytes) -> None:
    sets = parameter_sets(codec, data)
    assert is_complete(codec, sets)
    assert not is_complete(codec, sets[:-1])
    assert parameter_sets(codec, join(sets)) == sets


@given(st.sampled_from(["h264", "hevc"]), st.lists(st.binary(min_size=1, max_size=20), max_size=8))
def test_units_that_are_joined_are_split_again(codec: str, nals: list[bytes]) -> None:
    # What an encoder makes of them: no start code inside, no zero at the end (H.264, 7.4.1.1).
    clean = tuple(nal.replace(b"\x00", b"\x01") for nal in nals)
    assert tuple(split(join(clean))) == clean
    assert set(parameter_sets(codec, join(clean))) <= set(clean)


@given(st.binary(max_size=200))
def test_any_bytes_are_split(data: bytes) -> None:
    assert all(nal and data.count(nal) for nal in split(data))


def test_types() -> None:
    assert nal_type("h264", b"\x65") == 5
    assert nal_type("hevc", b"\x42\x01") == 33
