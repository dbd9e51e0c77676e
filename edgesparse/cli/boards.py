"""edgesparse boards."""

from __future__ import annotations

from rich.console import Console

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def boards(as_json: JsonOption = False) -> None:
    """List the boards that models can run on."""
    from edgesparse.deploy.boards import list_boards
    from edgesparse.doctor import describe_boards, render_boards

    document = describe_boards(list_boards())
    if as_json:
        print_json(document)
    else:
        Console().print(render_boards(document))
