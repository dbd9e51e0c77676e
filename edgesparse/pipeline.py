"""The host half of the flow in one call: file -> Model -> sparsified -> encoded -> Image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgesparse import demo, native
from edgesparse.activations import Profile, assumed, profile_rows, profile_run
from edgesparse.analyze import analyze
from edgesparse.blocks import policy_blocks
from edgesparse.calibration import Calibration, drawn, judged, span, working
from edgesparse.encode import Encoded, Goal, Zeros, encode
from edgesparse.encode.cost import DEFAULT_CPU
from edgesparse.errors import DoesNotFitError, UsageError
from edgesparse.files import check_writable, read_file, write_file
from edgesparse.image import Image, build_image, read_image
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.meta import LayerSparsityMeta, SparsifyMeta
from edgesparse.model import Model, parse_file, save_model
from edgesparse.rows import device_rows
from edgesparse.sparsify import LayerSparsity, Policy, Rule, rule_of, sparsify
from edgesparse.sparsify.compensate import ALLOCATIONS, compensate_model, share_out
from edgesparse.sparsify.table import describe_layers
from edgesparse.thresholds import check_fraction, with_thresholds

__all__ = [
    "AUTO",
    "OFF",
    "Converted",
    "Destination",
    "Recipe",
    "convert_file",
    "convert_model",
    "make_image",
    "parse_rows",
    "prepare_image",
    "read_model",
    "thin",
    "with_demo_rows",
]

_IMAGE_MAGIC = b"ESM1"

AUTO, OFF = "auto", "off"
PROFILE_ROWS = 20
"""Rows that a profile takes at most, unless it is said which."""

CHANGEABLE_ENCODINGS = ("dense", "bitmap")
"""Encodings of weights that a device can set to zero itself."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What to do to a .tflite on its way into an image.

    method, sparsity, value, granularity: see sparsify.rule.  A policy stands in their place.
    encoding, keep_dead: see encode.  optimize, cpu, max_ram, max_flash: see encode.Goal; cpu None:
    that of the destination.  skip_activations: AUTO or OFF.  profile: an .npz or the folder of a
    run, to take the zeros of activations from; profile_rows: the first row of the .npz and the one
    behind the last.  activation_threshold: see thresholds.with_thresholds.  on_device: the rule
    that the device is going to thin the weights by.  compensate: every rule compensates; without a
    method, sparsity is the share of all weights, which layers share as allocation says, see
    sparsify.compensate.  calibration: an .npz with rows for that; calibration_rows: as
    profile_rows.
    """

    method: str = "none"
    sparsity: float = 0.0
    depthwise: bool = False
    encoding: str | None = None
    value: tuple[float, ...] = ()
    granularity: str = "element"
    policy: Policy | None = None
    keep_dead: bool = False
    optimize: str = "cycles"
    cpu: str | None = None
    max_ram: int | None = None
    max_flash: int | None = None
    skip_activations: str = AUTO
    profile: Path | None = None
    profile_rows: tuple[int, int] | None = None
    activation_threshold: float = 0.0
    on_device: Rule | None = None
    compensate: bool = False
    allocation: str | None = None
    calibration: Path | None = None
    calibration_rows: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.calibration_rows is not None and self.calibration is None:
            raise UsageError("--calibration-rows needs --calibration")
        if self.allocation not in (None, *ALLOCATIONS):
            listed = ", ".join(ALLOCATIONS)
            raise UsageError(f"unknown allocation '{self.allocation}', there are: {listed}")
        if self.allocation is not None and not self.shares_out:
            raise UsageError(
                "--allocation shares out --sparsity where --compensate has no --method or --policy"
            )
        if self.skip_activations not in (AUTO, OFF):
            raise UsageError(f"--skip-activations is {AUTO} or {OFF}, not {self.skip_activations}")
        if self.profile_rows is not None and self.profile is None:
            raise UsageError("--profile-rows needs --profile-from")
        for option, limit in (("--max-ram", self.max_ram), ("--max-flash", self.max_flash)):
            if limit is not None and limit < 1:
                raise UsageError(f"{option} is a number of bytes, 1 or more")
        check_fraction(self.activation_threshold)
        if self.on_device is not None and (
            self.rules() != Rule() or self.depthwise or self.encoding is not None
        ):
            raise UsageError(
                "--sparsify-on-device stands in the place of --method, --policy, --compensate,"
                " --depthwise and --encoding"
            )
        self.goal(Destination())

    def goal(self, destination: Destination) -> Goal:
        """What decides between kernels there."""
        return Goal(
            optimize=self.optimize,
            cpu=destination.cpu if self.cpu is None else self.cpu,
            max_ram=self.max_ram,
            max_flash=self.max_flash,
            spare_ram=destination.ram_bytes,
            skip_activations=self.skip_activations == AUTO,
            kernels=destination.kernels,
        )

    @property
    def shares_out(self) -> bool:
        """Whether layers share the zeros by what they cost the outputs."""
        return self.compensate and self.policy is None and self.method == "none"

    def rules(self) -> Rule | Policy:
        """What sparsify takes, or compensate_model if a rule compensates.

        Raises UsageError for parts that do not belong together.
        """
        if self.policy is None:
            method = "topk" if self.shares_out else self.method
            rule = rule_of(method, self.sparsity, self.value, self.granularity)
            return replace(rule, compensate=self.compensate)
        if (self.method, self.sparsity, self.value, self.granularity) != (
            "none",
            0.0,
            (),
            "element",
        ):
            raise UsageError(
                "--policy stands in the place of --method, --sparsity, --value and --granularity",
                hint="write them into the policy's table [default]",
            )
        return self.policy.compensating() if self.compensate else self.policy


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image is to run, as far as it is known.

    cpu: its core.  ram_bytes, flash_bytes: what it has; an image that does not fit is made all the
    same, as small as it can be.  kernels: what its firmware has; None: all.  inputs, rows: input
    rows that it will not be given.
    """

    cpu: str = DEFAULT_CPU
    ram_bytes: int | None = None
    flash_bytes: int | None = None
    kernels: frozenset[str] | None = None
    inputs: Inputs | None = None
    rows: Sequence[int] = ()


