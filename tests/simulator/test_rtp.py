import struct

from simulator.rtcp import sender_report
from simulator.rtp import address_frame, build_frame, interleave, iter_datagrams
from tests.simulator.raw import parse_packet


def test_packets_are_numbered_over_the_wrap_and_the_last_has_the_marker() -> None:
    frame = build_frame([b"one", b"three", b"x"])
    packets = [parse_packet(bytes(d)) for d in iter_datagrams(frame, address_frame(frame, 0, 0xFFFF, 7, 9))]
    assert [(p.sequence, p.marker, p.payload) for p in packets] == [
        (0xFFFF, False, b"one"),
        (0, False, b"three"),
        (1, True, b"x"),
    ]
    assert {(p.timestamp, p.ssrc) for p in packets} == {(7, 9)}
    assert frame.octets == 9


def test_tcp_sends_the_same_packets_interleaved() -> None:
    frame = build_frame([b"one", b"two"])
    packets = address_frame(frame, 4, 1, 2, 3)
    assert bytes(packets) == b"".join(interleave(4, bytes(d)) for d in iter_datagrams(frame, packets))
    assert packets[:4] == b"$\x04\x00\x0f"


def test_addressing_leaves_the_template_alone() -> None:
    frame = build_frame([b"one"])
    before = frame.template
    address_frame(frame, 2, 1, 2, 3)[:] = b""
    assert frame.template == before


def test_sender_report() -> None:
    packet = sender_report(0x01020304, 1.5, 90_000, packets=3, octets=4000, cname="me")
    head, length = struct.unpack(">HH", packet[:4])
    assert (head, length) == (0x80C8, 6)
    assert struct.unpack(">IIIIII", packet[4:28]) == (
        0x01020304,
        2_208_988_801,
        1 << 31,
        90_000,
        3,
        4000,
    )
    head, length = struct.unpack(">HH", packet[28:32])
    assert head == 0x81CA
    assert len(packet) == 28 + 4 + length * 4
    assert packet[32:40] == b"\x01\x02\x03\x04\x01\x02me"
    assert set(packet[40:]) == {0}
