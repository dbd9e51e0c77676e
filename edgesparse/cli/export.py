"""edgesparse export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run's log.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="FORMAT",
            help="csv, parquet, perfetto, tensorboard or model-explorer.",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help="Where to. Default: in RUN."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a run's log for other tools.

    csv, parquet: a row for each layer of each inference. perfetto: a trace with layers as slices
    and sparsity as counters; one instruction is shown as one microsecond. tensorboard: scalars by
    run number. model-explorer: node data that colours the .tflite's graph, a file a measure.
    """
    from edgesparse.export import export_run

    written = export_run(run, to, output)
    if as_json:
        print_json({"schema_version": 1, "files": [str(path) for path in written]})
    else:
        for path in written:
            typer.echo(f"wrote {path}")