ANYWHERE = Destination()


@dataclass(frozen=True, slots=True)
class Converted:
    """An image, the thresholded model that it was made from, and the choice of its kernels."""

    image: Image
    model: Model
    encoded: Encoded


def thin(
    model: Model, recipe: Recipe, destination: Destination = ANYWHERE
) -> tuple[Model, SparsifyMeta]:
    """Set small weights to zero as the recipe says, and move the others if that compensates.

    The new model also has the thresholds by which the device sets activations to zero.
    """
    thinned, layers, _ = _thinned(model, recipe, destination)
    rules = () if recipe.policy is None else recipe.policy.activations
    thinned = with_thresholds(thinned, recipe.activation_threshold, rules)
    return thinned, _sparsify_meta(model, recipe, layers)


def _thinned(
    model: Model, recipe: Recipe, destination: Destination
) -> tuple[Model, tuple[LayerSparsity, ...], Calibration | None]:
    """The new model, what became of its layers, and what it was calibrated on, if it was."""
    rules = recipe.rules()
    every = (rules,) if isinstance(rules, Rule) else rules.rules()
    if not any(rule.compensate for rule in every):
        return *sparsify(model, rules, depthwise=recipe.depthwise), None
    calibration = _calibration_of(recipe, destination)
    rows = device_rows(model, calibration.inputs, calibration.rows)
    with working(f"compensating on {len(calibration.rows)} rows") as progress:
        shared = None
        if recipe.shares_out:
            shared = share_out(
                model,
                rows,
                recipe.sparsity,
                allocation=recipe.allocation or ALLOCATIONS[0],
                granularity=recipe.granularity,
                depthwise=recipe.depthwise,
                progress=progress,
            )
        found = compensate_model(
            model, shared or rules, rows, depthwise=recipe.depthwise, progress=progress
        )
    return *found, calibration


def _calibration_of(recipe: Recipe, destination: Destination) -> Calibration:
    """The rows that the recipe names, else of those that are left over."""
    if recipe.calibration is not None:
        inputs = load_inputs(recipe.calibration)
        if recipe.calibration_rows is None:
            return drawn(inputs)
        return span(inputs, *recipe.calibration_rows, str(recipe.calibration))
    if destination.inputs is not None and destination.rows:
        return drawn(destination.inputs, among=destination.rows)
    raise UsageError(
        "compensation needs input rows to calibrate on",
        hint="give --calibration FILE.npz; a run also takes what is left of its --inputs",
    )


def _sparsify_meta(model: Model, recipe: Recipe, layers: tuple[LayerSparsity, ...]) -> SparsifyMeta:
    rows = tuple(
        LayerSparsityMeta(
            index=layer.node_index,
            weights=layer.weights,
            zeros_before=layer.zeros_before,
            zeros_after=layer.zeros_after,
            threshold=layer.threshold,
            method=layer.method,
            granularity=layer.granularity,
            compensated=layer.compensated,
        )
        for layer in layers
    )
    return SparsifyMeta(
        method=recipe.method if recipe.policy is None else "policy",
        sparsity=recipe.sparsity,
        depthwise=recipe.depthwise,
        layers=rows,
        value=recipe.value,
        granularity=recipe.granularity,
        on_device="" if recipe.on_device is None else _rule_text(recipe.on_device),
        blocks=() if recipe.policy is None else policy_blocks(model, recipe.policy),
    )


