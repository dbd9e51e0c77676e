"""edgesparse doctor."""

from __future__ import annotations

from rich.console import Console

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def doctor(as_json: JsonOption = False) -> None:
    """Say what is missing, and the command that mends it."""
    from edgesparse.doctor import check_doctor, diagnose, render_diagnosis

    document = diagnose()
    if as_json:
        print_json(document)
    else:
        Console().print(render_diagnosis(document))
    check_doctor(document)
