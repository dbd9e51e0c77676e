"""edgesparse compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesparse.cli.options import JsonOption
from edgesparse.cli.output import print_json, print_tables


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="The log of the earlier run.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The log of the later run.")],
    max_regression: Annotated[
        float | None,
        typer.Option(
            "--max-regression",
            min=0.0,
            help="Exit with 8 if a total of B (count, cycles, flash, RAM) is above A's by more:"
            " 0.01 is 1 %.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs of one model, layer by layer: dense and sparse, or two firmware builds.

    Both need the same layers, the same input rows and the same unit; what differs is named.
    """
    from edgesparse.bench.compare import check_regression
    from edgesparse.compare import compare_logs, render_comparison

    comparison = compare_logs(a, b)
    if as_json:
        print_json(comparison)
    else:
        print_tables(render_comparison(comparison))
    if max_regression is not None:
        check_regression(comparison, max_regression)
