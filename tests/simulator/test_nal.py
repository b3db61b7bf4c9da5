import pytest

from simulator.nal import Codec, has_all_parameter_sets, is_dispensable, is_parameter_set, split_annexb


@pytest.mark.parametrize(
    ("data", "nals"),
    [
        (b"", []),
        (b"no start code", []),
        (b"\0\0\1a", [b"a"]),
        (b"\0\0\0\1a\0\0\1b", [b"a", b"b"]),
        (b"\0\0\1a\0\0\0\1b\0\0\0", [b"a", b"b"]),
        (b"\0\0\1\0\0\1a", [b"a"]),
        (b"\0\0\1a\0\0\3b", [b"a\0\0\3b"]),
    ],
)
def test_split(data: bytes, nals: list[bytes]) -> None:
    assert split_annexb(data) == nals


def test_types_of_h264() -> None:
    assert is_parameter_set(Codec.H264, b"\x67")
    assert not is_parameter_set(Codec.H264, b"\x65")
    assert is_dispensable(Codec.H264, b"\x09")
    assert has_all_parameter_sets(Codec.H264, (b"\x67", b"\x68"))
    assert not has_all_parameter_sets(Codec.H264, (b"\x67",))


def test_types_of_h265() -> None:
    vps, sps, pps, idr, delimiter = (bytes([kind << 1, 1]) for kind in (32, 33, 34, 19, 35))
    assert is_parameter_set(Codec.H265, vps)
    assert not is_parameter_set(Codec.H265, idr)
    assert is_dispensable(Codec.H265, delimiter)
    assert has_all_parameter_sets(Codec.H265, (vps, sps, pps))
    assert not has_all_parameter_sets(Codec.H265, (sps, pps))
