"""Which transport is asked for: UDP only if wanted, and TCP for good once that has failed."""

import pytest

from capture.transport import JUDGED_PACKETS, LOSS_RATIO, MENDED_BY_TCP, TransportChoice
from capture.words import Reason, Transport

CERTAIN = [Transport.TCP, Transport.UDP]


@pytest.mark.parametrize("wanted", CERTAIN)
def test_what_is_asked_for_is_kept_whatever_happens(wanted: Transport) -> None:
    choice = TransportChoice(wanted)
    assert not choice.is_on_trial
    assert not choice.is_lossy(damaged=1000, packets=1000)
    assert not choice.fail(Reason.TIMEOUT, frames=0)
    assert choice.now is wanted


@pytest.mark.parametrize(
    ("damaged", "packets", "is_lossy"),
    [
        (0, 100_000, False),
        (JUDGED_PACKETS - 1, JUDGED_PACKETS - 1, False),  # too few to judge by
        (int(LOSS_RATIO * JUDGED_PACKETS), JUDGED_PACKETS, False),
        (int(LOSS_RATIO * JUDGED_PACKETS) + 1, JUDGED_PACKETS, True),
    ],
)
def test_auto_goes_over_to_tcp_after_much_loss(damaged: int, packets: int, is_lossy: bool) -> None:
    choice = TransportChoice(Transport.AUTO)
    assert choice.now is Transport.UDP
    assert choice.is_lossy(damaged, packets) is is_lossy
    assert choice.now is (Transport.TCP if is_lossy else Transport.UDP)


def test_auto_goes_over_to_tcp_when_nothing_came_and_says_so_once() -> None:
    choice = TransportChoice(Transport.AUTO)
    assert not choice.fail(Reason.TIMEOUT, frames=1)
    assert choice.now is Transport.UDP
    assert choice.fail(Reason.TIMEOUT, frames=0)
    assert not choice.fail(Reason.TIMEOUT, frames=0)
    assert not choice.is_lossy(damaged=1000, packets=1000)
    assert choice.now is Transport.TCP


@pytest.mark.parametrize(
    "reason", [Reason.REFUSED, Reason.UNREACHABLE, Reason.UNAUTHORIZED, Reason.NOT_FOUND, Reason.REDIRECTED]
)
def test_a_camera_that_is_away_says_nothing_of_udp(reason: Reason) -> None:
    assert reason not in MENDED_BY_TCP
    choice = TransportChoice(Transport.AUTO)
    assert not choice.fail(reason, frames=0)
    assert choice.now is Transport.UDP
