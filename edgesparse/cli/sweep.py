"""edgesparse sweep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from edgesparse.cli.options import JsonOption, TfliteArgument
from edgesparse.cli.output import print_json, print_tables
from edgesparse.cli.recipe import DepthwiseOption, with_recipe
from edgesparse.errors import UsageError

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe("optimize", "cpu")
def sweep(
    model: TfliteArgument = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE.npz", help="Rows x with labels y."),
    ] = None,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="M,…", help="Methods.")
    ] = "relative",
    sparsity: Annotated[
        str,
        typer.Option("--sparsity", "-s", metavar="S,…", help="relative, topk: shares, 0 to 1."),
    ] = "0.1,0.2,0.3,0.4,0.5,0.6,0.7,0.8,0.9",
    value: Annotated[
        str | None,
        typer.Option(
            "--value",
            metavar="V,…",
            help="flat, threshold: values; triangular: each for both its ends.",
        ),
    ] = None,
    granularity: Annotated[
        str, typer.Option("--granularity", metavar="G,…", help="Granularities.")
    ] = "element",
    depthwise: DepthwiseOption = False,
    rows: Annotated[
        int | None,
        typer.Option("--rows", "-n", min=1, help="First rows of the data. Default: all."),
    ] = None,
    *,
    recipe: Recipe,
    board: Annotated[
        str, typer.Option("--board", "-b", metavar="BOARD", help="Where costs are measured.")
    ] = "qemu",
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Predict costs only; run on no board.")
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option("--plot", metavar="FILE.svg|png", help="Draw the curves, with the front."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.jsonl",
            help="The points, one a line. Default: <model>-sweep.jsonl, here.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show accuracy, bytes and instructions against zeros, for several methods.

    Started again, it goes on where it was stopped.
    """
    from edgesparse import demo
    from edgesparse.bench.command import parse_names, parse_shares
    from edgesparse.sparsify import parse_values
    from edgesparse.sweep import Sweep, points_of, render_sweep, run_sweep
    from edgesparse.sweep_plot import check_plot, plot_sweep

    points = points_of(
        parse_names(method),
        parse_names(granularity),
        shares=parse_shares(sparsity),
        values=parse_values(value),
    )
    if data is None and model is not None:
        raise UsageError("--data is missing: rows x with labels y")
    if plot is not None:
        check_plot(plot)
    path = demo.model_path() if model is None else model
    plan = Sweep(
        model,
        data or demo.data_path(),
        points,
        rows,
        depthwise,
        board=None if no_measure else board,
        choice=recipe,
    )
    notes = Console(stderr=True, highlight=False)
    document = run_sweep(plan, output or Path(f"{path.stem}-sweep.jsonl"), notes.print)
    if plot is not None:
        plot_sweep(document, plot)
        notes.print(f"wrote {plot}")
    if as_json:
        print_json(document)
    else:
        print_tables(render_sweep(document))
