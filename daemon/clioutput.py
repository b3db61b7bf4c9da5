"""How commands print what they found: JSON for programs, tables for a person. Light: imports when it prints."""

import sys
from typing import Any

import typer


def print_json(document: object) -> None:
    """Print one JSON document on stdout; dataclasses and structs are objects."""
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


def print_tables(*tables: Any) -> None:
    """Print rich's tables on stdout."""
    from rich.console import Console

    # In a pipe or a file nobody wants a table cut at 80 columns.
    console = Console() if sys.stdout.isatty() else Console(width=200)
    for table in tables:
        console.print(table)
