"""Files of footage: whose they are, when they begin, in which parts they are looked at."""

from pathlib import Path

import pytest

from capture.lookmessages import Cut, Facts
from daemon.analysis.clips import Given, NamingError, Origin, clips_of, given, overlaps, parts_of, time_of


def facts(duration_s: float = 60.0, created_at: float | None = None, cuts: int = 0) -> Facts:
    """A file of 25 pictures a second, which can be cut each ten seconds."""
    return Facts(
        fps=5.0,
        codec="h264",
        size_wh=(640, 384),
        rate_hz=25.0,
        duration_s=duration_s,
        created_at=created_at,
        skip="DEFAULT",
        cuts=tuple(Cut(10.0 * number, 50 * number + 1) for number in range(1, cuts + 1)),
    )


@pytest.mark.parametrize(
    ("text", "camera", "path"),
    [
        ("yard=a/clip.mp4", "yard", "a/clip.mp4"),
        ("a/clip.mp4", "clip", "a/clip.mp4"),
        ("a/clip 1 (north).mp4", "clip-1-north", "a/clip 1 (north).mp4"),
        ("a/b=c.mp4", "b-c", "a/b=c.mp4"),
        ("2026=11=30.mp4", "2026", "11=30.mp4"),
        (f"{'x' * 99}.mp4", "x" * 63, f"{'x' * 99}.mp4"),
    ],
)
def test_a_file_is_a_camera(text: str, camera: str, path: str) -> None:
    assert given([text], []) == [Given(camera, Path(path))]


def test_a_time_is_for_all_or_for_one() -> None:
    found = given(["a=1.mp4", "b=2.mp4"], ["2026-11-30T02:00:00Z", "b=2026-11-30T03:00:00+00:00"])
    assert [each.starts_at for each in found] == [1796004000.0, 1796007600.0]


@pytest.mark.parametrize(
    ("files", "starts", "words"),
    [
        (["a/clip.mp4", "b/clip.mp4"], [], "a/clip.mp4 and b/clip.mp4 would both be camera 'clip'"),
        (["clip=a.mp4", "b/clip.mp4"], [], "would both be camera 'clip'"),
        (["....mp4"], [], "say whose it is"),
        (["a=1.mp4"], ["b=2026-11-30T02:00:00"], "names 'b', of which there is no file"),
        (["a=1.mp4"], ["yesterday"], "'yesterday' is no time such as"),
    ],
)
def test_what_is_not_clear_is_said(files: list[str], starts: list[str], words: str) -> None:
    with pytest.raises(NamingError, match=words.replace("(", r"\(")):
        given(files, starts)


def test_a_time_without_a_zone_is_this_machines() -> None:
    assert time_of("2026-11-30T02:00:00") == pytest.approx(time_of("2026-11-30T02:00:00Z"), abs=15 * 3600)


def test_a_file_begins_when_it_was_said_else_as_it_says_else_by_its_date() -> None:
    files = [Given("a", Path("1"), 5000.0), Given("b", Path("2")), Given("c", Path("3")), Given("a", Path("4"), 5000.0)]
    clips = clips_of(files, [facts(), facts(created_at=700.0), facts(), facts()], [9000.0] * 4)
    assert [(clip.number, clip.starts_at, clip.origin) for clip in clips] == [
        (0, 5000.0, Origin.GIVEN),
        (3, 5060.0, Origin.FOLLOWS),
        (1, 700.0, Origin.METADATA),
        (2, 8940.0, Origin.DATE),
    ]


def test_files_of_a_camera_are_in_the_order_of_time_and_may_hardly_overlap() -> None:
    files = [Given("a", Path("late")), Given("a", Path("early"))]
    clips = clips_of(files, [facts(), facts()], [1059.0, 1000.0])
    assert [clip.path.name for clip in clips] == ["early", "late"]
    assert overlaps(clips) == []
    [said] = overlaps(clips_of(files, [facts(), facts()], [1030.0, 1000.0]))
    assert said.startswith("a: late begins 30 s before early ends")


def test_files_are_looked_at_by_turns_part_by_part() -> None:
    files = [Given("a", Path("1"), 0.0), Given("b", Path("2"), 0.0)]
    clips = clips_of(files, [facts(cuts=2), facts(cuts=1)], [0.0, 0.0])
    parts = parts_of(clips)
    assert [(part.number, part.clip.camera) for part in parts] == [(0, "a"), (3, "b"), (1, "a"), (4, "b"), (2, "a")]
    assert [(part.cut, part.until) for part in parts if part.clip.camera == "a"] == [
        (None, 51),
        (Cut(10.0, 51), 101),
        (Cut(20.0, 101), None),
    ]
