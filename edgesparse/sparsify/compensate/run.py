"""Compensation of a whole network."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.edges import device_input
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.model import Model
from edgesparse.ops import check_supported
from edgesparse.rows import Rows, has_state, run_tensors
from edgesparse.sparsify.apply import LayerSparsity, Thresholded, threshold, threshold_layers
from edgesparse.sparsify.compensate.allocate import Curves, allocate, sensitivity
from edgesparse.sparsify.compensate.augment import augmented
from edgesparse.sparsify.compensate.layer import Layer, find_layers
from edgesparse.sparsify.compensate.moments import problems_of
from edgesparse.sparsify.compensate.plan import Task, Wanted
from edgesparse.sparsify.compensate.repair import repair
from edgesparse.sparsify.compensate.solve import remove, solve
from edgesparse.sparsify.granularity import group_ids, group_norms
from edgesparse.sparsify.layer import layers_of
from edgesparse.sparsify.policy import Policy
from edgesparse.sparsify.rule import Rule
from edgesparse.sparsify.unshare import replace_weights

__all__ = [
    "ALLOCATIONS",
    "LEAST_ROWS",
    "compensate",
    "compensate_model",
    "measure_sensitivity",
    "share_out",
]

ALLOCATIONS = ("weights", "macs")
"""How zeros are shared out among layers: for the least change of the outputs by share of weights or
of MACs."""
LEAST_ROWS = 16
"""Fewer calibration rows are refused; 100 to 500 of all classes serve well."""
_ROWS_BYTES = 512 * 1024 * 1024
"""Most bytes of the layers' inputs; where it would be more, not all rows are looked at."""

Progress = Callable[[str], None]


def _silent(_: str) -> None:
    pass


def compensate_model(
    model: Model,
    rules: Rule | Policy | Mapping[int, Wanted],
    rows: Mapping[int, Rows],
    *,
    depthwise: bool = False,
    progress: Progress = _silent,
) -> tuple[Model, tuple[LayerSparsity, ...]]:
    """Zero as many groups of weights as rules say, and move the others to make up for them.

    What a rule's method takes of a layer says how many groups go; which ones is decided anew.
    Instead, how many each layer loses can be given as share_out returns it.
    Layers whose rule does not compensate are thresholded, and the others make up for that as well;
    so are layers whose weights several operators read.

    Args:
        model: the model, which stays as it is.
        rules: as of sparsify; or the zero groups of layers, by their tensor of weights.
        depthwise: as of sparsify.
        rows: calibration rows of the device's inputs, as of rows.device_rows; no labels.
        progress: is told what is being done, in a few words.

    Returns:
        The new model and one row per layer treated, in running order.

    Raises what sparsify and compensate raise.
    """
    if isinstance(rules, Mapping):
        taken = _as_thresholded(model, rules)
    else:
        taken = threshold(model, rules, depthwise=depthwise)
    own = {layer.weights for layer in find_layers(model)}
    wanted: dict[int, Wanted] = {}
    fixed: dict[int, NDArray[Any]] = {}
    for each in taken:
        index, granularity = each.layer.tensor.index, each.rule.granularity
        if each.rule.compensate and index in own:
            zeros = _zero_groups(each, each.codes)
            wanted[index] = Wanted(int(zeros.sum()), granularity)
        else:
            fixed[index] = each.codes
    changed = compensate(model, wanted, rows, fixed=fixed, progress=progress)
    rows_of = [_row(changed, each, is_own=each.layer.tensor.index in wanted) for each in taken]
    return changed, tuple(rows_of)


