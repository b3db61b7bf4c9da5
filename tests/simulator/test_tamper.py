"""What bad ways do to packets, by value."""

from bisect import bisect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.faults import Corrupt, Hang, Loss, Reorder
from simulator.tamper import HEADER_BYTES, tampering_of

PACKETS = [bytes(HEADER_BYTES) + number.to_bytes(2, "big") * 20 for number in range(2000)]


def passed(fault: Loss | Reorder | Corrupt, frame: int = 5) -> list[bytes]:
    tampering = tampering_of(fault)
    assert tampering is not None
    return [
        packet
        for start in range(0, len(PACKETS), frame)
        for packet in tampering.pass_on(PACKETS[start : start + frame])
    ]


def test_loss_drops_its_part_and_keeps_the_order() -> None:
    left = passed(Loss(ratio=0.1))
    assert 1740 <= len(left) <= 1860
    assert left == sorted(left)
    assert passed(Loss(ratio=1.0)) == []


@pytest.mark.parametrize("kind", [Loss, Reorder, Corrupt])
def test_seed_decides(kind: type[Loss | Reorder | Corrupt]) -> None:
    assert passed(kind(seed=1)) == passed(kind(seed=1)) == passed(kind(seed=1), frame=7)
    assert passed(kind(seed=1)) != passed(kind(seed=2))


@given(st.floats(0.01, 0.4), st.integers(1, 20), st.integers(0, 9))
def test_reordered_packets_are_late_by_no_more_than_said(ratio: float, by: int, seed: int) -> None:
    out = passed(Reorder(ratio=ratio, by=by, seed=seed))
    on_time: list[int] = []
    for number in (int.from_bytes(packet[-2:], "big") for packet in out):
        if not on_time or number > on_time[-1]:
            on_time.append(number)
        else:
            assert 1 <= len(on_time) - bisect(on_time, number) <= by
    assert len(out) == len(set(out))
    assert len(PACKETS) - len(out) <= 2 * by + 10, "only the last are still held back"


def test_corruption_flips_one_bit_of_a_payload() -> None:
    out = passed(Corrupt(ratio=0.1))
    assert len(out) == len(PACKETS)
    changed = [(before, after) for before, after in zip(PACKETS, out, strict=True) if before != after]
    assert 140 <= len(changed) <= 260
    for before, after in changed:
        assert before[:HEADER_BYTES] == after[:HEADER_BYTES]
        assert (int.from_bytes(before, "big") ^ int.from_bytes(after, "big")).bit_count() == 1


def test_other_faults_leave_packets_alone() -> None:
    assert tampering_of(Hang()) is None
