"""Accuracy, bytes and instructions of a model against the zeros in its weights.

Every point is a rule for all layers (sparsify.rule.Rule).  Accuracy is that of the kernels
themselves, compiled for this computer, over the first rows of the data.  Costs are predicted, and
measured on a board where there is one, as `edgesparse bench` measures them.  Points go into a file
of one JSON object a line as soon as they are measured; a sweep that is started again takes over
those that are there already, told by all that decides them: model, data, rows, rule, goal, board
and build.

A point is on the Pareto front if no other is at least as good in accuracy, bytes of flash and
cost, and better in one.  The cost is the count measured if all points have one, else the
instructions predicted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from rich import box
from rich.table import Table

from edgesparse import native
from edgesparse.bench.measure import RUNS, deployed
from edgesparse.deploy.run import Options, destination_for
from edgesparse.encode import Zeros
from edgesparse.encode.cost import CYCLES, INSTRUCTIONS
from edgesparse.encode.predict import predicted
from edgesparse.errors import DoesNotFitError, FormatError, StoppedError, TargetError, UsageError
from edgesparse.files import append_line, read_file, read_lines
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model
from edgesparse.pipeline import ANYWHERE, Converted, Recipe, make_image, read_model
from edgesparse.sparsify import Rule
from edgesparse.sparsify.evaluate import evaluate
from edgesparse.sparsify.rule import SHARE_METHODS, check_method

__all__ = ["Sweep", "mark_front", "points_of", "render_sweep", "run_sweep"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What to measure.

    Args:
        model: a .tflite file; None is the bundled demo.
        data: an .npz file with rows x and labels y.
        points: the rules, in order.
        rows: rows to measure the accuracy with, None for all.
        depthwise: thin depthwise convolutions too.
        board: where to count; None: nowhere, costs are predicted alone.
        choice: the rest of the recipe, such as its goal.
    """

    model: Path | None
    data: Path
    points: tuple[Rule, ...]
    rows: int | None = None
    depthwise: bool = False
    board: str | None = None
    choice: Recipe = field(default_factory=Recipe)


class _Key(BaseModel):
    """All that decides a point."""

    model_config = ConfigDict(frozen=True, extra="ignore", protected_namespaces=())

    build: str
    model_sha256: str
    data_sha256: str
    rows: int
    method: str
    value: tuple[float, ...]
    granularity: str
    depthwise: bool
    optimize: str
    cpu: str | None
    board: str | None


class _Point(_Key):
    """A point as measured.

    sparsity: zeros per weight over all layers that can be thinned.  measured: the mean count of the
    first RUNS rows, in `unit`; None where there is no board or the model does not fit on it.
    """

    sparsity: float
    accuracy: float
    flash_bytes: int
    predicted_cycles: int
    predicted_instructions: int
    measured: float | None
    unit: str | None


def points_of(
    methods: Sequence[str],
    granularities: Sequence[str],
    *,
    shares: Sequence[float],
    values: Sequence[float],
) -> tuple[Rule, ...]:
    """Return the model as it is, then every method at every granularity at every value.

    relative and topk take the shares; flat and threshold the values, triangular each value for both
    its ends.  Raises UsageError for a method that is left without any.
    """
    rules = [Rule()]
    for method in methods:
        check_method(method)
        steps = shares if method in SHARE_METHODS else values
        if method != "none" and not steps:
            option = "--sparsity" if method in SHARE_METHODS else "--value"
            raise UsageError(f"method {method} takes {option}")
        for granularity in granularities:
            for step in steps if method != "none" else ():
                value = (step, step) if method == "triangular" else (step,)
                rules.append(Rule(method, value, granularity))
    return tuple(dict.fromkeys(rules))


