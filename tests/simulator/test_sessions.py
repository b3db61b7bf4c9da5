"""How frames come: order, pace, ranges, pauses, reports, time-outs, and what a slow client gets."""

import socket
import struct
import time
from collections.abc import Iterator

import pytest

from simulator.camera import CameraSpec
from simulator.footage import Footage
from simulator.nal import Codec
from simulator.thread import ServerThread
from tests.simulator.clips import FPS, FRAMES, GOP
from tests.simulator.depacketize import depacketize
from tests.simulator.raw import Packet, RawClient, parse_packet, range_start, rtp_info

STEP = 90_000 // FPS


@pytest.fixture
def server(h264_footage: Footage) -> Iterator[ServerThread]:
    cameras = [CameraSpec("cam-01", h264_footage), CameraSpec("late", h264_footage, start_offset_s=1.7)]
    with ServerThread(cameras) as running:
        yield running


@pytest.fixture
def client(server: ServerThread) -> Iterator[RawClient]:
    with RawClient(server.port) as connected:
        yield connected


def is_key(packets: list[Packet]) -> bool:
    nals = depacketize(Codec.H264, [packet.payload for packet in packets])
    return Codec.H264.nal_type(nals[0]) == 7


def ticks_between(before: int, after: int) -> int:
    return (after - before + 2**31) % 2**32 - 2**31


def test_first_packet_is_the_one_that_rtp_info_names(client: RawClient) -> None:
    reply = client.play("cam-01")
    first = client.read_packet()
    assert (first.sequence, first.timestamp) == rtp_info(reply)
    assert range_start(reply) == 0.0


def test_every_frame_of_the_loop_arrives_in_order_and_again(client: RawClient, h264_footage: Footage) -> None:
    base = rtp_info(client.play("late"))[1]
    shown, packets = [], []
    for _ in range(45):
        frame = client.read_frame()
        assert len({packet.timestamp for packet in frame}) == 1
        shown.append(ticks_between(base, frame[0].timestamp))
        packets += frame
    numbers = [packet.sequence for packet in packets]
    assert numbers == [(numbers[0] + index) % 65536 for index in range(len(numbers))]
    # Offset 1.7 s is snapped to 1.6 s, so the seam comes after 20 frames; shown order has no gap there.
    wanted = [f.pts_ticks for f in h264_footage.frames]
    unrolled = wanted[80:] + [ticks + h264_footage.duration_ticks for ticks in wanted]
    assert shown == [ticks - wanted[80] for ticks in unrolled][:45]
    assert sorted(shown)[:40] == list(range(0, 40 * STEP, STEP))


def test_frames_come_at_their_pace(client: RawClient) -> None:
    client.play("cam-01")
    client.read_frame()
    started = time.monotonic()
    for _ in range(25):
        client.read_frame()
    assert 0.45 < time.monotonic() - started < 2.0


@pytest.mark.parametrize(("wanted_s", "found_s"), [(0.5, 0.4), (0.8, 0.8), (0.79, 0.4), (2.3, 2.0), (90.0, 90.0)])
def test_range_starts_at_the_key_frame_at_or_before(client: RawClient, wanted_s: float, found_s: float) -> None:
    reply = client.play("cam-01", f"npt={wanted_s}-")
    assert range_start(reply) == pytest.approx(found_s)
    frame = client.read_frame()
    assert is_key(frame)
    assert frame[0].timestamp == rtp_info(reply)[1]


def test_range_with_an_end_stops_there(server: ServerThread, client: RawClient) -> None:
    reply = client.play("cam-01", "npt=0.4-0.8")
    assert reply.headers["range"] == "npt=0.400000-0.800000"
    base = rtp_info(reply)[1]
    shown = [ticks_between(base, client.read_frame()[0].timestamp) for _ in range(GOP)]
    assert max(shown) <= 0.4 * 90_000 + 2 * STEP
    while server.statistics().playing:
        client.read_frame()
    assert client.ask("GET_PARAMETER", "cam-01").status == 200