def _rule_text(rule: Rule) -> str:
    return f"{rule.method}={','.join(f'{each:g}' for each in rule.value)}"


def parse_rows(text: str) -> tuple[int, int]:
    """Rows FIRST-LAST, both included, as the first one and the one behind the last."""
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
        raise UsageError(f"rows {text!r} are not FIRST-LAST, such as 100-119")
    return int(first), int(last) + 1


def _profile_of(model: Model, recipe: Recipe, destination: Destination) -> Profile:
    """The zeros to expect: as the recipe says, else of rows left over, else assumed."""
    if recipe.profile is not None and recipe.profile.is_dir():
        if recipe.profile_rows is not None:
            raise UsageError("--profile-rows is for an .npz, not for the folder of a run")
        return profile_run(model, recipe.profile)
    if recipe.profile is not None:
        inputs = load_inputs(recipe.profile)
        first, end = recipe.profile_rows or (0, min(inputs.rows, PROFILE_ROWS))
        if end > inputs.rows:
            raise UsageError(f"{recipe.profile} has rows 0-{inputs.rows - 1}, not up to {end - 1}")
        source = f"rows {first}-{end - 1} of {recipe.profile.name}"
        return profile_rows(model, inputs, range(first, end), source)
    if destination.inputs is not None and destination.rows:
        rows = destination.rows[:PROFILE_ROWS]
        source = f"rows {rows[0]}-{rows[-1]} of the inputs, which are not run"
        return profile_rows(model, destination.inputs, rows, source)
    return assumed(model)


def make_image(model: Model, recipe: Recipe, destination: Destination = ANYWHERE) -> Converted:
    """All stages from a model to its image.

    Raises DoesNotFitError where the recipe's limits cannot be met, and what the stages raise.
    """
    thinned, meta = thin(model, recipe, destination)
    goal = recipe.goal(destination)
    profile = assumed(thinned)
    running = thinned if recipe.on_device is None else _thinned_there(thinned, recipe.on_device)
    if goal.skip_activations:
        profile = _profile_of(running, recipe, destination)

    def attempt(goal: Goal, weights_limit_bytes: int | None = None) -> Converted:
        encoded = encode(
            running,
            encoding=recipe.encoding,
            keep_dead=recipe.keep_dead or recipe.on_device is not None,
            goal=goal if recipe.on_device is None else _changeable(goal),
            zeros=profile.zeros,
            weights_limit_bytes=weights_limit_bytes,
        )
        changeable = recipe.on_device is not None
        if changeable:
            encoded = _with_all_weights(encoded, thinned, profile.zeros)
        image = build_image(encoded, sparsify=meta, profile=profile.meta(), changeable=changeable)
        return Converted(image, thinned, encoded)

    made = attempt(goal)
    for limit in (recipe.max_flash, destination.flash_bytes):
        if limit is not None and _flash_bytes(made) > limit:
            made = _smaller(attempt, made, goal, limit, must=limit == recipe.max_flash)
    return made


def _thinned_there(model: Model, rule: Rule) -> Model:
    """The model as it will be when the device has thinned it."""
    thinned, _ = sparsify(model, rule)
    return replace(thinned, thresholds=model.thresholds)


def _changeable(goal: Goal) -> Goal:
    """The goal, with only those kernels whose weights the device can thin."""
    kernels = frozenset(
        name
        for name, row in native.table("kernel").items()
        if row.columns[0] not in ("conv_2d", "fully_connected")
        or row.columns[1] in CHANGEABLE_ENCODINGS
    )
    return replace(goal, kernels=kernels if goal.kernels is None else kernels & goal.kernels)


def _with_all_weights(chosen: Encoded, model: Model, zeros: Mapping[int, Zeros]) -> Encoded:
    """The same kernels, and their predicted costs, for the model before the device thins it."""
    encodings = {node.layer: node.encoding for node in chosen.nodes}
    whole = encode(model, encoding=encodings, keep_dead=True, goal=chosen.goal, zeros=zeros)
    nodes = tuple(
        replace(node, chosen=replace(node.chosen, cost=like.chosen.cost))
        for node, like in zip(whole.nodes, chosen.nodes, strict=True)
    )
    return replace(whole, nodes=nodes)