def run_sweep(sweep: Sweep, file: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure what `file` does not hold yet and return all points as a document.

    `progress` is told what comes next, a line each.  Raises UsageError for data without labels,
    FormatError for a file of something else, StoppedError after Ctrl-C, and what deploying raises.
    """
    inputs = load_inputs(sweep.data)
    if inputs.y is None:
        raise UsageError(f"{sweep.data} has no labels", hint="add an array y, a label a row")
    rows = inputs.rows if sweep.rows is None else min(sweep.rows, inputs.rows)
    model = read_model(sweep.model)
    known = _read_points(file)
    found = []
    try:
        for number, (rule, key) in enumerate(_keys(sweep, model, rows), start=1):
            if key not in known:
                progress(f"{number} of {len(sweep.points)}: {_name(rule)}")
                known[key] = _measure(sweep, model, inputs, rule, key)
                append_line(file, known[key].model_dump_json())
            found.append(known[key].model_dump(mode="json"))
    except (KeyboardInterrupt, StoppedError):
        raise StoppedError("stopped; start it again to go on") from None
    except DoesNotFitError:
        raise
    except TargetError as error:
        progress(f"not measured: {error}")
        return run_sweep(replace(sweep, board=None), file, progress)
    mark_front(found)
    return {"schema_version": 1, "model": model.name, "file": str(file), "points": found}


def _keys(sweep: Sweep, model: Model, rows: int) -> Iterator[tuple[Rule, _Key]]:
    data_sha256 = hashlib.sha256(read_file(sweep.data)).hexdigest()
    for rule in sweep.points:
        yield (
            rule,
            _Key(
                build=native.build_id().hex(),
                model_sha256=model.sha256(),
                data_sha256=data_sha256,
                rows=rows,
                method=rule.method,
                value=rule.value,
                granularity=rule.granularity,
                depthwise=sweep.depthwise,
                optimize=sweep.choice.optimize,
                cpu=sweep.choice.cpu,
                board=sweep.board,
            ),
        )


def _recipe(sweep: Sweep, rule: Rule) -> Recipe:
    takes_share = rule.method in SHARE_METHODS
    return replace(
        sweep.choice,
        method=rule.method,
        sparsity=rule.value[0] if takes_share else 0.0,
        depthwise=sweep.depthwise,
        value=() if takes_share else rule.value,
        granularity=rule.granularity,
    )


def _measure(sweep: Sweep, model: Model, inputs: Inputs, rule: Rule, key: _Key) -> _Point:
    recipe = _recipe(sweep, rule)
    options = None
    if sweep.board is not None:
        options = Options(board=sweep.board, inputs=sweep.data, runs=min(RUNS, inputs.rows))
    place = ANYWHERE if options is None else destination_for(sweep.model, options)
    made = make_image(model, recipe, place)
    assert made.image.meta.sparsify is not None
    layers = made.image.meta.sparsify.layers
    weights = sum(each.weights for each in layers)
    measured, unit = _counted(sweep, recipe, options)
    return _Point(
        **key.model_dump(),
        sparsity=sum(each.zeros_after for each in layers) / weights if weights else 0.0,
        accuracy=evaluate(made.model, inputs, range(key.rows)).share,
        flash_bytes=len(made.image.device_bytes()),
        predicted_cycles=_predicted(made, CYCLES),
        predicted_instructions=_predicted(made, INSTRUCTIONS),
        measured=measured,
        unit=unit,
    )


def _predicted(made: Converted, unit: str) -> int:
    profile = made.image.meta.profile
    tensors = () if profile is None else profile.tensors
    zeros = {each.tensor: Zeros(each.mean, each.spread, each.pairs) for each in tensors}
    return predicted(made.encoded, zeros, unit)


def _counted(
    sweep: Sweep, recipe: Recipe, options: Options | None
) -> tuple[float | None, str | None]:
    """The count on the board and its unit, where there is a board with room for the model."""
    if options is None:
        return None, None
    try:
        document = deployed(sweep.model, recipe, options)
    except DoesNotFitError:
        return None, None
    return document["totals"]["count"], document["unit"]


def _read_points(file: Path) -> dict[_Key, _Point]:
    """The points of a file, none where there is no file."""
    points = {}
    for number, line in enumerate(read_lines(file), start=1):
        try:
            point = _Point.model_validate_json(line)
        except ValidationError as error:
            raise FormatError(
                f"{file}, line {number} is not a point of a sweep",
                hint="name another file, or remove this one",
            ) from error
        points[_Key(**point.model_dump(include=set(_Key.model_fields)))] = point
    return points


def mark_front(points: Iterable[dict[str, Any]]) -> None:
    """Set `pareto` of every point: whether it is on the front."""
    listed = list(points)
    is_measured = all(each["measured"] is not None for each in listed)
    cost = "measured" if is_measured else "predicted_instructions"
    goodness = [(each["accuracy"], -each["flash_bytes"], -each[cost]) for each in listed]
    for own, point in zip(goodness, listed, strict=True):
        point["pareto"] = not any(
            other != own and all(a >= b for a, b in zip(other, own, strict=True))
            for other in goodness
        )


def _name(rule: Rule) -> str:
    values = " ".join(f"{each:g}" for each in rule.value)
    shown = f"{rule.method} {values}".strip()
    return shown if rule.granularity == "element" else f"{shown}, {rule.granularity}"


def render_sweep(document: dict[str, Any]) -> Table:
    """Return the document as a table for people, one row a point."""
    points = document["points"]
    caption = f"* on the Pareto front; points in {document['file']}"
    table = Table(title=document["model"], box=box.SIMPLE_HEAD, show_edge=False, caption=caption)
    for name in ("", "method", "granularity"):
        table.add_column(name, no_wrap=True)
    units = [point["unit"] for point in points if point["unit"] is not None]
    columns = ["value", "zero %", "accuracy %", "flash, bytes", "predicted\ninstructions"]
    for name in (*columns, *(f"measured\n{unit}" for unit in units[:1])):
        table.add_column(name, justify="right", no_wrap=True)
    for point in points:
        table.add_row(
            "*" if point["pareto"] else "",
            point["method"],
            point["granularity"],
            " ".join(f"{each:g}" for each in point["value"][:1]),
            f"{100 * point['sparsity']:.1f}",
            f"{100 * point['accuracy']:.2f}",
            f"{point['flash_bytes']:,}",
            f"{point['predicted_instructions']:,}",
            *(["" if point["measured"] is None else f"{point['measured']:,.0f}"] if units else []),
        )
    return table
