import pytest

from simulator.ranges import NptRange, format_range, parse_range


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("npt=0.000-", NptRange(0.0)),
        ("npt=12.5-20", NptRange(12.5, 20.0)),
        ("npt=now-", NptRange(None)),
        ("npt=0:01:02.5-0:02:00", NptRange(62.5, 120.0)),
        (" npt=3- ;time=19970123T143720Z", NptRange(3.0)),
        ("npt=-10", None),
        ("npt=-", None),
        ("npt=10-10", None),
        ("npt=10-5", None),
        ("npt=1e9-", None),
        ("npt=nan-", None),
        ("npt=" + "9" * 400 + "-", None),
        ("npt=0:99:00-", None),
        ("npt=5", None),
        ("npt=5-6-7", None),
        ("clock=19961108T142300Z-", None),
        ("smpte=0:10:00-", None),
        ("", None),
    ],
)
def test_parse(header: str, wanted: NptRange | None) -> None:
    assert parse_range(header) == wanted


def test_format() -> None:
    assert format_range(25 / 3) == "npt=8.333333-"
    assert format_range(0.0, 2.5) == "npt=0.000000-2.500000"
    assert parse_range(format_range(25 / 3)) == NptRange(8.333333)
