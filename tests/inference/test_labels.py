from pathlib import Path

import pytest

from inference.labels import ALIASES, COCO, LabelsError, modern_label, read_labels
from tests.inference.darknet_examples import DATA, YOLO_FASTEST, needs_data


@pytest.mark.parametrize("content", [b"person\ndog\n", b"person\r\ndog", b"\xef\xbb\xbfperson \ndog\n\n \n"])
def test_names_are_read_one_a_line(tmp_path: Path, content: bytes):
    path = tmp_path / "x.names"
    path.write_bytes(content)
    assert read_labels(path, 2) == ("person", "dog")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"person\n", "1 names, but the network has 2 classes"),
        (b"a\nb\nc\n", "3 names, but the network has 2 classes"),
        (b"", "line 1 is empty"),
        (b"a\n\nb\n", "line 2 is empty"),
        (b"a\nb\na\n", "line 3, 'a', repeats line 1, 'a'"),
        (b"couch\nsofa\n", "line 2, 'sofa', means the same as line 1, 'couch'"),
        (b"motorbike\na\nmotorcycle\n", "line 3, 'motorcycle', means the same as line 1, 'motorbike'"),
        (b"\xff\xfe", "byte 0 is not UTF-8"),
        (b"x" * (1 << 21), "over 1048576 bytes"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / "x.names"
    path.write_bytes(content)
    with pytest.raises(LabelsError) as caught:
        read_labels(path, 2)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_coco_is_eighty_modern_words():
    assert len(COCO) == len(set(COCO)) == 80
    assert all(modern_label(label) == label for label in COCO)
    assert (COCO[0], COCO[3], COCO[57], COCO[62], COCO[79]) == ("person", "motorcycle", "couch", "tv", "toothbrush")


@pytest.mark.parametrize(("older", "modern"), ALIASES.items())
def test_older_words_mean_cocos(older: str, modern: str):
    assert modern in COCO and older not in COCO
    assert modern_label(older) == modern


@pytest.mark.parametrize("label", ["person", "Motorbike", "forklift", ""])
def test_other_words_are_their_own(label: str):
    assert modern_label(label) == label


def test_older_words_are_translated_in_any_names_file(tmp_path: Path):
    path = tmp_path / "x.names"
    path.write_text("forklift\nmotorbike\nsofa\nmotorbikes\n")
    assert read_labels(path, 4) == ("forklift", "motorcycle", "couch", "motorbikes")


@needs_data
@pytest.mark.data
def test_published_names_are_read():
    assert read_labels(YOLO_FASTEST / "coco.names", 80) == COCO
    assert read_labels(DATA / "cfg" / "coco.names", 80) == COCO
    assert set(read_labels(DATA / "cfg" / "voc.names", 20)) < set(COCO)
    assert read_labels(YOLO_FASTEST / "body.names", 1) == ("body",)
