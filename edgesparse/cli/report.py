"""edgesparse report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def report(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN…", help="Folders of the logs of runs.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.html", help="The file to write.")
    ] = Path("report.html"),
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="RUN",
            help="Log of the dense model on the same inputs, for speed-ups. Default: predicted.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one HTML file about runs: zeros, cost, spread, memory, accuracy, layer by layer.

    The file needs nothing else and no network. --json prints what it shows instead.
    """
    from edgesparse.files import write_file
    from edgesparse.html_report import gather_report, render_page

    document = gather_report(runs, against)
    if as_json:
        print_json(document)
        return
    write_file(output, render_page(document).encode("utf-8"))
    typer.echo(f"wrote {output}")
