"""Accuracy, bytes and predicted instructions of a model against the zeros in its weights.

Every point is a rule for all layers (sparsify.rule.Rule).  Accuracy is that of the kernels
themselves, on board native, over the first rows of the data.  Points go into a file of one JSON
object a line as soon as they are measured; a sweep that is started again takes over those that are
there already, told by all that decides them: model, data, rows, rule and build.

A point is on the Pareto front if no other is at least as good in accuracy, bytes of flash and
predicted instructions, and better in one.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from rich import box
from rich.table import Table

from edgesparse import native
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.encode import Goal, encode
from edgesparse.errors import FormatError, StoppedError, UsageError
from edgesparse.files import read_file, write_file
from edgesparse.inputs import load_inputs
from edgesparse.model import Model
from edgesparse.pipeline import Recipe, read_model, thin
from edgesparse.sparsify import Rule
from edgesparse.sparsify.rule import SHARE_METHODS

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
    """

    model: Path | None
    data: Path
    points: tuple[Rule, ...]
    rows: int | None = None
    depthwise: bool = False


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


class _Point(_Key):
    """A point as measured.  sparsity: zeros per weight over all layers that can be thinned."""

    sparsity: float
    accuracy: float
    flash_bytes: int
    predicted_instructions: int


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
    for number, (rule, key) in enumerate(_keys(sweep, model, rows), start=1):
        if key not in known:
            progress(f"{number} of {len(sweep.points)}: {_name(rule)}")
            known[key] = _measure(sweep, model, rule, key)
            _append(file, known[key])
        found.append(known[key].model_dump(mode="json"))
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
            ),
        )


def _recipe(sweep: Sweep, rule: Rule) -> Recipe:
    takes_share = rule.method in SHARE_METHODS
    return Recipe(
        rule.method,
        rule.value[0] if takes_share else 0.0,
        sweep.depthwise,
        value=() if takes_share else rule.value,
        granularity=rule.granularity,
    )


def _measure(sweep: Sweep, model: Model, rule: Rule, key: _Key) -> _Point:
    recipe = _recipe(sweep, rule)
    thinned, meta = thin(model, recipe)
    with tempfile.TemporaryDirectory() as folder:
        options = Options("native", inputs=sweep.data, runs=key.rows, log=Path(folder) / "log")
        try:
            document = deploy_model(sweep.model, recipe, options, quiet=True)
        except StoppedError:
            raise StoppedError("stopped; start it again to go on") from None
    zeros = sum(each.zeros_after for each in meta.layers)
    weights = sum(each.weights for each in meta.layers)
    nodes = encode(thinned, goal=Goal(optimize="instructions")).nodes
    return _Point(
        **key.model_dump(),
        sparsity=zeros / weights if weights else 0.0,
        accuracy=document["accuracy"],
        flash_bytes=document["totals"]["flash_bytes"],
        predicted_instructions=sum(node.chosen.cost or 0 for node in nodes),
    )


def _read_points(file: Path) -> dict[_Key, _Point]:
    """The points of a file, none where there is no file.

    A last line without an end was being written when the sweep was stopped; it is cut off.
    """
    if not file.exists():
        return {}
    data = read_file(file)
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        write_file(file, whole)
    points = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            point = _Point.model_validate_json(line)
        except ValidationError as error:
            raise FormatError(
                f"{file}, line {number} is not a point of a sweep",
                hint="name another file, or remove this one",
            ) from error
        points[_Key(**point.model_dump(include=set(_Key.model_fields)))] = point
    return points


def _append(file: Path, point: _Point) -> None:
    try:
        with file.open("ab") as lines:
            lines.write(point.model_dump_json().encode("utf-8") + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}") from error


def mark_front(points: Iterable[dict[str, Any]]) -> None:
    """Set `pareto` of every point: whether it is on the front."""
    listed = list(points)
    goodness = [
        (each["accuracy"], -each["flash_bytes"], -each["predicted_instructions"]) for each in listed
    ]
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
    for name in ("value", "zero %", "accuracy %", "flash, bytes", "predicted\ninstructions"):
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
        )
    return table
