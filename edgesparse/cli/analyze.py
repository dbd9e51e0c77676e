"""edgesparse analyze."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import JsonOption, TfliteArgument
from edgesparse.cli.output import print_json, print_tables
from edgesparse.cli.recipe import with_recipe

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe()
def analyze(
    model: TfliteArgument = None,
    *,
    recipe: Recipe,
    alternatives: Annotated[
        bool,
        typer.Option("--alternatives", help="Show all ways to run each layer, and why which one."),
    ] = False,
    run: Annotated[
        Path | None,
        typer.Option("--run", metavar="DIR", help="Show what a run's log measured beside."),
    ] = None,
    granularities: Annotated[
        bool,
        typer.Option(
            "--granularities",
            help="Also index bits, bytes and memory references by granularity and index encoding.",
        ),
    ] = False,
    blocks: Annotated[
        bool,
        typer.Option(
            "--blocks", help="Also blocks of layers: the policy's, or those of the tensor names."
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what a model is made of, layer by layer.

    Operators, shapes, MACs, weights, zeros, bytes dense and encoded, flash and RAM, predicted cost.
    """
    from edgesparse.analyze import analysis_tables
    from edgesparse.analyze import analyze as analyze_image
    from edgesparse.blocks import block_rows, find_blocks, render_blocks
    from edgesparse.pipeline import make_image, read_model, with_demo_rows
    from edgesparse.sparsify.storage import render_storage, storage_rows
    from edgesparse.telemetry.log import read_log

    made = make_image(read_model(model), with_demo_rows(model, recipe))
    measured = None if run is None else read_log(run).document
    document = analyze_image(made.model, made.image, made.encoded, measured=measured)
    tables = analysis_tables(document, alternatives=alternatives)
    if blocks:
        rows = block_rows(find_blocks(made.model, recipe.policy), document["layers"])
        document["blocks"] = rows
        tables.append(render_blocks(rows))
    if granularities:
        document["storage"] = storage_rows(made.model)
        tables.append(render_storage(document["storage"]))
    if as_json:
        print_json(document)
    else:
        print_tables(*tables)
