"""How problems read, sort and suggest; what they never repeat."""

from dataclasses import replace

import pytest

from daemon.problems import (
    Checked,
    ConfigError,
    Problem,
    Severity,
    did_you_mean,
    dotted,
    has_errors,
    in_order,
    nearest,
    printable,
    shown_key,
)

PLAIN = Problem("cameras.yaml", 12, 7, "cameras.gate.fps", "should be a number")


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (PLAIN, "cameras.yaml:12:7: cameras.gate.fps: should be a number"),
        (replace(PLAIN, remedy="such as 5"), "cameras.yaml:12:7: cameras.gate.fps: should be a number (such as 5)"),
        (
            replace(PLAIN, severity=Severity.WARNING),
            "cameras.yaml:12:7: warning: cameras.gate.fps: should be a number",
        ),
        (replace(PLAIN, line=0, column=0), "cameras.yaml: cameras.gate.fps: should be a number"),
        (replace(PLAIN, path=""), "cameras.yaml:12:7: should be a number"),
        (
            replace(PLAIN, message="a\n\x1b[31mb\u202ec"),
            "cameras.yaml:12:7: cameras.gate.fps: a\\x0a\\x1b[31mb\\x202ec",
        ),
    ],
)
def test_problem_reads_as_file_line_column_path_message(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_problems_are_ordered_by_place_and_said_once() -> None:
    late, early = replace(PLAIN, line=100), replace(PLAIN, line=9)
    other_file = replace(PLAIN, file="a.yaml", line=500)
    assert in_order([late, early, other_file, late]) == (other_file, early, late)


def test_only_errors_keep_the_daemon_from_running() -> None:
    warning = replace(PLAIN, severity=Severity.WARNING)
    assert has_errors([warning, PLAIN])
    assert not has_errors([warning])
    assert Checked(1, (warning,)).require() == 1
    with pytest.raises(ConfigError) as caught:
        Checked(1, (PLAIN, warning)).require()
    assert caught.value.problems == in_order([PLAIN, warning])
    assert str(PLAIN) in str(caught.value)


def test_steps_collect_the_problems_of_each_and_stop_without_a_value() -> None:
    other = replace(PLAIN, line=1)
    assert Checked(2, (PLAIN,)).then(lambda n: Checked(n + 1, (other,))) == Checked(3, (other, PLAIN))
    nothing: Checked[int] = Checked(None, (PLAIN,))
    assert nothing.then(lambda n: Checked(n + 1, (other,))) == Checked(None, (PLAIN,))


@pytest.mark.parametrize(
    ("word", "near"),
    [("usrname", "username"), ("Password", "password"), ("pasword", "password"), ("resolution", None), ("", None)],
)
def test_nearest_key_is_named_only_if_near(word: str, near: str | None) -> None:
    assert nearest(word, ["username", "password", "url"]) == near


def test_suggestion_is_a_clause() -> None:
    assert did_you_mean("fsp", ["fps"]) == ", did you mean 'fps'?"
    assert did_you_mean("zzz", ["fps"]) == ""


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("usrname", "usrname"),
        ("front-door_2", "front-door_2"),
        ("password:hunter2", "password…"),  # the space was forgotten: the rest is the value
        ("a b", "a…"),
        ("\x1b[31m", "…"),
        ("x" * 99, "x" * 63 + "…"),
    ],
)
def test_keys_are_shown_only_as_far_as_they_look_like_keys(key: str, shown: str) -> None:
    assert shown_key(key) == shown


def test_paths_have_dots_and_indices() -> None:
    assert dotted(("cameras", "gate", "labels", 0)) == "cameras.gate.labels[0]"
    assert dotted(()) == ""


def test_printable_text_is_bounded_and_encodable() -> None:
    assert printable("a\ud800b") == "a\\xd800b"
    assert len(printable("x" * 9999)) == 600
