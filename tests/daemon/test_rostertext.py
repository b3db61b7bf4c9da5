"""Rosters of several files: which are read, what they say together, and where each problem is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import rostertext
from daemon.problems import Checked
from daemon.roster import Roster, check_labels, roster_from
from daemon.rostertext import WrittenFile
from daemon.secrets import Secret, SecretSources
from daemon.yamltext import MAX_BYTES

SOURCES = SecretSources(environ={"GATE": "hunter2"})
MAIN = "include: cameras.d/*.yaml\ndefaults: {fps: 2, username: viewer}\ncameras:\n  gate: {url: 'rtsp://h/gate'}\n"

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the main file and, by name without ending, files in cameras.d."""

    def make(main: str = MAIN, **included: str) -> Path:
        (tmp_path / "cameras.d").mkdir(exist_ok=True)
        for name, text in included.items():
            (tmp_path / "cameras.d" / f"{name}.yaml").write_text(text)
        (tmp_path / "cameras.yaml").write_text(main)
        return tmp_path / "cameras.yaml"

    return make


def load(path: Path) -> Checked[Roster]:
    return rostertext.read(path).documents.then(lambda found: roster_from(found, 5, SOURCES, 2)).if_valid()


def names(path: Path) -> list[str]:
    return [camera.name for camera in load(path).require().cameras]


def problems(path: Path) -> list[str]:
    return [str(problem).replace(f"{path.parent}/", "") for problem in load(path).problems]


def test_one_file_is_a_roster_or_is_refused_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cameras.yaml"
    assert problems(path) == ["cameras.yaml: no such file"]
    path.write_text("cameras: {a: {}}")
    assert problems(path) == ["cameras.yaml:1:11: cameras.a.url: missing key 'url'"]
    path.write_text("defaults: {fps: 2}")
    assert problems(path) == ["cameras.yaml:1:1: cameras: missing key 'cameras'"]
    path.write_text("cameras: {a: {url: 'rtsp://h/'}}")
    assert names(path) == ["a"]


def test_cameras_come_in_the_order_of_the_files(write: Write) -> None:
    path = write(
        yard="cameras: {yard: {url: 'rtsp://h/yard'}}",
        door="cameras: {door-b: {url: 'rtsp://h/b'}, door-a: {url: 'rtsp://h/a'}}",
    )
    assert names(path) == ["gate", "door-b", "door-a", "yard"]


def test_a_list_of_patterns_reads_each_file_once_and_never_the_main_one(write: Write, tmp_path: Path) -> None:
    path = write(
        "include: [cameras.d/yard.yaml, cameras.d/*.yaml, '*.yaml']",
        yard="cameras: {yard: {url: 'rtsp://h/yard'}}",
        door="cameras: {door: {url: 'rtsp://h/door'}}",
    )
    assert names(path) == ["yard", "door"]
    assert [Path(file.path).name for file in rostertext.read(path).files] == ["cameras.yaml", "yard.yaml", "door.yaml"]


def test_a_pattern_that_stands_for_nothing_is_no_problem(write: Write, tmp_path: Path) -> None:
    assert names(write()) == ["gate"]
    (tmp_path / "cameras.d").rmdir()
    assert names(tmp_path / "cameras.yaml") == ["gate"]
    (tmp_path / "cameras.yaml").write_text("include: cameras.d/*.yaml")
    assert problems(tmp_path / "cameras.yaml") == ["cameras.yaml:1:1: warning: cameras: no camera is enabled"]


def test_editors_files_are_left_alone(write: Write, tmp_path: Path) -> None:
    path = write(yard="cameras: {yard: {url: 'rtsp://h/yard'}}")
    for name in (".yard.yaml.swp", ".yard.yaml", "yard.yaml~", "#yard.yaml#", "yard.yaml.bak"):
        (tmp_path / "cameras.d" / name).write_text("cameras: [")
    os.symlink("user@host.1", tmp_path / "cameras.d" / ".#yard.yaml")
    assert names(path) == ["gate", "yard"]


