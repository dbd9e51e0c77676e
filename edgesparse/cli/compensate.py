"""edgesparse compensate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json


def compensate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.tflite", help="The model to write.")
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="FILE.npz", help="Calibration rows x; labels unused.")
    ],
    sparsity: Annotated[
        float, typer.Option("--sparsity", "-s", help="Share of zeros in all weights, 0 to 0.95.")
    ],
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            "-n",
            min=1,
            help="Rows to calibrate on, from the first. Default: half of them, at most 300.",
        ),
    ] = None,
    allocation: Annotated[
        str,
        typer.Option(
            "--allocation",
            help="How layers share the zeros: weights, macs (count zeros as MACs) or uniform.",
        ),
    ] = "weights",
    as_json: JsonOption = False,
) -> None:
    """Zero weights and move the others to make up for them, without labels or training.

    Convolutions and fully connected layers; depthwise stays dense. The rows that were not used for
    calibration then tell how often the class stayed. Every class should be among the rows.
    """
    from edgesparse.sparsify.compensate.command import compensate_file, render_compensation

    document = compensate_file(
        model,
        output,
        data=data,
        sparsity=sparsity,
        rows=rows,
        allocation=allocation,
        quiet=as_json,
    )
    if as_json:
        print_json(document)
    else:
        Console().print(render_compensation(document))