def _flash_bytes(made: Converted) -> int:
    return len(made.image.device_bytes())


def _data_bytes(made: Converted) -> int:
    return sum(node.chosen.flash_bytes for node in made.encoded.nodes)


def _smaller(
    attempt: Any, made: Converted, goal: Goal, limit_bytes: int, *, must: bool
) -> Converted:
    """An image of at most `limit_bytes`; where that cannot be, an error if it `must`."""
    smallest: Converted = attempt(replace(goal, optimize="size"))
    if _flash_bytes(smallest) > limit_bytes:
        if not must:
            return smallest
        node = max(smallest.encoded.nodes, key=lambda each: each.chosen.flash_bytes)
        name = smallest.image.meta.layers[node.layer].name
        least = _flash_bytes(smallest)
        raise DoesNotFitError(
            f"the image in --max-flash (layer {node.layer} '{name}' alone has"
            f" {node.chosen.flash_bytes} bytes)",
            least,
            limit_bytes,
            hint=f"the least possible is --max-flash {least}",
        )
    data_limit = _data_bytes(made)
    while _flash_bytes(made) > limit_bytes:
        data_limit -= _flash_bytes(made) - limit_bytes
        try:
            made = attempt(goal, data_limit)
        except DoesNotFitError:
            return smallest  # equal pieces are kept once, which no single step sees
    return made


def convert_model(
    model: Model, recipe: Recipe, destination: Destination = ANYWHERE
) -> tuple[Image, Model]:
    """All stages from a model to its image; also the thresholded model."""
    made = make_image(model, recipe, destination)
    return made.image, made.model


def read_model(path: Path | None) -> Model:
    """The .tflite at a path; the bundled demo model for None."""
    path = demo.model_path() if path is None else path
    data = read_file(path)
    if data.startswith(_IMAGE_MAGIC):
        raise UsageError(
            f"{path} is an image, not a .tflite",
            hint="give the .tflite that the image was converted from",
        )
    return parse_file(data, path)


def prepare_image(path: Path | None, recipe: Recipe, destination: Destination = ANYWHERE) -> Image:
    """The image for a .tflite or .esm file, or for the bundled demo model.

    Raises UsageError for a recipe on an .esm, whose weights and kernels are fixed.
    """
    path = demo.model_path() if path is None else path
    data = read_file(path)
    if not data.startswith(_IMAGE_MAGIC):
        return make_image(parse_file(data, path), recipe, destination).image
    if recipe != Recipe():
        raise UsageError(
            f"{path} is an image, whose weights and kernels are fixed; --method, --policy,"
            " --encoding, --optimize and the like need the .tflite",
            hint="give the .tflite that the image was converted from",
        )
    return read_image(data)


def convert_file(
    path: Path | None, output: Path | None, recipe: Recipe, *, tflite: Path | None = None
) -> dict[str, Any]:
    """Write the image of a .tflite, and the thresholded .tflite if `tflite` names a file.

    `output` None: beside the working directory, named after the model.  Returns the analysis of
    what was written, with the path under "output".
    """
    check_writable(output, tflite)
    made = make_image(read_model(path), with_demo_rows(path, recipe))
    output = Path(f"{made.model.name}.esm") if output is None else output
    if tflite is not None:
        save_model(made.model, tflite)
    write_file(output, made.image.data)
    return {"output": str(output)} | analyze(made.model, made.image, made.encoded)


def sparsify_file(path: Path | None, output: Path | None, recipe: Recipe) -> dict[str, Any]:
    """Write a .tflite with weights set to zero; return what became of its layers.

    `output` None: write nothing.  Only weights change, and with compensation biases and the scales
    of both, so that whatever opens the one opens the other; where a layer's bytes in the file were
    another tensor's too, it gets its own and the file grows by them.  Under "calibration" stands
    what the calibration rows left over say, if there were any: see calibration.judged.
    """
    check_writable(output)
    model = read_model(path)
    thinned, layers, calibration = _thinned(model, with_demo_rows(path, recipe), ANYWHERE)
    if output is not None:
        save_model(thinned, output)
    return {
        "output": None if output is None else str(output),
        **describe_layers(thinned, layers),
        "calibration": None if calibration is None else judged(calibration, model, thinned),
    }


def with_demo_rows(path: Path | None, recipe: Recipe) -> Recipe:
    """The recipe, calibrated on the bundled rows if the model is the bundled one."""
    if path is None and recipe.calibration is None:
        return replace(recipe, calibration=demo.data_path())
    return recipe
