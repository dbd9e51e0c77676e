"""Compensation of a whole network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgesparse.edges import device_input
from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.model import Model
from edgesparse.ops import check_supported
from edgesparse.rows import Rows, has_state, run_tensors
from edgesparse.sparsify.compensate.allocate import Curves, allocate, sensitivity, uniform
from edgesparse.sparsify.compensate.layer import Layer, find_layers
from edgesparse.sparsify.compensate.moments import problem_of
from edgesparse.sparsify.compensate.solve import solve
from edgesparse.sparsify.compensate.trace import trace

__all__ = ["ALLOCATIONS", "LEAST_ROWS", "CompensatedLayer", "compensate", "measure_sensitivity"]

ALLOCATIONS = ("weights", "macs", "uniform")
"""How zeros are shared out among layers: for the least change of the outputs by share of weights or
of MACs, or the same share everywhere."""
LEAST_ROWS = 16
"""Fewer calibration rows are refused; 100 to 500 of all classes serve well."""


@dataclass(frozen=True, slots=True)
class CompensatedLayer:
    """What became of one layer; factor: of the scales of its weights and bias."""

    node_index: int
    name: str
    weights: int
    zeros_before: int
    zeros_after: int
    factor: float

    @property
    def share(self) -> float:
        """Zeros per weight, as reached."""
        return self.zeros_after / self.weights


def _silent(_: str) -> None:
    pass


def compensate(
    model: Model,
    rows: Mapping[int, Rows],
    *,
    sparsity: float,
    allocation: str = "weights",
    curves: Curves | None = None,
    progress: Callable[[str], None] = _silent,
) -> tuple[Model, tuple[CompensatedLayer, ...]]:
    """Zero weights of CONV_2D and FULLY_CONNECTED layers and move the others to make up for them.

    Shapes, activations' scales and everything else of the file stay as they are; codes are within
    +-127.  The same arguments give the same model.

    Args:
        model: the model, which stays as it is.
        rows: calibration rows of the device's inputs, as of rows.device_rows; no labels.
        sparsity: share S of zeros in 0 ... 0.95: round(S · n) of the n weights of all these layers
            are 0 (a few more where a further weight would not help); with allocation "macs" that
            share of their MACs.  0 leaves the model as it is.
        allocation: one of ALLOCATIONS.
        curves: what measure_sensitivity found for these rows, so that it is not measured again.
        progress: is told what is being done, in a few words.

    Returns:
        The new model and one row per layer, in running order.

    Raises UsageError for a sparsity out of range, an unknown allocation or too few rows,
    UnsupportedModelError for a model that cannot run, that keeps state or has no such layer.

    Source: DESIGN.md, section "Compensation".
    """
    if not 0.0 <= sparsity <= 0.95:
        raise UsageError(f"sparsity {sparsity} is outside 0 ... 0.95")
    if allocation not in ALLOCATIONS:
        raise UsageError(f"unknown allocation '{allocation}', there are: {', '.join(ALLOCATIONS)}")
    layers = _checked_layers(model, rows)
    if allocation == "uniform" or sparsity == 0.0:
        zeros = uniform(layers, sparsity)
    else:
        if curves is None:
            curves = sensitivity(model, layers, rows, progress=progress)
        zeros = allocate(model, layers, curves, sparsity, count=allocation)
    return _compensate_layers(model, rows, layers, zeros, progress)


def measure_sensitivity(
    model: Model, rows: Mapping[int, Rows], *, progress: Callable[[str], None] = _silent
) -> Curves:
    """What compensate measures before it shares out zeros: the same for every sparsity.

    Raises what compensate raises.
    """
    return sensitivity(model, _checked_layers(model, rows), rows, progress=progress)


def _checked_layers(model: Model, rows: Mapping[int, Rows]) -> tuple[Layer, ...]:
    check_supported(model)
    if has_state(model):
        reason = "a model that keeps state cannot be compensated; use --method"
        raise UnsupportedModelError([("VAR_HANDLE", model.name, reason)])
    layers = find_layers(model)
    if not layers:
        reason = "no CONV_2D or FULLY_CONNECTED layer with weights of its own"
        raise UnsupportedModelError([("model", model.name, reason)])
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
    return layers


def _compensate_layers(
    model: Model,
    rows: Mapping[int, Rows],
    layers: tuple[Layer, ...],
    zeros: list[int],
    progress: Callable[[str], None],
) -> tuple[Model, tuple[CompensatedLayer, ...]]:
    dense = run_tensors(model, rows, [layer.source for layer in layers])
    # Inputs of the layers in the pruned network; those after it are computed from here on.
    known = dict(rows)
    changed = model
    found = []
    for layer, wanted in zip(layers, zeros, strict=True):
        after, factor = layer.zeros, 1.0
        known |= run_tensors(changed, known, [layer.source])
        if wanted > layer.zeros:
            progress(f"layer {layer.node.index}: {wanted:,} of {layer.size:,} weights to zero")
            problem = problem_of(model, layer, dense[layer.source], known[layer.source])
            solution = solve(layer, problem, trace(problem), wanted)
            changed = layer.written(changed, solution)
            after, factor = layer.size - int(np.count_nonzero(solution.codes)), solution.factor
        label = model.tensors[layer.weights].label
        found.append(
            CompensatedLayer(layer.node.index, label, layer.size, layer.zeros, after, factor)
        )
    check_supported(changed)
    return changed, tuple(found)
