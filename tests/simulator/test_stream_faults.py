"""What goes wrong in mid-stream, as its packets show it."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from simulator.camera import CameraSpec
from simulator.faults import (
    Black,
    Corrupt,
    Drip,
    Fast,
    Flood,
    Freeze,
    Hang,
    Jitter,
    Jump,
    Loss,
    Pause,
    Reorder,
    StreamFault,
    Switch,
    Wrap,
)
from simulator.footage import Footage
from simulator.nal import Codec
from simulator.rtp import payloads_of
from simulator.thread import ServerThread
from tests.simulator.clips import FPS
from tests.simulator.depacketize import depacketize
from tests.simulator.raw import Packet, RawClient, rtp_info

STEP = 90_000 // FPS


@pytest.fixture
def server(h264_footage: Footage, h265_footage: Footage) -> Iterator[ServerThread]:
    cameras = [CameraSpec("bad", h264_footage), CameraSpec("other", h265_footage)]
    with ServerThread(cameras) as running:
        yield running


def read_frames(client: RawClient, count: int) -> list[list[Packet]]:
    return [client.read_frame() for _ in range(count)]


def times(frames: list[list[Packet]]) -> list[int]:
    return [frame[0].timestamp for frame in frames]


def sizes(frames: list[list[Packet]]) -> list[int]:
    return [sum(len(packet.payload) for packet in frame) for frame in frames]


def read_until_key(client: RawClient, footage: Footage) -> list[Packet]:
    """The next frame that is this footage's first."""
    wanted = payloads_of(footage.frames[0].packets)
    for _ in range(200):
        frame = client.read_frame()
        if [packet.payload for packet in frame] == wanted:
            return frame
    raise AssertionError("the first frame did not come")


def assert_unbroken(frames: list[list[Packet]]) -> None:
    """No packet's number is left out, and no time goes back much (B-frames do a little)."""
    packets = [packet for frame in frames for packet in frame]
    assert all((after.sequence - before.sequence) % 65536 == 1 for before, after in pairwise(packets))
    assert all(
        (after - before) % 2**32 < 8 * STEP or (before - after) % 2**32 < 8 * STEP
        for before, after in pairwise(times(frames))
    )


