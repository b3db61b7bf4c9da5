"""What the gremlin sends is what it says: valid but for a number, or valid but for its second half."""

import math

import msgspec
import pytest

from capture.grouping import MosaicPlan
from capture.messages import Answer, FromChild
from daemon.chaos import gremlin
from daemon.ledger import Ledger
from daemon.trust import UntrustworthyError, check_fits

DECODER = msgspec.msgpack.Decoder(FromChild)
EVERY = [(role, seed) for role in ("worker", "capture") for seed in range(4)]


def take(role: str, message: FromChild) -> None:
    """Check a message as the supervisor does."""
    check_fits(role, message)
    if isinstance(message, Answer):
        plan = MosaicPlan("m1", ("cam-01", None, None, None))
        Ledger((plan,), frozenset({"red"}), {"m1": 5.0}, 0.0).note_answer("w1", message, 0, 1.0)


@pytest.mark.parametrize(("role", "seed"), EVERY)
def test_a_message_is_trusted_but_for_its_number(role: str, seed: int) -> None:
    take(role, DECODER.decode(gremlin._message(role, seed, 9.0)))
    for number in (math.nan, math.inf, -math.inf):
        with pytest.raises(UntrustworthyError):
            take(role, DECODER.decode(gremlin._message(role, seed, number)))


@pytest.mark.parametrize(("role", "seed"), EVERY)
def test_half_a_message_is_none(role: str, seed: int) -> None:
    whole = gremlin._message(role, seed, 9.0)
    with pytest.raises(msgspec.MsgspecError):
        DECODER.decode(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    ("command", "role"),
    [
        ("python -P -m inference.worker w1 --fd 7 --parent 1", "worker"),
        ("python -P -m capture.process c1 --fd 7 --parent 1", "capture"),
        ("python -P -m events.process e1 --fd 7 --parent 1", "events"),
        ("python -P -m daemon.cli run --settings mosaicd.yaml", "supervisor"),
        ("python -P -m daemon.cli worker list", None),
        ("python -P -m inference.export", None),
        ("python -P -m", None),
        ("python script.py", None),
    ],
)
def test_only_the_daemon_and_its_children_take_orders(command: str, role: str | None) -> None:
    assert gremlin._role(command.split()) == role
