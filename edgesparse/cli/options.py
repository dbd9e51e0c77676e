"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ModelArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[MODEL]", help="A .tflite or .esm file. Default: the bundled digits demo."
    ),
]
BoardOption = Annotated[
    str,
    typer.Option("--board", "-b", metavar="BOARD", help="Where to run; see 'edgesparse boards'."),
]
InputsOption = Annotated[
    Path | None,
    typer.Option(
        "--inputs",
        "-i",
        metavar="FILE.npz",
        help="Input rows x, labels y, expected outputs golden.",
    ),
]
MAX_RUNS = 2**31
"""Runs that a job may have: numbers above are for runs that dump tensors."""
ResetOption = Annotated[
    bool,
    typer.Option(
        "--reset-state",
        help="Reset a model's state before each run. Default: before its first row only.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
TimeoutOption = Annotated[
    float,
    typer.Option(
        "--timeout", min=0.0, help="Seconds of silence after which the device is given up."
    ),
]
EveryOption = Annotated[
    int,
    typer.Option(
        "--every",
        min=1,
        max=2**32 - 1,
        metavar="N",
        help="Have the device add up N runs before it tells of them. Default: each on its own.",
    ),
]
RateOption = Annotated[
    int,
    typer.Option(
        "--rate",
        min=0,
        max=2**32 - 1,
        metavar="BYTES",
        help="Bytes a second that records may take; the device leaves out and counts the rest,"
        " so that sending never holds up a run. 115200 baud take 11520. Default: no limit, and a"
        " wait for the line between runs.",
    ),
]
HistogramsOption = Annotated[
    bool,
    typer.Option("--histograms", help="Count each layer's output values in 16 bins."),
]
TfliteArgument = Annotated[
    Path | None, typer.Argument(metavar="[MODEL]", help="A .tflite file. Default: the demo.")
]
