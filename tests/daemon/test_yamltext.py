"""Text to values with places: the subset, the traps, the bounds."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from daemon.problems import Place
from daemon.yamltext import MAX_BYTES, MAX_DEPTH, YamlDocument, load, parse, with_overrides


def parsed(text: str | bytes) -> YamlDocument:
    result = parse(text, "f")
    assert result.problems == ()
    assert result.value is not None
    return result.value


def problems(text: str | bytes) -> list[str]:
    return [str(problem) for problem in parse(text, "f").problems]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("12:30:00", "12:30:00"),
        ("2024-01-01", "2024-01-01"),
        ("832x512", "832x512"),
        ("0012", 12),
        ("-3", -3),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("2.5", 2.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e3", 1000.0),
        ("-.inf", -math.inf),
        ("'7'", "7"),
        ('"a\\tb"', "a\tb"),
        ("9" * 5000, "9" * 5000),  # int() would refuse it
        ("[a, 1]", ["a", 1]),
        ("{a: {b: no}}", {"a": {"b": "no"}}),
        ("$ {x}", "$ {x}"),
    ],
)
def test_scalars_follow_the_core_schema(text: str, value: object) -> None:
    assert parsed(f"k: {text}").value == {"k": value}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", b"\xef\xbb\xbf"])
def test_empty_text_is_an_empty_mapping(text: str | bytes) -> None:
    assert parsed(text).value == {}


def test_keys_are_text_whatever_they_look_like() -> None:
    assert parsed("101: a\nno: b\n1.0: c\n").value == {"101": "a", "no": "b", "1.0": "c"}


def test_places_of_keys_and_values_count_from_one() -> None:
    document = parsed("a: 1\nb:\n  - x\n  - {c:   2}\n")
    assert document.key_place(("b",)) == Place("f", 2, 1)
    assert document.value_place(("a",)) == Place("f", 1, 4)
    assert document.key_place(("b", 1, "c")) == Place("f", 4, 6)
    assert document.value_place(("b", 1, "c")) == Place("f", 4, 11)


def test_what_is_missing_is_placed_at_what_is_around_it() -> None:
    document = parsed("a:\n  b: {c: 1}\n")
    assert document.value_place(("a", "b", "x", "y")) == Place("f", 2, 3)
    assert document.key_place(("zzz",)) == Place("f", 1, 1)


def test_columns_count_characters_not_bytes() -> None:
    assert parsed("é: ñ").value_place(("é",)) == Place("f", 1, 4)


def test_numbers_keep_the_text_they_were_written_as() -> None:
    document = parsed("a: 0012\nb: 1e3\nc: 'x'\nd: x\ne:\n")
    assert document.texts == {("a",): "0012", ("b",): "1e3", ("e",): ""}
    assert document.is_blank(("e",))
    assert not document.is_blank(("d",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 1\nb: 2\na: 3\n", ["f:3:1: a: duplicate key 'a', first at line 1"]),
        ("x: {a: {b: 1}, a: {c: 2}}", ["f:1:16: x.a: duplicate key 'a', first at line 1"]),
        ("{p: abc,hunter2,hunter2}", ["f:1:17: duplicate key, first at line 1"]),
        (
            "a: &x 1\nb: *x\n",
            [
                f"f:{line}:4: {key}: anchors and aliases (&name, *name) are not supported"
                " (quote a value that begins with a special character)"
                for line, key in ((1, "a"), (2, "b"))
            ],
        ),
        (
            "a: !!python/object/apply:os.system [x]",
            ["f:1:4: a: tags (!name) are not supported (quote a value that begins with a special character)"],
        ),
        ("? [a]\n: 1\nb: 2\n", ["f:1:3: a key should be plain text"]),
        ("a:\n\tb: 1", ["f:2:1: a tab; YAML is indented with spaces"]),
        ("a: 1\n---\nb: 2\n", ["f:2:1: a second document begins here; one file holds one"]),
        ("a: b\x07", ["f:1:5: a control character (U+0007) is not allowed"]),
        ("a: 1\nb: x\x00", ["f:2:5: a control character (U+0000) is not allowed"]),
        ('a: "\\e[31m"', ["f:1:4: a: the text holds a control character"]),
        ('a: "\\ud800"', ["f:1:4: a: the text holds a control character"]),
        ('a: "\\UFFFFFFFF"', ["f:1:7: not valid YAML"]),
        ("%YAML 1." + "9" * 5000 + "\n---\n", ["f:1:9: not valid YAML"]),
        (b"a: 1\nb: \xff", ["f:2:4: not UTF-8 text"]),
        ("a: {b: 1", ["f:1:9: a list or mapping is not closed, or a ',' is missing"]),
        ("a: 'b", ["f:1:6: the text ends inside a quotation (close the quotes)"]),
        ("a: @b", ["f:1:4: a value cannot begin with this character (quote it)"]),
        ("a: b: c", ["f:1:5: a ':' too many, or wrong indentation (quote a value that holds ': ')"]),
        ("x" * (MAX_BYTES + 1), ["f: larger than 512 KiB"]),
    ],
)
def test_what_is_refused_is_named_with_its_place(text: str | bytes, expected: list[str]) -> None:
    assert problems(text) == expected


@pytest.mark.parametrize(
    "secret_text", ["*hunter2", "&hunter2", "!hunter2", "!hunter2!x y", "@hunter2", "'hunter2", "%h: hunter2"]
)
def test_messages_never_quote_the_text(secret_text: str) -> None:
    found = parse(f"password: {secret_text}\n", "f")
    assert found.problems
    assert "hunter2" not in repr(found) + "".join(map(str, found.problems))


def test_a_document_does_not_show_its_content() -> None:
    assert "hunter2" not in repr(parse("password: hunter2\nn: 1", "f"))


@pytest.mark.parametrize("text", ["[" * 50_000, "{a: " * 50_000, "- " * 50_000, "? " * 50_000])
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    started = time.monotonic()
    assert f"nested deeper than {MAX_DEPTH} levels" in "".join(problems(text))
    assert time.monotonic() - started < 2


def test_an_alias_bomb_expands_to_nothing() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{k}: &{k} [{', '.join([f'*{j}'] * 9)}]" for j, k in zip("abcdefgh", "bcdefghi", strict=True)]
    result = parse("\n".join(lines), "f")
    assert len(result.problems) == 9 + 8 * 9
    assert result.value is not None
    assert result.value.value["i"] == [None] * 9


def test_problems_of_one_file_are_bounded() -> None:
    found = problems("a: 1\n" * 50_000)
    assert len(found) == 101
    assert found[-1].endswith("too many problems; the rest was not read")


@hypothesis_settings(deadline=None)
@given(
    st.text(max_size=300) | st.text(alphabet="ab:-?[]{}#&*!|>'\"%@` \n\t,\\<", max_size=80) | st.binary(max_size=200)
)
def test_any_text_gives_a_value_or_problems(text: str | bytes) -> None:
    result = parse(text, "f")
    assert result.value is not None or result.problems
    assert all(p.line > 0 and p.column > 0 for p in result.problems)


def test_overrides_replace_and_make_values() -> None:
    document = parsed("a: {b: 1}\nc: auto\n")
    result = with_overrides(document, ["a.b=2", "c.d.e=[x, no]", "f=", "a.g=0012", "a.b=3"])
    assert result.problems == ()
    assert result.value is not None
    assert result.value.value == {"a": {"b": 3, "g": 12}, "c": {"d": {"e": ["x", "no"]}}, "f": None}
    assert result.value.value_place(("a", "b")) == Place("--set a.b=3")
    assert result.value.value_place(("c", "d", "e", 0)) == Place("--set c.d.e=[x, no]")
    assert result.value.texts[("a", "g")] == "0012"
    assert document.value == {"a": {"b": 1}, "c": "auto"}


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("a", "--set a: should be KEY.PATH=VALUE"),
        ("=1", "--set =1: should be KEY.PATH=VALUE"),
        ("a..b=1", "--set a..b=1: should be KEY.PATH=VALUE"),
        ("a=[", "--set a=[: not valid YAML"),
        (".".join("a" * 30) + "=1", f"--set {'.'.join('a' * 30)}=1: should be KEY.PATH=VALUE"),
    ],
)
def test_bad_overrides_are_named_as_they_were_typed(override: str, problem: str) -> None:
    assert [str(p) for p in with_overrides(parsed("a: 1"), [override]).problems] == [problem]


def test_load_says_why_a_file_cannot_be_read(tmp_path: Path) -> None:
    good = tmp_path / "good.yaml"
    good.write_text("a: 1")
    result = load(good)
    assert result.value is not None
    assert result.value.value == {"a": 1}
    assert [str(p) for p in load(tmp_path / "none").problems] == [f"{tmp_path}/none: no such file"]
    assert [str(p) for p in load(tmp_path).problems] == [f"{tmp_path}: cannot be read: Is a directory"]
    assert [str(p) for p in load(Path("a\0b")).problems] == ["a\\x00b: cannot be read: not a usable file name"]