def test_frozen_picture_comes_at_every_turn_and_numbers_go_on(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        frames = read_frames(client, 5)
        server.set_fault("bad", Freeze())
        while sizes(frames[-3:]) != sizes(frames[-1:]) * 3:
            frames += read_frames(client, 1)
        still = read_frames(client, 30)
        assert len({tuple(packet.payload for packet in frame) for frame in still}) == 1
        assert Codec.H264.nal_type(depacketize(Codec.H264, [p.payload for p in still[0]])[0]) == 7
        assert [after - before for before, after in pairwise(times(still))] == [STEP] * 29
        server.set_fault("bad", None)
        frames += [*still, *read_frames(client, 30)]
        assert len(set(sizes(frames[-20:]))) > 1
        assert_unbroken(frames)


@pytest.mark.parametrize("fault", [Switch(to="other"), Black()])
def test_other_picture_begins_with_its_key_frame(
    server: ServerThread, fault: StreamFault, h265_footage: Footage
) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        frames = read_frames(client, 5)
        server.set_fault("bad", fault)
        frames += read_frames(client, 20)
        if isinstance(fault, Switch):
            frames.append(read_until_key(client, h265_footage))
        with RawClient(server.port) as late:
            body = late.ask("DESCRIBE", "bad").body
            assert ("H265/90000" in body) == isinstance(fault, Switch)
            late.play("bad")
            assert_unbroken(read_frames(late, 5))
        server.set_fault("bad", None)
        read_frames(client, 60)
        assert "H264/90000" in client.ask("DESCRIBE", "bad").body
        if isinstance(fault, Black):
            assert_unbroken(frames)


def test_timestamps_jump_once(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        stamps = times(read_frames(client, 5))
        server.set_fault("bad", Jump(by_s=-3600))
        stamps += times(read_frames(client, 30))
        jumps = [
            back for before, after in pairwise(stamps) if (back := (before - after) % 2**32) in range(10**6, 2**31)
        ]
        assert len(jumps) == 1
        assert jumps[0] == pytest.approx(3600 * 90_000, abs=4 * STEP)


def test_timestamps_wrap_soon_in_new_sessions_and_in_those_that_run(server: ServerThread) -> None:
    with RawClient(server.port) as client, RawClient(server.port) as late:
        client.play("bad")
        client.read_frame()
        server.set_fault("bad", Wrap(in_s=0.2))
        assert rtp_info(late.play("bad"))[1] == 2**32 - 18_000
        for each in (late, client):
            stamps = times(read_frames(each, 30))
            assert min(stamps) < 10**6
            assert max(stamps) > 2**32 - 10**6


def test_fast_clock(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        server.set_fault("bad", Fast(ratio=2))
        client.play("bad")
        stamps = sorted(times(read_frames(client, 40)))
        assert {after - before for before, after in pairwise(stamps[:30])} == {2 * STEP}


def test_pause_and_burst(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        server.set_fault("bad", Pause(ms=200))
        client.play("bad")
        assert client.is_quiet(0.1)
        assert_unbroken(read_frames(client, 60))


def test_jitter_keeps_the_order(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        frames = read_frames(client, 5)
        server.set_fault("bad", Jitter(up_to_ms=100))
        frames += read_frames(client, 40)
        server.set_fault("bad", None)
        assert_unbroken([*frames, *read_frames(client, 20)])


def test_flood(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        before = sum(sizes(read_frames(client, 100)))
        server.set_fault("bad", Flood(times=20))
        read_frames(client, 10)
        flooded = read_frames(client, 100)
        assert 18 * before < sum(sizes(flooded)) < 60 * before
        assert_unbroken(flooded)


def test_loss_over_tcp(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        server.set_fault("bad", Loss(ratio=0.3, seed=1))
        client.play("bad")
        numbers = [client.read_packet().sequence for _ in range(100)]
        assert 115 < (numbers[-1] - numbers[0]) % 65536 < 180
        server.set_fault("bad", None)
        for _ in range(50):
            client.read_packet()
        assert_unbroken(read_frames(client, 10))


def test_reorder_and_corruption(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        server.set_fault("bad", Reorder(ratio=0.3, seed=1))
        client.play("bad")
        numbers = [client.read_packet().sequence for _ in range(100)]
        assert any(after != (before + 1) % 65536 for before, after in pairwise(numbers))
        assert len(set(numbers)) == 100
        server.set_fault("bad", Corrupt(ratio=1.0))
        for _ in range(20):
            client.read_packet()
        assert client.ask("GET_PARAMETER", "bad").status == 200


def test_drip_of_whole_packets_answers_and_sends_no_video(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        client.read_frame()
        server.set_fault("bad", Drip(every_s=0.05))
        reports = 0
        while reports < 5:
            channel, data = client.read_interleaved()
            reports = reports + 1 if channel == 1 else 0
            assert channel == 0 or data[1] == 200
        assert client.ask("GET_PARAMETER", "bad").status == 200
        server.set_fault("bad", None)
        client.read_frame()


def test_drip_of_bytes_is_completed_when_it_ends(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        client.read_frame()
        server.set_fault("bad", Drip(every_s=0.02, bytewise=True))
        while client.read_interleaved()[0] != 1:
            pass
        assert not client.is_quiet(1.0), "the first byte of the next"
        client.send("GET_PARAMETER", "bad")
        server.set_fault("bad", None)
        assert client.ask("GET_PARAMETER", "bad").status == 200
        client.read_frame()


def test_fault_begins_after_its_delay_and_ends_by_itself(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        server.set_fault("bad", Hang(after_s=0.1, for_s=0.4))
        client.play("bad")
        while not client.is_quiet(0.1):
            client.read_frame()
        client.read_frame()
        assert server.statistics().cameras["bad"].fault is None
        assert client.ask("GET_PARAMETER", "bad").status == 200


def test_fault_that_is_set_anew_starts_its_time_anew(server: ServerThread) -> None:
    with RawClient(server.port) as client:
        client.play("bad")
        server.set_fault("bad", Freeze(for_s=0.05))
        server.set_fault("bad", Freeze())
        read_frames(client, 20)
        assert server.statistics().cameras["bad"].fault == Freeze()
