import pytest

from inference.forms import choose_form

MIB = 1 << 20


@pytest.mark.parametrize(
    ("weights_mib", "memory_mib", "form"),
    [
        (3.5, None, "constants"),
        (3.5, 700, "constants"),
        (3.5, 650, "variables"),
        (34, None, "constants"),
        (34, 1400, "constants"),
        (34, 1024, "variables"),
        (64, None, "constants"),
        (65, None, "variables"),
        (248, 100_000, "variables"),
    ],
)
def test_weights_are_constants_where_their_copies_fit(weights_mib: float, memory_mib: int | None, form: str):
    assert choose_form("tensorflow", int(weights_mib * MIB), memory_mib) == form


def test_openvino_holds_constants_once():
    assert choose_form("openvino", 248 * MIB, 300) == "constants"
