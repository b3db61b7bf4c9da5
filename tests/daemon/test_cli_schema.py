"""`mosaicd schema`: what editors are told of the files, and that the samples name it where the installer puts it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from daemon.cli import app

ROOT = Path(__file__).parents[2]
SAMPLES = {"settings": ROOT / "etc" / "mosaicd.yaml", "cameras": ROOT / "etc" / "cameras.yaml"}


def schema_of(file: str) -> dict:
    result = CliRunner().invoke(app, ["schema", file])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("file", SAMPLES)
def test_every_key_of_the_sample_is_in_the_schema(file: str) -> None:
    schema = schema_of(file)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert set(yaml.safe_load(SAMPLES[file].read_text())) <= set(schema["properties"])
    assert schema["additionalProperties"] is False, "an unknown key is marked in the editor, too"


def test_a_roster_has_cameras_or_includes_some() -> None:
    schema = schema_of("cameras")
    assert schema["anyOf"] == [{"required": ["cameras"]}, {"required": ["include"]}]
    assert [kind["type"] for kind in schema["properties"]["include"]["anyOf"]] == ["string", "array"]


@pytest.mark.parametrize("file", SAMPLES)
def test_the_sample_names_the_schema_where_the_installer_puts_it(file: str) -> None:
    first = SAMPLES[file].read_text().splitlines()[0]
    named = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first)
    assert named is not None
    installer = (ROOT / "deploy" / "install.sh").read_text()
    share = re.search(r"^SHARE=(\S+)$", installer, re.MULTILINE)
    assert share is not None
    assert named[1] == f"{share[1]}/{file}.schema.json"
    assert '>"$SHARE/$file.schema.json"' in installer


def test_another_file_is_refused_with_those_that_there_are() -> None:
    result = CliRunner().invoke(app, ["schema", "mosaics"])
    assert result.exit_code == 2
    assert "settings" in result.output