def compensate(
    model: Model,
    wanted: Mapping[int, Wanted],
    rows: Mapping[int, Rows],
    *,
    fixed: Mapping[int, NDArray[Any]] | None = None,
    repaired: bool = True,
    progress: Progress = _silent,
) -> Model:
    """Zero groups of weights of some layers and move the others to make up for them.

    Shapes, activations' scales and everything else of the file stay as they are; codes are within
    +-127.  The same arguments give the same model on the same computer.

    Args:
        model: the model, which stays as it is.
        wanted: by index of the tensor of weights, how many groups are to be zero; there are more
            only where a further weight would not help.
        rows: calibration rows of the device's inputs, as of rows.device_rows; no labels.
        fixed: by index of a tensor, other values, for which the layers are to make up too.
        repaired: whether all layers are searched together at last.
        progress: is told what is being done, in a few words.

    Raises UsageError for too few rows and for a tensor that is not the weights of a layer that can
    be compensated, UnsupportedModelError for a model that cannot run or that keeps state.

    Source: DESIGN.md, section "Compensation".
    """
    layers = {layer.weights: layer for layer in find_layers(model)}
    _check(model, rows)
    for index in wanted.keys() - layers.keys():
        raise UsageError(f"tensor {index} is not the weights of a layer that can be compensated")
    tasks = [
        Task.of(model, layer, wanted[index].granularity)
        for index, layer in layers.items()
        if index in wanted
    ]
    asked = [wanted[task.layer.weights].groups for task in tasks]
    todo = [(task, count) for task, count in zip(tasks, asked, strict=True) if count > task.zeros]
    changed = replace_weights(model, fixed or {})
    if not todo:
        return changed
    rows = _enough(model, rows, [task.layer for task, _ in todo])
    changed = _one_by_one(model, changed, rows, todo, progress)
    if repaired:
        again = {layer.weights: layer for layer in find_layers(changed)}
        searched = [again[task.layer.weights] for task, _ in todo]
        changed = repair(changed, model, searched, rows, progress=progress)
    check_supported(changed)
    return changed


def share_out(
    model: Model,
    rows: Mapping[int, Rows],
    sparsity: float,
    *,
    allocation: str = "weights",
    granularity: str = "element",
    depthwise: bool = False,
    curves: Curves | None = None,
    progress: Progress = _silent,
) -> dict[int, Wanted]:
    """How many groups each layer loses so that the outputs change least: what compensate takes.

    Args:
        model: the model.
        rows: calibration rows, as for compensate.
        sparsity: share S of zeros in 0 ... 0.95: round(S · n) of the n weights of all these layers,
            as nearly as groups allow; with allocation "macs" that share of their MACs.
        allocation: one of ALLOCATIONS.
        granularity: which weights become zero together.
        depthwise: DEPTHWISE_CONV_2D layers lose weights too.
        curves: what measure_sensitivity found for the same, so that it is not measured again.
        progress: is told what is being done.

    Raises UsageError for a sparsity out of range, an unknown allocation or too few rows,
    UnsupportedModelError for a model that cannot run, that keeps state or has no such layer.
    """
    if not 0.0 <= sparsity <= 0.95:
        raise UsageError(f"sparsity {sparsity} is outside 0 ... 0.95")
    if allocation not in ALLOCATIONS:
        raise UsageError(f"unknown allocation '{allocation}', there are: {', '.join(ALLOCATIONS)}")
    tasks = _all_tasks(model, granularity, depthwise=depthwise)
    if curves is None:
        curves = measure_sensitivity(
            model, rows, granularity=granularity, depthwise=depthwise, progress=progress
        )
    groups = allocate(model, tasks, curves, sparsity, count=allocation)
    return {
        task.layer.weights: Wanted(count, granularity)
        for task, count in zip(tasks, groups, strict=True)
    }


def measure_sensitivity(
    model: Model,
    rows: Mapping[int, Rows],
    *,
    granularity: str = "element",
    depthwise: bool = False,
    progress: Progress = _silent,
) -> Curves:
    """What share_out measures before it shares out zeros: the same for every sparsity.

    Takes and raises what share_out does.
    """
    _check(model, rows)
    tasks = _all_tasks(model, granularity, depthwise=depthwise)
    rows = _enough(model, rows, [task.layer for task in tasks])
    return sensitivity(model, tasks, rows, progress=progress)


