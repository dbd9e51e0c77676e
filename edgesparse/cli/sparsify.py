"""edgesparse sparsify."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import JsonOption, TfliteArgument
from edgesparse.cli.output import print_json, print_tables
from edgesparse.cli.recipe import with_recipe

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe(
    "method",
    "sparsity",
    "value",
    "granularity",
    "policy",
    "depthwise",
    "compensate",
    "allocation",
    "calibration",
    "calibration_rows",
)
def sparsify(
    model: TfliteArgument = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT.tflite", help="The .tflite to write."),
    ] = None,
    *,
    recipe: Recipe,
    as_json: JsonOption = False,
) -> None:
    """Set small weights of a .tflite to zero, without retraining.

    The result is a .tflite for any tool. Without --output nothing is written: the table says what
    would become zero, layer by layer, and which names a policy can match. With --compensate the
    rows that it was not calibrated on tell how often the class stayed.
    """
    from edgesparse.pipeline import sparsify_file
    from edgesparse.sparsify.table import render_layers

    document = sparsify_file(model, output, recipe)
    if as_json:
        print_json(document)
    else:
        print_tables(render_layers(document))
