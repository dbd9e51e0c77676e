"""What commands print on stdout: one JSON document, or tables."""

from __future__ import annotations

import json
from typing import Any

import typer
from rich.console import Console

from edgesparse.console import widen


def print_json(document: Any) -> None:
    """Print a document as JSON."""
    typer.echo(json.dumps(document, indent=2))


def print_tables(*tables: Any) -> None:
    """Print rich tables; in a file or a pipe wide enough that nothing is left out."""
    console = Console()
    widen(console)
    console.print(*tables, sep="\n\n")
