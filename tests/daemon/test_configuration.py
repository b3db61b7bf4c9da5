"""What a start runs on: the files, or all of what was last valid."""

import os
from pathlib import Path

import pytest

from daemon.configuration import Configuration, Origin, configure, remember
from daemon.rostertext import read
from daemon.secrets import SecretSources
from tests.daemon.test_cli import write_site


def start(origin: Origin) -> Configuration | None:
    return configure(origin, SecretSources(), {})


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    """A site whose roster includes two files, and on which a daemon has run."""
    settings = write_site(tmp_path, cameras=1)
    (tmp_path / "cameras.d").mkdir()
    with (tmp_path / "cameras.yaml").open("a") as stream:
        stream.write("include: cameras.d/*.yaml\n")
    for name in ("door", "yard"):
        (tmp_path / "cameras.d" / f"{name}.yaml").write_text(f"cameras: {{{name}: {{url: 'rtsp://h/{name}'}}}}\r\n")
    origin = Origin(settings)
    configuration = start(origin)
    assert configuration is not None
    assert configuration.digest == read(tmp_path / "cameras.yaml").digest
    remember(configuration)
    return origin


@pytest.mark.parametrize("text", ["cameras: [", None])
def test_a_broken_included_file_leaves_the_whole_of_the_last_good_roster(
    origin: Origin, tmp_path: Path, text: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    yard = tmp_path / "cameras.d" / "yard.yaml"
    yard.unlink()
    if text is None:
        os.symlink("nowhere", yard)
    else:
        yard.write_text(text)
    (tmp_path / "cameras.d" / "door.yaml").unlink()
    recalled = start(origin)
    assert recalled is not None
    assert [camera.name for camera in recalled.roster.cameras] == ["cam-0", "door", "yard"]
    assert recalled.notices
    assert f"{yard}:" in capsys.readouterr().err
    assert recalled.texts is not None
    assert [Path(each.path).name for each in recalled.texts.roster_texts] == ["cameras.yaml", "door.yaml", "yard.yaml"]
