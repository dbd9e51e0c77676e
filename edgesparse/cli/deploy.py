"""edgesparse deploy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import (
    MAX_RUNS,
    BoardOption,
    EveryOption,
    HistogramsOption,
    InputsOption,
    JsonOption,
    ModelArgument,
    RateOption,
    ResetOption,
    TimeoutOption,
)
from edgesparse.cli.output import print_json
from edgesparse.cli.recipe import with_recipe

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe()
def deploy(
    model: ModelArgument = None,
    board: BoardOption = "qemu",
    inputs: InputsOption = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs",
            "-n",
            min=1,
            max=MAX_RUNS,
            help="Inferences; rows repeat. Default: every row, at most 20.",
        ),
    ] = None,
    *,
    recipe: Recipe,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="DIR",
            help="Folder of the run's log. Default: edgesparse-runs/<time>-<model>-<board>.",
        ),
    ] = None,
    timeout: TimeoutOption = 60.0,
    firmware: Annotated[
        Path | None,
        typer.Option(
            "--firmware",
            metavar="FILE.elf",
            help="Use this firmware, made by 'edgesparse firmware'. Default: the board's own.",
        ),
    ] = None,
    reset_state: ResetOption = False,
    part: Annotated[
        str | None,
        typer.Option(
            "--part",
            metavar="NAME",
            help="Processor whose cycles are modelled in QEMU, or none. Default: ideal.",
        ),
    ] = None,
    sparsify_on_device: Annotated[
        str | None,
        typer.Option(
            "--sparsify-on-device",
            metavar="METHOD=VALUE",
            help="The device sets small weights to zero itself, in RAM, before the first run:"
            " relative=SHARE, flat=FRACTION or threshold=MAGNITUDE.",
        ),
    ] = None,
    every: EveryOption = 1,
    rate: RateOption = 0,
    histograms: HistogramsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Run a model on a board and show each layer's zeros, work and cost.

    Any supported .tflite goes through all stages on the fly; without a model the bundled demo
    runs. The log of the run is a folder with the bytes received, the records and the summary.
    """
    from edgesparse.deploy.on_device import parse_on_device
    from edgesparse.deploy.run import Options, deploy_model

    if sparsify_on_device is not None:
        recipe = replace(recipe, on_device=parse_on_device(sparsify_on_device))

    options = Options(
        board=board,
        inputs=inputs,
        runs=runs,
        log=log,
        timeout_s=timeout,
        firmware=firmware,
        reset_state=reset_state,
        part=part,
        every=every,
        rate=rate,
        histograms=histograms,
    )
    document = deploy_model(model, recipe, options, quiet=as_json)
    if as_json:
        print_json(document)
