from pathlib import Path

import pytest

from inference.labels import LabelsError, read_labels
from tests.inference.darknet_examples import YOLO_FASTEST, needs_data


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
        (b"a\nb\na\n", "line 3 repeats line 1, 'a'"),
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


@needs_data
@pytest.mark.data
def test_published_names_are_read():
    assert read_labels(YOLO_FASTEST / "coco.names", 80)[16] == "dog"
    assert read_labels(YOLO_FASTEST / "body.names", 1) == ("body",)
