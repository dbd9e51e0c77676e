"""The command line: one thin sub-command a stage, no logic.

stdout is data, everything else goes to stderr.  Exit codes are those of edgesparse.errors.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import TyperException

from edgesparse import __version__
from edgesparse.errors import EdgesparseError, StoppedError, UsageError
from edgesparse.recipe_options import (
    PROFILE_HELP,
    DepthwiseOption,
    GranularityOption,
    ProfileRowsOption,
    with_recipe,
)

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe

app = typer.Typer(
    name="edgesparse",
    help="Sparse int8 networks on Cortex-M: convert, deploy, and see where the zeros are.",
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_EPILOG = (
    "Exit codes: 0 ok, 1 bug, 2 usage, 3 model, 4 format, 5 target, 6 device, 7 verification,"
    " 8 regression, 130 interrupted."
)

# In a file or a pipe nothing has to be left out of a table.
_PLAIN_WIDTH = 160

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
ResetOption = Annotated[
    bool,
    typer.Option(
        "--reset-state",
        help="Reset a model's state before each run. Default: before its first row only.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]


def _print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2)
    sys.stdout.write("\n")


def _print_tables(*tables: Any) -> None:
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
    console.print(*tables, sep="\n\n")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edgesparse {__version__}")
        raise typer.Exit


@app.callback(epilog=_EPILOG)
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    del version


@app.command()
@with_recipe()
def deploy(
    model: ModelArgument = None,
    board: BoardOption = "qemu",
    inputs: InputsOption = None,
    runs: Annotated[
        int | None,
        typer.Option(
            "--runs", "-n", min=1, help="Inferences; rows repeat. Default: every row, at most 20."
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
    timeout: Annotated[
        float,
        typer.Option("--timeout", help="Seconds of silence after which the device is given up."),
    ] = 60.0,
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
    as_json: JsonOption = False,
) -> None:
    """Run a model on a board and show each layer's zeros, work and cost.

    Any supported .tflite goes through all stages on the fly; without a model the bundled demo
    runs. The log of the run is a folder with the bytes received, the records and the summary.
    """
    from edgesparse.deploy.run import Options, deploy_model

    options = Options(
        board=board,
        inputs=inputs,
        runs=runs,
        log=log,
        timeout_s=timeout,
        firmware=firmware,
        reset_state=reset_state,
        part=part,
    )
    document = deploy_model(model, recipe, options, quiet=as_json)
    if as_json:
        _print_json(document)


@app.command("sparsify")
@with_recipe("method", "sparsity", "value", "granularity", "policy", "depthwise")
def sparsify_command(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A .tflite file. Default: the demo.")
    ] = None,
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
    would become zero, layer by layer, and which names a policy can match.
    """
    from edgesparse.pipeline import sparsify_file
    from edgesparse.sparsify.table import render_layers

    document = sparsify_file(model, output, recipe)
    if as_json:
        _print_json(document)
    else:
        _print_tables(render_layers(document))


@app.command()
@with_recipe()
def convert(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A .tflite file. Default: the demo.")
    ] = None,
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
        _print_json(document)
    else:
        size = document["totals"]["flash_bytes"]
        typer.echo(f"wrote {document['output']} ({size:,} bytes on the device)")


@app.command()
def compensate(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="A .tflite file.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="OUT.tflite", help="The model to write.")
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="FILE.npz", help="Calibration rows x; labels unused.")
    ],
    sparsity: Annotated[
        float, typer.Option("--sparsity", "-s", help="Share of zeros in all weights, 0 to 0.95.")
    ],
    rows: Annotated[
        int | None,
        typer.Option(
            "--rows",
            "-n",
            min=1,
            help="Rows to calibrate on, from the first. Default: half of them, at most 300.",
        ),
    ] = None,
    allocation: Annotated[
        str,
        typer.Option(
            "--allocation",
            help="How layers share the zeros: weights, macs (count zeros as MACs) or uniform.",
        ),
    ] = "weights",
    as_json: JsonOption = False,
) -> None:
    """Zero weights and move the others to make up for them, without labels or training.

    Convolutions and fully connected layers; depthwise stays dense. The rows that were not used for
    calibration then tell how often the class stayed. Every class should be among the rows.
    """
    from edgesparse.sparsify.compensate.command import compensate_file, render_compensation

    document = compensate_file(
        model,
        output,
        data=data,
        sparsity=sparsity,
        rows=rows,
        allocation=allocation,
        quiet=as_json,
    )
    if as_json:
        _print_json(document)
    else:
        Console().print(render_compensation(document))