@pytest.mark.parametrize("range_", [None, "npt=now-"])
def test_without_a_start_it_is_live(server: ServerThread, client: RawClient, range_: str | None) -> None:
    client.play("cam-01")
    for _ in range(30):
        client.read_frame()
    with RawClient(server.port) as another:
        start_s = range_start(another.play("cam-01", range_))
    assert start_s % 0.4 == pytest.approx(0, abs=1e-4) or start_s % 0.4 == pytest.approx(0.4, abs=1e-4)
    assert 0.4 <= start_s <= 2.0


def test_pause_and_play_again_goes_on_where_it_was(server: ServerThread, client: RawClient) -> None:
    client.play("cam-01")
    frames = [client.read_frame() for _ in range(7)]
    reply = client.ask("PAUSE", "cam-01")
    assert reply.status == 200
    held = server.statistics().cameras["cam-01"].frames_sent
    frames += [client.read_frame() for _ in range(held - len(frames))]
    assert client.is_quiet(0.1)
    assert server.statistics().cameras["cam-01"].frames_sent == held
    resumed = client.ask("PLAY", "cam-01")
    assert range_start(resumed) == range_start(reply)
    first = client.read_frame()[0]
    assert (first.sequence, first.timestamp) == rtp_info(resumed)
    assert first.sequence == (frames[-1][-1].sequence + 1) % 65536
    assert client.ask("PAUSE", "cam-01").status == client.ask("PAUSE", "cam-01").status == 200


def test_seek_while_playing_keeps_numbers_and_timestamps_continuous(client: RawClient) -> None:
    client.play("cam-01")
    before = [client.read_frame() for _ in range(5)]
    reply = client.play("cam-01", "npt=1.2-")
    sequence, timestamp = rtp_info(reply)
    while (frame := client.read_frame())[0].sequence != sequence:
        before.append(frame)
    assert is_key(frame)
    newest = max(ticks_between(before[0][0].timestamp, f[0].timestamp) for f in before)
    assert ticks_between(before[0][0].timestamp, timestamp) == newest + STEP
    assert frame[0].sequence == (before[-1][-1].sequence + 1) % 65536


def test_play_while_playing_without_range_changes_nothing(client: RawClient) -> None:
    client.play("cam-01")
    before = client.read_frame()
    assert "rtp-info" not in client.play("cam-01", None).headers
    assert client.read_frame()[0].sequence == (before[-1].sequence + 1) % 65536


def test_sender_report_ties_timestamps_to_the_clock(client: RawClient) -> None:
    reply = client.play("cam-01")
    channel, report = client.read_interleaved()
    assert channel == 1
    kind, ssrc, ntp_s, _, timestamp = struct.unpack(">2xHIIII", b"\0\0" + report[2:4] + report[4:20])
    assert kind == 6
    assert report[1] == 200
    assert ntp_s - 2_208_988_800 == pytest.approx(time.time(), abs=2)
    assert ticks_between(rtp_info(reply)[1], timestamp) == pytest.approx(0, abs=STEP)
    assert client.read_packet().ssrc == ssrc


def test_udp_frames_and_reports_come_from_the_ports_it_named(client: RawClient, h264_footage: Footage) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as rtp, socket.socket(type=socket.SOCK_DGRAM) as rtcp:
        for endpoint in (rtp, rtcp):
            endpoint.bind(("127.0.0.1", 0))
            endpoint.settimeout(5)
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        reply = client.setup("cam-01", f"RTP/AVP;unicast;client_port={ports}")
        named = dict(part.partition("=")[::2] for part in reply.headers["transport"].split(";"))
        assert named["client_port"] == ports
        info = rtp_info(client.play("cam-01"))
        data, sender = rtp.recvfrom(2000)
        first = parse_packet(data)
        assert (first.sequence, first.timestamp) == info
        assert f"{first.ssrc:08X}" == named["ssrc"]
        report, reporter = rtcp.recvfrom(2000)
        assert report[1] == 200
        assert named["server_port"] == f"{sender[1]}-{reporter[1]}"


