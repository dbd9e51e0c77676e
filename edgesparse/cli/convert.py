"""edgesparse convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import JsonOption, TfliteArgument
from edgesparse.cli.output import print_json
from edgesparse.cli.recipe import with_recipe

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe()
def convert(
    model: TfliteArgument = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="OUT.esm", help="The image to write.")
    ] = None,
    *,
    recipe: Recipe,
    tflite: Annotated[
        Path | None,
        typer.Option("--tflite", metavar="OUT.tflite", help="Also write the thresholded .tflite."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Convert a .tflite into a sparse image (.esm)."""
    from edgesparse.pipeline import convert_file

    document = convert_file(model, output, recipe, tflite=tflite)
    if as_json:
        print_json(document)
    else:
        size = document["totals"]["flash_bytes"]
        typer.echo(f"wrote {document['output']} ({size:,} bytes on the device)")