def test_a_files_own_defaults_come_before_the_main_files(write: Write) -> None:
    path = write(
        door="cameras: {door: {url: 'rtsp://h/door'}}",
        yard="defaults: {fps: 1, password: '${GATE}'}\n"
        "cameras: {a: {url: 'rtsp://h/a'}, b: {url: 'rtsp://h/b', fps: 5}}",
    )
    given = {camera.name: (camera.fps, camera.username, camera.password) for camera in load(path).require().cameras}
    viewer, password = Secret("viewer"), Secret("hunter2")
    assert given == {
        "gate": (2, viewer, None),
        "door": (2, viewer, None),
        "a": (1, viewer, password),
        "b": (5, viewer, password),
    }


def test_every_problem_names_its_own_file(write: Write) -> None:
    path = write(
        MAIN.replace("fps: 2", "fps: 9"),
        door="cameras:\n  door: {url: 'rtsp://h/door', pasword: a}\n",
        gone="defaults: {password: '${GONE}'}\ncameras:\n  a: {url: 'rtsp://h/a'}\n  b: {url: 'rtsp://h/b'}\n",
        half="cameras:\n  half: {url: 'rtsp://h/half'\n",
        void="",
        yard="defaults: {fps: fast}\ncameras:\n  yard: {url: 'rtmp://h/yard', labels: []}\n",
    )
    found = problems(path)
    assert [problem.split(": ")[0] for problem in found] == [
        "cameras.d/door.yaml:2:32",
        "cameras.d/gone.yaml:1:22",
        "cameras.d/half.yaml:3:1",
        "cameras.d/void.yaml:1:1",
        "cameras.d/yard.yaml:1:17",
        "cameras.d/yard.yaml:3:15",
        "cameras.d/yard.yaml:3:40",
        "cameras.yaml:2:17",
    ]
    assert "cameras a, b: " in found[1], "a secret of the defaults is said once"
    assert found[3].endswith("missing key 'cameras'"), "a file that is cut off takes no camera away"


def test_a_name_that_is_taken_tells_both_places(write: Write) -> None:
    path = write(
        one="cameras:\n  gate: {url: 'rtsp://h/1'}\n  yard: {url: 'rtsp://h/2'}\n",
        two="cameras:\n  yard: {url: 'rtsp://h/3'}\n",
    )
    folder = path.parent
    assert problems(path) == [
        "cameras.d/one.yaml:2:3: cameras.gate: the name is taken, by cameras.yaml:4:3",
        "cameras.d/two.yaml:2:3: cameras.yard: the name is taken, by cameras.d/one.yaml:3:3",
    ]
    assert str(load(path).problems[0]).endswith(f"by {folder}/cameras.yaml:4:3")


def test_what_is_wrong_between_files_is_said_where_the_later_one_is(write: Write) -> None:
    four = "\n".join(f"  a{n}: {{url: 'rtsp://h/a{n}', mosaic: side}}" for n in range(4))
    path = write(
        f"include: cameras.d/*.yaml\ncameras:\n{four}\n",
        a="cameras:\n  same: {url: 'rtsp://h/a0'}\n",
        b="cameras:\n  fifth: {url: 'rtsp://h/a5', mosaic: side}\n",
        c="defaults: {mosaic: side}\ncameras:\n  sixth: {url: 'rtsp://h/a6', enabled: false}\n",
    )
    assert problems(path) == [
        "cameras.d/a.yaml:2:15: warning: cameras.same.url: the same url as camera a0",
        "cameras.d/b.yaml:2:39: cameras.fifth.mosaic: mosaic 'side' has 5 cameras, 4 at most: a0, a1, a2, a3, fifth",
    ]


def test_labels_that_the_model_lacks_are_said_where_they_are_written(write: Write) -> None:
    path = write(
        yard="defaults: {labels: [persn]}\n"
        "cameras:\n  a: {url: 'rtsp://h/a'}\n  b: {url: 'rtsp://h/b', labels: [crr]}\n"
    )
    found = [str(problem) for problem in check_labels(load(path).require(), ["person", "car"])]
    assert [each.removeprefix(f"{path.parent}/").partition(": the")[0] for each in found] == [
        "cameras.d/yard.yaml:1:21: defaults.labels[0]",
        "cameras.d/yard.yaml:4:35: cameras.b.labels[0]",
    ]


def test_included_files_include_none(write: Write) -> None:
    path = write(yard="include: more/*.yaml\ncameras: {yard: {url: 'rtsp://h/yard'}}")
    [problem] = problems(path)
    assert problem.startswith("cameras.d/yard.yaml:1:1: include: an included file includes no others (name them in ")


