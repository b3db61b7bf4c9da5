"""Ground truth: what is read, and what is said of files that are wrong."""

from pathlib import Path

import numpy as np
import pytest

from inference.evaluation.truth import (
    MOT_LABELS,
    TruthError,
    TruthSet,
    objects_of,
    read_photos,
    read_video,
    read_yolo,
    thin_out,
)
from inference.labels import COCO, modern_label, read_labels
from tests.inference.darknet_examples import DATA, needs_data

LABELS = ("person", "motorbike", "dog")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_label_file_is_boxes_as_parts_of_the_sides(tmp_path: Path) -> None:
    truth = read_yolo(write(tmp_path / "a.txt", "2 0.5 0.25 0.5 0.1\n\n0 0.9995 0.5 0.001 1\n"), LABELS)
    assert truth.labels == ("dog", "person")
    np.testing.assert_allclose(truth.xyxy, [[0.25, 0.2, 0.75, 0.3], [0.999, 0, 1, 1]])
    assert truth.is_relative
    assert not truth.ignored.any()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("0 0.5 0.5 0.1", "5 numbers are wanted .*, 4 are there"),
        ("0 0.5 0.5 0.1 0.1 0.9", "6 are there"),
        ("person 0.5 0.5 0.1 0.1", "'person' is not an integer"),
        ("0 0.5 0,5 0.1 0.1", "'0,5' is not a number"),
        ("0 0.5 nan 0.1 0.1", "nan is not a finite number"),
        ("3 0.5 0.5 0.1 0.1", "class 3, but there are names for 0 to 2"),
        ("-1 0.5 0.5 0.1 0.1", "class -1"),
        ("0 320 0.5 0.1 0.1", "are not parts of a picture's sides"),
        ("0 0.5 0.5 0 0.1", "are not parts of a picture's sides"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = write(tmp_path / "a.txt", f"0 0.5 0.5 0.1 0.1\n{line}\n")
    with pytest.raises(TruthError, match=words) as caught:
        read_yolo(path, LABELS)
    assert str(caught.value).startswith(f"{path}:2: ")
    assert (caught.value.path, caught.value.line) == (path, 2)


@pytest.mark.parametrize("given", ["both", "images"])
def test_labels_lie_in_the_folder_beside_the_photos(tmp_path: Path, given: str) -> None:
    for name in ("b.jpg", "a.PNG", "notes.md"):
        write(tmp_path / "images" / name, "")
    write(tmp_path / "labels" / "b.txt", "0 0.5 0.5 0.1 0.1\n")
    truths = read_photos(tmp_path if given == "both" else tmp_path / "images", LABELS)
    assert [path.name for path in truths.photos] == ["a.PNG", "b.jpg"]
    assert [item.labels for item in truths.truths] == [(), ("person",)]
    assert truths.units.tolist() == [0, 1]


def test_labels_lie_beside_the_photos(tmp_path: Path) -> None:
    write(tmp_path / "a.jpg", "")
    write(tmp_path / "a.txt", "0 0.5 0.5 0.1 0.1\n")
    assert [item.labels for item in read_photos(tmp_path, LABELS).truths] == [("person",)]


def test_a_folder_that_is_no_set_of_photos_is_told(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="No such file"):
        read_photos(tmp_path / "nowhere", LABELS)
    with pytest.raises(TruthError, match="no photo there"):
        read_photos(tmp_path, LABELS)
    write(tmp_path / "a.jpg", "")
    with pytest.raises(TruthError, match=r"no label file for any of the photos .*, a.txt for one"):
        read_photos(tmp_path, LABELS)


def video(tmp_path: Path, rows: str) -> TruthSet:
    return read_video(write(tmp_path / "v.mp4", ""), write(tmp_path / "v.gt.txt", rows))


def test_rows_become_frames_with_those_between_that_show_nothing(tmp_path: Path) -> None:
    truths = video(tmp_path, "4,7,10,20,5,8.5,1,-1,-1,-1\n2,7,1,2,3,4\n4,8,0,0,1,1\n")
    assert truths.frames == (2, 3, 4)
    assert [item.labels for item in truths.truths] == [("person",), (), ("person", "person")]
    np.testing.assert_array_equal(truths.truths[2].xyxy, [[10, 20, 15, 28.5], [0, 0, 1, 1]])
    assert not truths.truths[2].is_relative


def test_rows_that_do_not_count_are_ignored_objects(tmp_path: Path) -> None:
    truths = video(tmp_path, "1,1,0,0,9,9,1,3\n1,2,0,0,9,9,0,1\n1,3,0,0,9,9,1,8\n1,4,0,0,9,9,1,5\n")
    [truth] = truths.truths
    assert truth.labels == ("car", "person", "person", "motorcycle")
    assert truth.ignored.tolist() == [False, True, True, False]
    assert set(MOT_LABELS.values()) <= set(COCO)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("1,1,0,0,9", "at least 6 columns are wanted .*, 5 are there"),
        ("one,1,0,0,9,9", "'one' is not an integer"),
        ("1,1,0,0,wide,9", "'wide' is not a number"),
        ("0,1,0,0,9,9", "a frame is numbered from 1"),
        ("1,1,0,0,0,9", "a box has width and height"),
        ("1,1,0,0,9,9,1,cat", "'cat' is not a number"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    with pytest.raises(TruthError, match=words) as caught:
        video(tmp_path, f"1,1,0,0,9,9\n{row}\n")
    assert caught.value.line == 2


def test_a_video_without_truth_is_told(tmp_path: Path) -> None:
    with pytest.raises(TruthError, match="give a folder of photos, or a video"):
        read_video(tmp_path / "v.mp4", tmp_path / "v.gt.txt")
    with pytest.raises(TruthError, match="the ground truth is wanted there"):
        read_video(write(tmp_path / "v.mp4", ""), tmp_path / "v.gt.txt")
    with pytest.raises(TruthError, match="no rows"):
        video(tmp_path, "\n")


def test_fewer_pictures_are_spread_evenly(tmp_path: Path) -> None:
    truths = video(tmp_path, "1,1,0,0,9,9\n100,1,0,0,9,9\n")
    fewer = thin_out(truths, 4)
    assert fewer.frames == (1, 26, 51, 76)
    assert len(fewer) == len(fewer.truths) == 4
    assert fewer.units.tolist() == [0, 1, 2, 3]
    assert thin_out(truths, 60).units.tolist() == sorted(thin_out(truths, 60).units.tolist())
    assert thin_out(truths, 60).units.max() == 3
    assert thin_out(truths, 1000) is truths


def test_objects_have_the_models_classes_and_the_pictures_pixels(tmp_path: Path) -> None:
    lines = "0 0.5 0.5 1 1\n1 0.5 0.5 0.5 0.5\n2 0.5 0.5 0.5 0.5\n"
    truth = read_yolo(write(tmp_path / "a.txt", lines), LABELS)
    objects = objects_of(truth, (200, 100), ("bus", "motorcycle", "person"), modern_label)
    assert objects.class_ids.tolist() == [2, 1]
    assert objects.xyxy.tolist() == [[0, 0, 200, 100], [50, 25, 150, 75]]


@needs_data
@pytest.mark.data
def test_the_sets_at_hand_are_read() -> None:
    photos = read_photos(DATA / "images" / "coco64", read_labels(DATA / "cfg" / "coco.names"))
    assert len(photos) == len(photos.photos) == 64
    assert sum(len(item.labels) for item in photos.truths) == 440
    pets = DATA / "videos" / "pets09-s2l1.mp4"
    assert read_video(pets, pets.with_suffix(".gt.txt")).frames == tuple(range(1, 401))