def _all_tasks(model: Model, granularity: str, *, depthwise: bool) -> list[Task]:
    layers = [layer for layer in find_layers(model) if depthwise or not layer.is_depthwise]
    if not layers:
        reason = "no CONV_2D or FULLY_CONNECTED layer with weights of its own"
        raise UnsupportedModelError([("model", model.name, reason)])
    return [Task.of(model, layer, granularity) for layer in layers]


def _check(model: Model, rows: Mapping[int, Rows]) -> None:
    check_supported(model)
    if has_state(model):
        reason = "a model that keeps state cannot be compensated"
        raise UnsupportedModelError([("VAR_HANDLE", model.name, reason)])
    missing = {device_input(model, index) for index in model.inputs} - rows.keys()
    if missing:
        label = model.tensors[min(missing)].label
        raise UsageError(f"no calibration rows for input '{label}'")
    count = min(len(values) for values in rows.values())
    if count < LEAST_ROWS:
        raise UsageError(
            f"{count} calibration rows are too few, at least {LEAST_ROWS} are needed",
            hint="give 100 to 500 rows with every class among them",
        )


def _enough(model: Model, rows: Mapping[int, Rows], layers: Iterable[Layer]) -> dict[int, Rows]:
    """As many rows, made up ones among them, as keep what is held of them within _ROWS_BYTES."""
    rows = augmented(model, rows)
    held = {index for layer in layers for index in (layer.source, layer.node.outputs[0])}
    each = 2 * sum(model.tensors[index].elements for index in held)
    count = min(len(values) for values in rows.values())
    most = max(LEAST_ROWS, min(count, _ROWS_BYTES // max(each, 1)))
    chosen = np.unique(np.linspace(0, count - 1, most).astype(int))
    return {index: values[chosen] for index, values in rows.items()}


def _one_by_one(
    model: Model,
    changed: Model,
    rows: Mapping[int, Rows],
    todo: Sequence[tuple[Task, int]],
    progress: Progress,
) -> Model:
    """Solve layers in running order, each behind those already changed."""
    dense = run_tensors(model, rows, [task.layer.source for task, _ in todo])
    # Inputs of the layers in the changed network; those after it are computed from here on.
    known = dict(rows)
    for task, count in todo:
        layer = task.layer
        progress(f"layer {layer.node.index}: {count:,} of {task.groups:,} to zero")
        known |= run_tensors(changed, known, [layer.source])
        problems = problems_of(model, layer, dense[layer.source], known[layer.source])
        solution = solve(layer, problems, remove(problems, task.members), count)
        changed = layer.written(changed, solution)
    return changed


def _as_thresholded(model: Model, wanted: Mapping[int, Wanted]) -> tuple[Thresholded, ...]:
    """Layers with as many zero groups, by magnitude: topk."""
    taken = []
    for layer in layers_of(model):
        asked = wanted.get(layer.tensor.index)
        if asked is None:
            continue
        ids = group_ids(layer.node.op, layer.tensor.shape, asked.granularity)
        share = asked.groups / (int(ids.max()) + 1)
        rule = Rule("topk", (share,), asked.granularity, compensate=True)
        taken += threshold_layers(rule, [layer])
    return tuple(taken)


def _zero_groups(each: Thresholded, codes: NDArray[Any]) -> NDArray[np.bool_]:
    ids = group_ids(each.layer.node.op, codes.shape, each.rule.granularity).reshape(-1)
    return np.asarray(np.bincount(ids, weights=(codes != 0).reshape(-1)) == 0)


def _row(changed: Model, each: Thresholded, *, is_own: bool) -> LayerSparsity:
    """What became of a layer, the threshold being the greatest norm that went."""
    codes = changed.tensors[each.layer.tensor.index].data
    assert codes is not None
    found = replace(each, codes=codes).row()
    if not is_own:
        return found
    tensor = each.layer.tensor
    ids = group_ids(each.layer.node.op, tensor.shape, each.rule.granularity)
    norms = group_norms(each.layer.node.op, tensor, ids)[_zero_groups(each, codes)]
    return replace(found, threshold=float(norms.max(initial=0.0)), compensated=True)
