"""Consoles for tables."""

from __future__ import annotations

from rich.console import Console

__all__ = ["widen"]

# In a file or a pipe nothing has to be left out of a table.
_PLAIN_WIDTH = 160


def widen(console: Console) -> None:
    """Make a console that is no terminal wide enough for every table."""
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