@pytest.mark.parametrize(
    ("include", "problem"),
    [
        ("yard.yaml", "1:10: include: no such file: yard.yaml (make it, or take it out here)"),
        ("[a/*.yaml, a/yard.yaml]", "1:21: include[1]: no such file: a/yard.yaml (make it, or take it out here)"),
        ("cameras.yaml/*.yaml", "1:10: include: cameras.yaml cannot be listed: Not a directory"),
        ("*/yard.yaml", "1:11: anchors and aliases"),
        ("'*/yard.yaml'", "1:10: include: a wildcard (*, ?, [) may stand in the file's name only"),
        ("[a/*.yaml, b/]", "1:21: include[1]: should be the path of a file, such as cameras.d/*.yaml"),
        ("[a/*.yaml, 5]", "1:21: include[1]: should be text, not a number"),
        ("", "1:9: include: should be a list, not empty"),
        ("{a: b}", "1:10: include: should be a list, not a mapping"),
    ],
)
def test_what_cannot_be_included_is_told_with_its_place(write: Write, include: str, problem: str) -> None:
    path = write(f"include: {include}\ncameras: {{gate: {{url: 'rtsp://h/'}}}}\n")
    assert [found.removeprefix("cameras.yaml:")[: len(problem)] for found in problems(path)][:1] == [problem]


def test_a_file_that_cannot_be_read_is_a_problem_of_its_own(write: Write, tmp_path: Path) -> None:
    path = write()
    os.symlink("nowhere", tmp_path / "cameras.d" / "lost.yaml")
    (tmp_path / "cameras.d" / "text.yaml").write_bytes(b"\xff")
    assert problems(path) == ["cameras.d/lost.yaml: no such file", "cameras.d/text.yaml:1:1: not UTF-8 text"]


def test_all_files_together_are_bounded_as_one_is(write: Write) -> None:
    text = "# " + "x" * (MAX_BYTES // 2) + "\ncameras: {{{0}: {{url: 'rtsp://h/{0}'}}}}"
    path = write(a=text.format("a"), b=text.format("b"))
    assert problems(path) == ["cameras.yaml: larger than 512 KiB with the files that it includes"]


def test_texts_that_were_kept_are_the_same_roster(write: Write) -> None:
    path = write(yard="defaults: {fps: 1}\ncameras: {yard: {url: 'rtsp://h/yard'}}")
    text = rostertext.read(path)
    parsed = rostertext.parse(text.files).then(lambda found: roster_from(found, 5, SOURCES))
    assert parsed.require() == load(path).require()
    assert rostertext.parse([*text.files, WrittenFile("half", b"cameras: [")]).value is None
    assert rostertext.digest(file.content for file in text.files) == text.digest


def test_digests_differ_by_text_and_by_what_cannot_be_read(write: Write, tmp_path: Path) -> None:
    path = write(yard="cameras: {}")
    digests = [rostertext.read(path).digest]
    (tmp_path / "cameras.d" / "yard.yaml").touch()
    assert rostertext.read(path).digest == digests[0]
    (tmp_path / "cameras.d" / "yard.yaml").write_text("cameras: { }")
    digests.append(rostertext.read(path).digest)
    os.symlink("nowhere", tmp_path / "cameras.d" / "lost.yaml")
    digests.append(rostertext.read(path).digest)
    (tmp_path / "cameras.d" / "lost.yaml").unlink()
    (tmp_path / "cameras.d" / "yard.yaml").unlink()
    digests.append(rostertext.read(path).digest)
    path.unlink()
    digests.append(rostertext.read(path).digest)
    assert len(set(digests)) == len(digests)
    assert "hunter2" not in repr(WrittenFile("a", b"hunter2"))


def test_patterns_are_known_as_soon_as_the_main_file_can_be_parsed(write: Write, tmp_path: Path) -> None:
    path = write("include: [a.yaml, b/, /c/*.yaml]\ncameras: 5")
    assert rostertext.read(path).patterns == (tmp_path / "a.yaml", Path("/c/*.yaml"))
    path.write_text("include: [")
    assert rostertext.read(path).patterns is None