def test_large_frames_over_udp_arrive_whole(heavy_footage: Footage) -> None:
    most = max(len(frame.packets.starts) for frame in heavy_footage.frames)
    assert most > 100
    with (
        ServerThread([CameraSpec("noise", heavy_footage)]) as server,
        RawClient(server.port) as client,
        socket.socket(type=socket.SOCK_DGRAM) as rtp,
    ):
        rtp.bind(("127.0.0.1", 0))
        rtp.settimeout(5)
        port = rtp.getsockname()[1]
        client.setup("noise", f"RTP/AVP;unicast;client_port={port}-{port + 1}")
        client.play("noise")
        wanted = sum(len(frame.packets.starts) for frame in heavy_footage.frames[:10])
        numbers = [parse_packet(rtp.recv(2000)).sequence for _ in range(wanted)]
    assert numbers == [(numbers[0] + index) % 65536 for index in range(wanted)]


@pytest.mark.parametrize("transport", ["RTP/AVP/TCP;unicast;interleaved=0-1", "RTP/AVP;unicast;client_port=9998-9999"])
def test_client_that_is_not_heard_is_disconnected(h264_footage: Footage, transport: str) -> None:
    with (
        ServerThread([CameraSpec("cam-01", h264_footage)], session_timeout_s=0.2) as server,
        RawClient(server.port) as client,
    ):
        client.setup("cam-01", transport)
        client.play("cam-01")
        client.wait_closed()
        assert server.statistics().expired == 1
        assert server.statistics().playing == 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["GET_PARAMETER", "OPTIONS", "RTCP"])
def test_client_that_is_heard_stays(h264_footage: Footage, method: str) -> None:
    with (
        ServerThread([CameraSpec("cam-01", h264_footage)], session_timeout_s=0.4) as server,
        RawClient(server.port) as client,
    ):
        client.play("cam-01")
        for _ in range(FPS):  # over two time-outs, by the frames' own pace
            client.read_frame()
            if method == "RTCP":
                client.socket.sendall(b"$\x01\x00\x08\x80\xc9\x00\x01abcd")
            else:
                client.ask(method, "cam-01")
        assert server.statistics().expired == 0


@pytest.mark.slow
def test_rtcp_over_udp_keeps_a_session(h264_footage: Footage) -> None:
    with (
        ServerThread([CameraSpec("cam-01", h264_footage)], session_timeout_s=0.4) as server,
        RawClient(server.port) as client,
        socket.socket(type=socket.SOCK_DGRAM) as rtp,
        socket.socket(type=socket.SOCK_DGRAM) as rtcp,
    ):
        for endpoint in (rtp, rtcp):
            endpoint.bind(("127.0.0.1", 0))
            endpoint.settimeout(5)
        ports = f"{rtp.getsockname()[1]}-{rtcp.getsockname()[1]}"
        reply = client.setup("cam-01", f"RTP/AVP;unicast;client_port={ports}")
        server_rtcp = int(reply.headers["transport"].partition("server_port=")[2].partition(";")[0].partition("-")[2])
        client.play("cam-01")
        for _ in range(FPS):
            rtp.recv(2000)
            rtcp.sendto(b"\x80\xc9\x00\x01abcd", ("127.0.0.1", server_rtcp))
        assert server.statistics().expired == 0


def test_client_that_does_not_read_loses_frames_and_costs_nobody_else_any(heavy_footage: Footage) -> None:
    cameras = [CameraSpec("slow", heavy_footage), CameraSpec("good", heavy_footage)]
    with (
        ServerThread(cameras) as server,
        RawClient(server.port, receive_buffer_bytes=8192) as slow,
        RawClient(server.port) as good,
    ):
        slow.play("slow")
        good.play("good")
        read = 0
        while server.statistics().cameras["slow"].frames_dropped < 10:
            assert read < 2000
            good.read_frame()
            read += 1
        counts = server.statistics().cameras
        assert counts["good"].frames_dropped == 0
        assert counts["good"].frames_sent - read <= 5
        # What slow reads now is whole up to the first loss; there numbers jump, and a key frame follows.
        before = slow.read_frame()
        frames = 1
        while (frame := slow.read_frame())[0].sequence == (before[-1].sequence + 1) % 65536:
            before, frames = frame, frames + 1
        assert is_key(frame)
        assert frames <= counts["slow"].frames_sent < FRAMES
