"""Options that commands share: the files of a site, and what overrides them. Light: only typer."""

from collections.abc import Mapping
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


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Where this user's programs keep what they can make again (XDG Base Directory Specification)."""
    named = Path(environ.get("XDG_CACHE_HOME", ""))
    try:
        return (named if named.is_absolute() else Path("~/.cache").expanduser()) / "mosaicd"
    except RuntimeError:  # a user without a home
        raise typer.BadParameter("is needed: there is no home folder") from None
