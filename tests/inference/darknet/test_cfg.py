from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.darknet.cfg import MAX_BYTES, MAX_SECTIONS, CfgError, Option, parse_cfg, read_cfg
from tests.inference.darknet_examples import DATA, needs_data

PATH = Path("some.cfg")


def test_sections_and_options_keep_their_lines():
    net, layer = parse_cfg("# a\n[net]\r\n width = 3 2\n\n;b\n[ convolutional ]\nanchors = 1, 2,\n", PATH)
    assert (net.name, net.line, net.options) == ("net", 2, (Option("width", "32", 3),))
    assert (layer.name, layer.line, layer.options) == ("convolutional", 6, (Option("anchors", "1,2,", 7),))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "no [section] at all"),
        ("# only\n; comments\n", 0, "no [section] at all"),
        ("width=3\n[net]\n", 1, "'width=3' stands before the first [section]"),
        ("[net]\nwidth\n", 2, "'width' is not key=value"),
        ("[net]\n=3\n", 2, "'=3' is not key=value"),
        ("[net]\nwidth=\n", 2, "'width=' is not key=value"),
        ("[net]\n[yolo\n", 2, "'[yolo' is not a [section]"),
        ("[net]\n[]\n", 2, "'[]' is not a [section]"),
        ("[net]\n[a]b]\n", 2, "'[a]b]' is not a [section]"),
        ("\n[yolo]\n", 2, "the first section is [yolo]"),
        ("[net]\n[yolo]\nnum=1\nmax=2\nnum=1\n", 5, "[yolo] 'num' stands twice, first on line 3"),
        ("[net]\n" + "[yolo]\n" * MAX_SECTIONS, MAX_SECTIONS + 1, "sections"),
        ("[net]\n#" + "x" * MAX_BYTES, 0, "characters"),
    ],
)
def test_malformed_text_is_refused_with_its_line(text: str, line: int, message: str):
    with pytest.raises(CfgError) as caught:
        parse_cfg(text, PATH)
    assert caught.value.line == line
    assert message in caught.value.message
    assert str(caught.value).startswith("some.cfg:" if line == 0 else f"some.cfg:{line}: ")


def test_a_repeated_net_option_counts_the_first_time():
    (net,) = parse_cfg("[net]\nbatch=1\nbatch=64\n", PATH)
    assert net.integer("batch", 0, 0, 100) == 1


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("7a", "num=7a"),
        ("1.5", "is not an integer"),
        ("1_0", "is not an integer"),
        ("٣", "is not an integer"),
        ("9" * 5000, "is not an integer"),
        ("1,2", "is not an integer"),
        ("101", "num=101 is outside 0 to 100"),
        ("-1", "num=-1 is outside 0 to 100"),
    ],
)
def test_integers_are_checked(value: str, message: str):
    _, section = parse_cfg(f"[net]\n[yolo]\nmax=1\nnum={value}\n", PATH)
    with pytest.raises(CfgError) as caught:
        section.integer("num", 1, 0, 100)
    assert caught.value.line == 4
    assert len(str(caught.value)) < 300
    assert message in caught.value.message.replace("'", "")


@pytest.mark.parametrize(("value", "number"), [("1", 1.0), (".5", 0.5), ("-3.", -3.0), ("1e-1", 0.1), ("+2.50", 2.5)])
def test_numbers_are_read(value: str, number: float):
    _, section = parse_cfg(f"[net]\n[yolo]\nscale={value}\n", PATH)
    assert section.number("scale", 0.0, -10.0, 10.0) == number


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "0x10", "--1", "1e", ".", "11"])
def test_numbers_are_checked(value: str):
    _, section = parse_cfg(f"[net]\n[yolo]\nscale={value}\n", PATH)
    with pytest.raises(CfgError, match=r"some\.cfg:3: \[yolo\] scale="):
        section.number("scale", 0.0, -10.0, 10.0)


def test_lists_are_read_and_bounded():
    _, section = parse_cfg(f"[net]\n[route]\nlayers=-1, 61,\nmany={'1,' * 1000}\nhole=1,,2\n", PATH)
    assert section.integers("layers", -100, 100) == (-1, 61)
    assert section.integers("absent", 0, 1) == ()
    with pytest.raises(CfgError, match="lists 1000 values"):
        section.integers("many", 0, 1)
    with pytest.raises(CfgError, match="'' is not a number"):
        section.numbers("hole", 0, 9)


def test_a_file_that_is_no_cfg_is_refused(tmp_path: Path):
    path = tmp_path / "binary.cfg"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(CfgError, match=r"binary\.cfg"):
        read_cfg(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(CfgError, match="over 1048576 bytes"):
        read_cfg(path)


CFG_LIKE = st.lists(
    st.sampled_from(["[net]", "[yolo]", "[", "]", "=", "num", "1", ",", "-", "\n", "\r\n", "#", " ", "\0", "é"])
).map("".join)


@given(st.one_of(st.text(), CFG_LIKE))
def test_any_text_gives_sections_or_a_cfg_error(text: str):
    # Nothing but a CfgError may come out of it.
    with suppress(CfgError):
        sections = parse_cfg(text, PATH)
        assert sections[0].name in ("net", "network")
        assert [section.line for section in sections] == sorted({section.line for section in sections})


@needs_data
@pytest.mark.data
def test_every_published_cfg_is_read():
    paths = sorted(DATA.glob("cfg/*/*.cfg")) + sorted(DATA.glob("weights/*/*.cfg"))
    assert len(paths) > 50
    for path in paths:
        assert len(read_cfg(path)) > 3, path
