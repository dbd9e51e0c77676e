"""edgesparse bench."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import MAX_RUNS, InputsOption, TimeoutOption
from edgesparse.cli.recipe import (
    PROFILE_HELP,
    DepthwiseOption,
    GranularityOption,
    ProfileRowsOption,
    with_recipe,
)

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe


@with_recipe("encoding", "keep_dead", "optimize", "cpu", "max_ram", "max_flash")
def bench(
    models: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[MODEL …]",
            help=".tflite files, or .esm files with --sparsity 0. Default: the demo.",
        ),
    ] = None,
    board: Annotated[
        str, typer.Option("--board", "-b", metavar="BOARD,…", help="Where to run.")
    ] = "qemu",
    sparsity: Annotated[
        str,
        typer.Option(
            "--sparsity", "-s", metavar="S,…", help="Shares of weights to set to zero, 0 to 1."
        ),
    ] = "0,0.5,0.8,0.9",
    method: Annotated[
        str,
        typer.Option("--method", "-m", help="Which weights become zero: relative or topk."),
    ] = "topk",
    granularity: GranularityOption = "element",
    depthwise: DepthwiseOption = False,
    *,
    recipe: Recipe,
    skip_activations: Annotated[
        str,
        typer.Option(
            "--skip-activations",
            metavar="auto|off,…",
            help="Whether kernels may skip zero activations where that pays.",
        ),
    ] = "auto",
    profile_from: Annotated[
        Path | None,
        typer.Option("--profile-from", metavar="FILE.npz|DIR", help=PROFILE_HELP),
    ] = None,
    profile_rows: ProfileRowsOption = None,
    inputs: InputsOption = None,
    runs: Annotated[
        int,
        typer.Option(
            "--runs", "-n", min=1, max=MAX_RUNS, help="Inferences that a count is the mean of."
        ),
    ] = 3,
    json_file: Annotated[
        str | None,
        typer.Option("--json", metavar="FILE", help="Write the document to a file; - for stdout."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="FILE", help="Compare with a document of before."),
    ] = None,
    max_regression: Annotated[
        float,
        typer.Option(
            "--max-regression", min=0.0, help="Growth of a total that is allowed: 0.01 is 1 %."
        ),
    ] = 0.01,
    part: Annotated[
        str | None,
        typer.Option(
            "--part", metavar="NAME,…", help="Processors whose cycles are modelled. Default: ideal."
        ),
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="List functions by share of modelled cycles.")
    ] = False,
    profile_out: Annotated[
        Path | None,
        typer.Option(
            "--profile-out",
            metavar="FILE",
            help="Folded stacks of --profile. Default: MODEL-BOARD.folded",
        ),
    ] = None,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Measure what models cost on boards, layer by layer, at several shares of zeros.

    Counts are exact: the same build gives the same numbers on every host. With --against the
    exit code is 8 if a total grew by more than --max-regression.
    """
    from edgesparse.bench.command import parse_names, parse_shares, run_bench
    from edgesparse.bench.measure import Bench
    from edgesparse.pipeline import parse_rows

    plan = Bench(
        models=tuple(models) if models else (None,),
        boards=parse_names(board),
        parts=(None,) if part is None else parse_names(part),
        sparsities=parse_shares(sparsity),
        method=method,
        depthwise=depthwise,
        granularity=granularity,
        choice=replace(
            recipe,
            profile=profile_from,
            profile_rows=None if profile_rows is None else parse_rows(profile_rows),
        ),
        skips=parse_names(skip_activations),
        inputs=inputs,
        runs=runs,
        timeout_s=timeout,
        profile=profile or profile_out is not None,
    )
    run_bench(
        plan,
        json_file=json_file,
        against=against,
        max_regression=max_regression,
        profile_file=profile_out,
    )
