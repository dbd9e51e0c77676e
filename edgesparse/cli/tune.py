"""edgesparse tune."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgesparse.cli.options import JsonOption, TfliteArgument
from edgesparse.cli.output import print_json, print_tables
from edgesparse.cli.recipe import CpuOption, DepthwiseOption
from edgesparse.errors import UsageError


def tune(
    model: TfliteArgument = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="FILE.npz", help="Rows x, labels y where there are any."),
    ] = None,
    max_drop: Annotated[
        float, typer.Option("--max-drop", help="Accuracy that may be lost: 0.01 is one point.")
    ] = 0.01,
    margin: Annotated[
        float,
        typer.Option("--margin", help="Standard errors of the loss that --max-drop has to cover."),
    ] = 1.0,
    optimize: Annotated[
        str,
        typer.Option(
            "--optimize", metavar="WHAT", help="What to lower: cycles, instructions or bytes."
        ),
    ] = "cycles",
    search: Annotated[
        str,
        typer.Option(
            "--search",
            help="grid: each layer alone, then together; fine: around a base; auto: also allocate.",
        ),
    ] = "auto",
    method: Annotated[
        str,
        typer.Option(
            "--method",
            "-m",
            metavar="M,…",
            help="Bases to compare: flat, triangular, relative, allocate. Default: all.",
        ),
    ] = "auto",
    compensate: Annotated[
        bool,
        typer.Option(
            "--compensate",
            help="The weights that stay make up for those that go; minutes instead of seconds.",
        ),
    ] = False,
    activation_thresholds: Annotated[
        bool,
        typer.Option(
            "--activation-thresholds",
            help="Search which small activations can become zero too; the policy has them.",
        ),
    ] = False,
    granularity: Annotated[
        str, typer.Option("--granularity", metavar="G,…", help="Granularities to compare.")
    ] = "element,filter",
    depthwise: DepthwiseOption = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="OUT.tflite",
            help="The model to write. Default: <model>-tuned.tflite, here.",
        ),
    ] = None,
    policy_out: Annotated[
        Path | None,
        typer.Option(
            "--policy-out",
            metavar="OUT.toml",
            help="The policy to write. Default: as the model, .toml.",
        ),
    ] = None,
    trials: Annotated[
        Path | None,
        typer.Option(
            "--trials",
            metavar="FILE.jsonl",
            help="All trials, one a line. Default: <model>-trials.jsonl, here.",
        ),
    ] = None,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", "-n", min=1, help="Rows to look at, evenly over the data. Default: all."
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option(
            "--board", "-b", metavar="BOARD", help="Where dense and tuned model are measured."
        ),
    ] = "qemu",
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Predict costs only; run on no board.")
    ] = False,
    cpu: CpuOption = None,
    jobs: Annotated[
        int | None,
        typer.Option("--jobs", "-j", min=1, help="Processes. Default: one a processor."),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option("--dask", metavar="ADDRESS", help="Run trials on this Dask cluster: tcp://…"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Search how far each layer can be thinned, within a budget of accuracy.

    The search sees half of the rows; accuracy is told on the other half. Rows that --compensate is
    calibrated on are in neither. Without labels a row is right where its class is the dense
    model's. Started again, it goes on where it was stopped.
    """
    from edgesparse import demo
    from edgesparse.bench.command import parse_names
    from edgesparse.tune.command import Tuning, tune_file
    from edgesparse.tune.report import render_layers, render_tuning

    if data is None and model is not None:
        raise UsageError("--data is missing: rows x, labels y where there are any")
    name = (demo.model_path() if model is None else model).stem
    written = output or Path(f"{name}-tuned.tflite")
    tuning = Tuning(
        model,
        data or demo.data_path(),
        written,
        policy_out or written.with_suffix(".toml"),
        trials or Path(f"{name}-trials.jsonl"),
        max_drop=max_drop,
        margin=margin,
        search=search,
        methods=parse_names(method),
        compensate=compensate,
        activation_thresholds=activation_thresholds,
        granularities=parse_names(granularity),
        optimize=optimize,
        cpu=cpu,
        board=None if no_measure else board,
        depthwise=depthwise,
        rows=rows,
        jobs=jobs,
        dask=dask,
    )
    document = tune_file(tuning, quiet=as_json)
    if as_json:
        print_json(document)
    else:
        print_tables(render_layers(document), render_tuning(document))
