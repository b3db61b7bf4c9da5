import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.nal import Codec
from simulator.packetize import PAYLOAD_LIMIT_BYTES, packetize
from tests.simulator.depacketize import depacketize

# Headers of NAL unit types that a stream itself may have (aggregates and fragments are RTP's own).
H264_HEADERS = st.builds(lambda nri, kind: bytes([nri << 5 | kind]), st.integers(0, 3), st.integers(1, 23))
H265_HEADERS = st.builds(
    lambda kind, layer, temporal: bytes([kind << 1 | layer >> 5, (layer & 31) << 3 | temporal]),
    st.integers(0, 47),
    st.integers(0, 63),
    st.integers(1, 7),
)


def nal_units(headers: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    nal = st.builds(lambda header, body: header + body, headers, st.binary(min_size=1, max_size=300))
    return st.lists(nal, min_size=1, max_size=12)


@given(nal_units(H264_HEADERS), st.integers(4, 200))
def test_h264_round_trip(nals: list[bytes], limit: int) -> None:
    payloads = packetize(Codec.H264, nals, limit)
    assert all(0 < len(payload) <= limit for payload in payloads)
    assert depacketize(Codec.H264, payloads) == nals


@given(nal_units(H265_HEADERS), st.integers(5, 200))
def test_h265_round_trip(nals: list[bytes], limit: int) -> None:
    payloads = packetize(Codec.H265, nals, limit)
    assert all(0 < len(payload) <= limit for payload in payloads)
    assert depacketize(Codec.H265, payloads) == nals


def test_h264_single_unit_goes_as_it_is() -> None:
    assert packetize(Codec.H264, [b"\x65slice"]) == [b"\x65slice"]


def test_h264_parameter_sets_share_a_stap_a_with_the_highest_nri() -> None:
    assert packetize(Codec.H264, [b"\x27sps", b"\x68pps"]) == [b"\x78\x00\x04\x27sps\x00\x04\x68pps"]


def test_h264_fu_a_marks_start_and_end_and_keeps_type_and_nri() -> None:
    first, middle, last = packetize(Codec.H264, [b"\x65" + b"abcdefgh"], 5)
    assert first == b"\x7c\x85abc"
    assert middle == b"\x7c\x05def"
    assert last == b"\x7c\x45gh"


def test_h265_ap_takes_the_lowest_layer_and_temporal_id() -> None:
    vps, sps = bytes([32 << 1, 1]) + b"v", bytes([33 << 1 | 1, 2]) + b"s"
    assert packetize(Codec.H265, [vps, sps]) == [bytes([48 << 1, 1]) + b"\x00\x03" + vps + b"\x00\x03" + sps]


def test_h265_fu_carries_type_in_its_third_byte() -> None:
    first, last = packetize(Codec.H265, [bytes([19 << 1, 1]) + b"abcdef"], 6)
    assert first == bytes([49 << 1, 1, 0x80 | 19]) + b"abc"
    assert last == bytes([49 << 1, 1, 0x40 | 19]) + b"def"


def test_unit_of_exactly_the_limit_is_not_fragmented() -> None:
    nal = b"\x65" + bytes(PAYLOAD_LIMIT_BYTES - 1)
    assert packetize(Codec.H264, [nal]) == [nal]
    assert len(packetize(Codec.H264, [nal + b"x"])) == 2


@pytest.mark.parametrize(("codec", "nal"), [(Codec.H264, b""), (Codec.H265, b"\x40")])
def test_unit_without_header_is_refused(codec: Codec, nal: bytes) -> None:
    with pytest.raises(ValueError, match="has no header"):
        packetize(codec, [nal])


def test_limit_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="no fragment fits into 2 bytes"):
        packetize(Codec.H264, [b"\x65slice"], 2)
