"""The command line's options for a recipe, written once for all commands that convert a model."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from edgesparse.pipeline import Recipe

__all__ = [
    "PROFILE_HELP",
    "CpuOption",
    "DepthwiseOption",
    "GranularityOption",
    "ProfileRowsOption",
    "with_recipe",
]

MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        "-m",
        help="Which weights become zero: none, relative, topk, flat, triangular or threshold.",
    ),
]
SparsityOption = Annotated[
    float,
    typer.Option(
        "--sparsity",
        "-s",
        help="relative, topk: share of each layer's weights to set to zero, 0 to 1.",
    ),
]
ValueOption = Annotated[
    str | None,
    typer.Option(
        "--value",
        metavar="V[,V…]",
        help="flat: fraction of the smallest span; triangular: of the first and the last span;"
        " threshold: real magnitudes, one or one a layer.",
    ),
]
GranularityOption = Annotated[
    str,
    typer.Option(
        "--granularity",
        help="Weights that become zero together: element, vector, kernel, filter or 1xN.",
    ),
]
PolicyOption = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE.toml",
        help="Method, value and granularity by layer name, in place of the options.",
    ),
]
DepthwiseOption = Annotated[
    bool, typer.Option("--depthwise", help="Threshold depthwise convolutions too.")
]
ActivationThresholdOption = Annotated[
    float,
    typer.Option(
        "--activation-threshold",
        metavar="F",
        help="The device sets to zero what a layer writes of at most F (0 to 0.5) of the greatest"
        " magnitude that fits; layers read by CONV_2D or FULLY_CONNECTED.",
    ),
]
EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding", help="Weight encoding for every layer that has it; default: the cheapest."
    ),
]
KeepDeadOption = Annotated[
    bool, typer.Option("--keep-dead", help="Keep channels that no output depends on.")
]
OptimizeOption = Annotated[
    str,
    typer.Option(
        "--optimize",
        metavar="WHAT",
        help="Choose kernels for cycles, instructions or size; balanced: cycles, in little RAM.",
    ),
]
CpuOption = Annotated[
    str | None,
    typer.Option(
        "--cpu",
        metavar="CORE",
        help="Core that costs are predicted for. Default: the board's, else cortex-m4.",
    ),
]
MaxRamOption = Annotated[
    int | None,
    typer.Option(
        "--max-ram", metavar="BYTES", help="The most the arena may take, tensors and scratch."
    ),
]
MaxFlashOption = Annotated[
    int | None,
    typer.Option(
        "--max-flash",
        metavar="BYTES",
        help="The most the image may take; weights may then be larger than dense if faster.",
    ),
]
SkipOption = Annotated[
    str,
    typer.Option(
        "--skip-activations",
        metavar="auto|off",
        help="Whether kernels may skip zero activations where that pays.",
    ),
]
PROFILE_HELP = (
    "Rows (.npz) or a run's log to take the zeros of activations from. Default: rows of"
    " --inputs, if given, that are not run, else assumed."
)
ProfileOption = Annotated[
    Path | None,
    typer.Option("--profile", "--profile-from", metavar="FILE.npz|DIR", help=PROFILE_HELP),
]
ProfileRowsOption = Annotated[
    str | None,
    typer.Option(
        "--profile-rows",
        metavar="FIRST-LAST",
        help="Rows of --profile-from. Default: the first 20.",
    ),
]
CompensateOption = Annotated[
    bool,
    typer.Option(
        "--compensate",
        help="Weights that stay make up for those that go; without --method, layers share the"
        " zeros by what they cost.",
    ),
]
AllocationOption = Annotated[
    str | None,
    typer.Option(
        "--allocation",
        metavar="weights|macs",
        help="--compensate without --method: --sparsity counts weights (default) or MACs.",
    ),
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(
        "--calibration",
        metavar="FILE.npz",
        help="Rows to compensate on, labels unused. Default: rows of --inputs, if given, that are"
        " not run.",
    ),
]
CalibrationRowsOption = Annotated[
    str | None,
    typer.Option(
        "--calibration-rows",
        metavar="FIRST-LAST",
        help="Rows of --calibration. Default: half of them, drawn, at most 500.",
    ),
]


def make_recipe(
    method: MethodOption = "none",
    sparsity: SparsityOption = 0.0,
    value: ValueOption = None,
    granularity: GranularityOption = "element",
    policy: PolicyOption = None,
    depthwise: DepthwiseOption = False,
    encoding: EncodingOption = None,
    keep_dead: KeepDeadOption = False,
    optimize: OptimizeOption = "cycles",
    cpu: CpuOption = None,
    max_ram: MaxRamOption = None,
    max_flash: MaxFlashOption = None,
    skip_activations: SkipOption = "auto",
    profile: ProfileOption = None,
    profile_rows: ProfileRowsOption = None,
    activation_threshold: ActivationThresholdOption = 0.0,
    compensate: CompensateOption = False,
    allocation: AllocationOption = None,
    calibration: CalibrationOption = None,
    calibration_rows: CalibrationRowsOption = None,
) -> Recipe:
    """The recipe that the options ask for.  Raises UsageError where they contradict each other."""
    from edgesparse.pipeline import Recipe, parse_rows
    from edgesparse.sparsify import load_policy, parse_values

    return Recipe(
        method,
        sparsity,
        depthwise,
        encoding,
        value=parse_values(value),
        granularity=granularity,
        policy=None if policy is None else load_policy(policy),
        keep_dead=keep_dead,
        optimize=optimize,
        cpu=cpu,
        max_ram=max_ram,
        max_flash=max_flash,
        skip_activations=skip_activations,
        profile=profile,
        profile_rows=None if profile_rows is None else parse_rows(profile_rows),
        activation_threshold=activation_threshold,
        compensate=compensate,
        allocation=allocation,
        calibration=calibration,
        calibration_rows=None if calibration_rows is None else parse_rows(calibration_rows),
    )


def with_recipe(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command options in place of its parameter `recipe`: all of them, or those named."""
    options = inspect.signature(make_recipe).parameters
    wanted = {name: options[name] for name in names or options}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(**given: Any) -> None:
            recipe = make_recipe(**{name: given.pop(name) for name in wanted})
            command(recipe=recipe, **given)

        hints = get_type_hints(make_recipe, {"Recipe": Any} | globals(), include_extras=True)
        hints |= get_type_hints(command, {"Recipe": Any} | command.__globals__, include_extras=True)
        parameters: list[inspect.Parameter] = []
        for name, own in inspect.signature(command).parameters.items():
            parameters += wanted.values() if name == "recipe" else [own]
        run.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [each.replace(annotation=hints[each.name]) for each in parameters]
        )
        run.__annotations__ = {each.name: hints[each.name] for each in parameters}
        return run

    return decorate
