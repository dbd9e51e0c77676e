"""edgesparse monitor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgesparse.cli.options import (
    EveryOption,
    HistogramsOption,
    InputsOption,
    JsonOption,
    RateOption,
)
from edgesparse.cli.output import print_json
from edgesparse.cli.recipe import with_recipe
from edgesparse.errors import UsageError

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe

_ROTATE_BYTES = 64 * 1024 * 1024
_ROTATE_S = 24 * 3600.0
_KEEP = 16


@with_recipe()
def monitor(
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="What the device runs, a .tflite or .esm. Default: with --board the demo, with"
            " --port what an earlier log says.",
        ),
    ] = None,
    board: Annotated[
        str | None,
        typer.Option("--board", "-b", metavar="BOARD", help="Start this board and watch it."),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            "--port",
            "-p",
            metavar="PORT",
            help="Watch the device at a serial port, socket://HOST:PORT or rfc2217://HOST:PORT.",
        ),
    ] = None,
    baud: Annotated[int, typer.Option("--baud", min=1, help="Of a serial port.")] = 115200,
    inputs: InputsOption = None,
    start: Annotated[
        bool,
        typer.Option("--start", help="Have the device at --port run, too. Default: only listen."),
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows", min=1, help="Rows in the memory of the device at --port. Default: 1."
        ),
    ] = None,
    every: EveryOption = 1,
    rate: RateOption = 0,
    histograms: HistogramsOption = False,
    reset_state: Annotated[
        bool,
        typer.Option(
            "--reset-state", help="Reset a model's state before each run. Default: never."
        ),
    ] = False,
    runs: Annotated[
        int | None, typer.Option("--runs", "-n", min=1, help="Stop after so many runs.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option("--duration", min=0.0, help="Stop after so many seconds.")
    ] = None,
    *,
    recipe: Recipe,
    log: Annotated[
        Path | None,
        typer.Option(
            "--log",
            metavar="DIR",
            help="Parent of the logs, each a folder that replay and export take."
            " Default: edgesparse-runs/<time>-<model>-<board>.",
        ),
    ] = None,
    forever: Annotated[
        bool,
        typer.Option("--forever", help="Wait for the first connection too, and rotate the logs."),
    ] = False,
    rotate_bytes: Annotated[
        int | None,
        typer.Option("--rotate-bytes", min=1, help="Size of a log. Default: 64 MiB."),
    ] = None,
    rotate_seconds: Annotated[
        float | None,
        typer.Option("--rotate-seconds", min=0.0, help="Age of a log. Default: a day."),
    ] = None,
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="Logs to keep. Default: 16.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Watch a device while it runs, show a live table, and log.

    With --board a board is started with a model, without an end; with --port a device that runs
    already is watched, also through restarts and lost connections. Ctrl-C ends it with exit code 0.
    """
    from edgesparse.deploy.run import Options
    from edgesparse.monitor.command import MonitorOptions, Port, monitor_board, monitor_port
    from edgesparse.monitor.recorder import Rotation

    if (board is None) == (port is None):
        raise UsageError("give --board to start one, or --port to watch a device that runs")
    if port is None and (start or rows is not None):
        raise UsageError("--start and --rows belong to --port; a board is always started")
    if not forever and (rotate_bytes or rotate_seconds is not None or keep):
        raise UsageError("--rotate-bytes, --rotate-seconds and --keep need --forever")
    rotation = Rotation(
        _ROTATE_BYTES if rotate_bytes is None else rotate_bytes,
        _ROTATE_S if rotate_seconds is None else rotate_seconds,
        _KEEP if keep is None else keep,
    )
    options = MonitorOptions(
        runs=runs,
        seconds=duration,
        every=every,
        rate=rate,
        histograms=histograms,
        reset_state=reset_state,
        log=log,
        rotation=rotation if forever else None,
    )
    if board is not None:
        place = Options(board=board, inputs=inputs)
        document = monitor_board(model, recipe, place, options, quiet=as_json)
    else:
        assert port is not None
        where = Port(url=port, baud=baud, wait=forever, start=start, rows=rows or 1)
        document = monitor_port(model, recipe, where, inputs, options, quiet=as_json)
    if as_json:
        print_json(document)
