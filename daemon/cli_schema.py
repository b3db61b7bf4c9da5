"""The command `mosaicd schema`: what an editor needs to help with the YAML files. Light: only typer at the top."""

from enum import StrEnum
from typing import Annotated

import typer

from daemon.clioutput import print_json

EPILOG = (
    "[bold]Examples[/bold]\n\n"
    "mosaicd schema cameras > cameras.schema.json\n\n"
    "mosaicd schema settings | jq .properties.mosaic\n\n"
    "Editors with a YAML language server take it from a first line `# yaml-language-server: $schema=FILE`, which the "
    "samples have."
)


class File(StrEnum):
    """Which file."""

    SETTINGS = "settings"
    CAMERAS = "cameras"


def schema(
    file: Annotated[File, typer.Argument(help="Of mosaicd.yaml or of cameras.yaml.", show_default=False)],
) -> None:
    """Print the JSON Schema of the settings or of the roster: each key with its type, default and meaning."""
    from daemon.rosterfile import RosterFile
    from daemon.settings import Settings

    model = Settings if file is File.SETTINGS else RosterFile
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": f"mosaicd: {file.value}"}
    print_json(head | {key: value for key, value in model.model_json_schema().items() if key != "title"})