@app.command()
@with_recipe()
def analyze(
    model: ModelArgument = None,
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
    from edgesparse.pipeline import make_image, read_model
    from edgesparse.sparsify.storage import render_storage, storage_rows
    from edgesparse.telemetry.log import replay as replay_log

    made = make_image(read_model(model), recipe)
    measured = None if run is None else replay_log(run)
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
        _print_json(document)
    else:
        _print_tables(*tables)


@app.command()
@with_recipe()
def validate(
    model: ModelArgument = None,
    board: BoardOption = "native",
    inputs: InputsOption = None,
    rows: Annotated[int, typer.Option("--rows", "-n", min=1, help="Input rows to compare.")] = 3,
    *,
    recipe: Recipe,
    timeout: Annotated[
        float,
        typer.Option("--timeout", help="Seconds of silence after which the device is given up."),
    ] = 60.0,
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
        _print_json(document)
    verdict = check_validation(document)
    if not as_json:
        typer.echo(verdict)


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a run's log.")],
    as_json: JsonOption = False,
) -> None:
    """Tell a run again from the bytes received: show it, rewrite run.jsonl and summary.json."""
    from edgesparse.report import show_table
    from edgesparse.telemetry.log import replay as replay_log

    document = replay_log(log)
    if as_json:
        _print_json(document)
    else:
        show_table(document, log=log)


@app.command()
def firmware(
    board: BoardOption = "qemu",
    only_ops: Annotated[
        Path | None,
        typer.Option(
            "--only-ops",
            metavar="MODEL",
            help="Only the operators and kernels of this .tflite or .esm; needs the Arm compiler.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="OUT.elf", help="Where to. Default: <board>.elf, here."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write the firmware of a board into a file, whole or cut down to what one model needs."""
    from edgesparse.deploy.export import export_firmware

    notes = Console(stderr=True, highlight=False)
    document = export_firmware(board, output, only_ops=only_ops, progress=notes.print)
    if as_json:
        _print_json(document)
    else:
        size, kernels = document["flash_bytes"], ", ".join(document["kernels"])
        typer.echo(f"wrote {document['output']}: {size:,} bytes of flash; kernels {kernels}")


@app.command()
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
        int, typer.Option("--runs", "-n", min=1, help="Inferences that a count is the mean of.")
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
    timeout: Annotated[
        float,
        typer.Option("--timeout", help="Seconds of silence after which the device is given up."),
    ] = 60.0,
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


@app.command()
def sweep(
    model: Annotated[
        Path | None, typer.Argument(metavar="[MODEL]", help="A .tflite file. Default: the demo.")
    ] = None,
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
    """Show accuracy, bytes and predicted instructions against zeros, for several methods.

    Started again, it goes on where it was stopped.
    """
    from edgesparse import demo
    from edgesparse.bench.command import parse_names, parse_shares
    from edgesparse.sparsify import parse_values
    from edgesparse.sweep import Sweep, points_of, render_sweep, run_sweep

    points = points_of(
        parse_names(method),
        parse_names(granularity),
        shares=parse_shares(sparsity),
        values=parse_values(value),
    )
    if data is None and model is not None:
        raise UsageError("--data is missing: rows x with labels y")
    path = demo.model_path() if model is None else model
    plan = Sweep(model, data or demo.data_path(), points, rows, depthwise)
    notes = Console(stderr=True, highlight=False)
    document = run_sweep(plan, output or Path(f"{path.stem}-sweep.jsonl"), notes.print)
    if as_json:
        _print_json(document)
    else:
        _print_tables(render_sweep(document))


@app.command()
def boards(as_json: JsonOption = False) -> None:
    """List the boards that models can run on."""
    from edgesparse.deploy.boards import list_boards
    from edgesparse.doctor import describe_boards, render_boards

    document = describe_boards(list_boards())
    if as_json:
        _print_json(document)
    else:
        Console().print(render_boards(document))


@app.command()
def doctor(as_json: JsonOption = False) -> None:
    """Say what is missing, and the command that mends it."""
    from edgesparse.doctor import check_doctor, diagnose, render_diagnosis

    document = diagnose()
    if as_json:
        _print_json(document)
    else:
        Console().print(render_diagnosis(document))
    check_doctor(document)


def _fail(error: EdgesparseError) -> int:
    sys.stderr.write(f"edgesparse: {error}\n")
    if error.hint:
        sys.stderr.write(f"  hint: {error.hint}\n")
    return error.exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.  Never raises for a foreseen error."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        result = app(args=given or ["--help"], prog_name="edgesparse", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except EdgesparseError as error:
        return _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(StoppedError())
    except TyperException as error:
        return _fail(UsageError(error.format_message(), hint="see 'edgesparse --help'"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
