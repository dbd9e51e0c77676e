"""edgesparse replay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def replay(
    log: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run's log.")],
    as_json: JsonOption = False,
) -> None:
    """Tell a run again from the bytes received: show it, rewrite run.jsonl and summary.json."""
    from edgesparse.report.table import show_table
    from edgesparse.telemetry.log import replay as replay_log

    document = replay_log(log)
    if as_json:
        print_json(document)
    else:
        show_table(document, log=log)
