"""Faults as text: every kind is known by its word, and nonsense is answered with the nearest sense."""

import pytest
from msgspec import to_builtins

from simulator.faults import KINDS, FaultError, Hang, NotFound, Redirect, Switch, read_fault

NEEDED = {"redirect": {"location": "rtsp://127.0.0.1/x"}, "switch": {"to": "cam-02"}}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_goes_to_text_and_back(kind: str) -> None:
    fault = read_fault({"kind": kind, "for_s": 20, **NEEDED.get(kind, {})})
    assert type(fault) is KINDS[kind]
    assert fault.kind == kind
    assert fault.for_s == 20
    assert read_fault(to_builtins(fault)) == fault


def test_values() -> None:
    assert read_fault({"kind": "not_found"}) == NotFound()
    assert read_fault({"kind": "hang", "after_s": 1.5}) == Hang(after_s=1.5)
    assert read_fault({"kind": "redirect", "location": "rtsp://h/p"}) == Redirect(location="rtsp://h/p")
    assert read_fault({"kind": "switch", "to": "cam-02", "for_s": None}) == Switch(to="cam-02")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "no kind; there are refuse, silent, "),
        ({"kind": "hnag"}, "no kind 'hnag'; did you mean 'hang'?"),
        ({"kind": None}, "no kind None; there are refuse, "),
        ({"kind": ["hang"]}, "no kind ['hang']; did you mean 'hang'?"),
        ({"kind": "loss", "ratoi": 1}, "no field of loss 'ratoi'; did you mean 'ratio'?"),
        ({"kind": "loss", 3: 1}, "no field of loss 3; there are kind, for_s, "),
        ({"kind": "loss", "ratio": 2}, "loss: ratio: Expected `float` <= 1.0"),
        ({"kind": "loss", "ratio": "much"}, "loss: ratio: Expected `float`, got `str`"),
        ({"kind": "hang", "for_s": 0}, "hang: for_s: Expected `float` > 0.0"),
        ({"kind": "redirect"}, "redirect: Object missing required field `location`"),
    ],
)
def test_nonsense(fields: dict[object, object], said: str) -> None:
    with pytest.raises(FaultError) as caught:
        read_fault(fields)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)
