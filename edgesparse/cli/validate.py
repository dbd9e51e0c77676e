"""edgesparse validate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import (
    BoardOption,
    InputsOption,
    JsonOption,
    ResetOption,
    TfliteArgument,
    TimeoutOption,
)
from edgesparse.cli.output import print_json
from edgesparse.cli.recipe import with_recipe

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe()
def validate(
    model: TfliteArgument = None,
    board: BoardOption = "native",
    inputs: InputsOption = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Input rows to compare.")] = 3,
    *,
    recipe: Recipe,
    timeout: TimeoutOption = 60.0,
    reset_state: ResetOption = False,
    as_json: JsonOption = False,
) -> None:
    """Compare a board with the reference, tensor by tensor.

    Every layer's output and zero count must equal the reference interpreter's; the first
    difference is named, and the exit code is then 7.
    """
    from edgesparse.validate import check_validation, validate_model

    document = validate_model(
        model,
        recipe,
        board=board,
        inputs=inputs,
        rows=rows,
        timeout_s=timeout,
        reset_state=reset_state,
    )
    if as_json:
        print_json(document)
    verdict = check_validation(document)
    if not as_json:
        typer.echo(verdict)
