"""Options that commands share: the files of a site, and what overrides them. Light: only typer."""

from pathlib import Path
from typing import Annotated

import typer

SettingsOption = Annotated[Path, typer.Option("--settings", metavar="FILE", help="The settings.", show_default=True)]
RosterOption = Annotated[
    Path | None, typer.Option("--roster", metavar="FILE", help="The cameras; the settings name it otherwise.")
]
OverridesOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.PATH=VALUE", help="Overrides one setting; may be given several times."),
]
