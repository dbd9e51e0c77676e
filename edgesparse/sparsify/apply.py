"""Set the smallest weights of layers to zero, as a rule or a policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UsageError
from edgesparse.model import Model
from edgesparse.ops import check_supported
from edgesparse.sparsify.granularity import group_ids, group_norms
from edgesparse.sparsify.layer import Layer, layers_of, span
from edgesparse.sparsify.policy import Policy, assign
from edgesparse.sparsify.rule import Rule
from edgesparse.sparsify.threshold import METHODS, Groups
from edgesparse.sparsify.unshare import replace_weights


@dataclass(frozen=True, slots=True)
class LayerSparsity:
    """What became of one layer's weights.

    The name is that of the tensor of weights; the threshold is in real units (scale · code): no
    group of weights with a norm above it was zeroed.  compensated: whether others made up for it.
    """

    node_index: int
    name: str
    weights: int
    zeros_before: int
    zeros_after: int
    threshold: float
    method: str
    granularity: str
    compensated: bool = False

    @property
    def share(self) -> float:
        """Zeros per weight, as reached."""
        return self.zeros_after / self.weights


@dataclass(frozen=True, slots=True, eq=False)
class Thresholded:
    """A layer and what its rule makes of its weights; threshold: see LayerSparsity."""

    layer: Layer
    rule: Rule
    codes: NDArray[Any]
    threshold: float

    def row(self) -> LayerSparsity:
        """What became of the layer."""
        data = self.layer.tensor.data
        assert data is not None  # check_supported has seen to it
        return LayerSparsity(
            node_index=self.layer.node.index,
            name=self.layer.tensor.label,
            weights=data.size,
            zeros_before=data.size - int(np.count_nonzero(data)),
            zeros_after=data.size - int(np.count_nonzero(self.codes)),
            threshold=self.threshold,
            method=self.rule.method,
            granularity=self.rule.granularity,
        )


def sparsify(
    model: Model, rules: Rule | Policy, *, depthwise: bool = False
) -> tuple[Model, tuple[LayerSparsity, ...]]:
    """Set the smallest weights to zero.

    Args:
        model: the model, which stays as it is.
        rules: one rule for every CONV_2D and FULLY_CONNECTED layer, or a policy by layer name.
        depthwise: treat DEPTHWISE_CONV_2D layers too; a policy's rules that name one do anyhow.

    Returns:
        The new model and one row per layer treated, in running order.  Weights that several nodes
        read are treated once, under the first of them; where other tensors have their values in
        the same bytes of the file, those keep theirs.

    Raises UsageError for a policy that does not fit the model, and for rules that compensate, which
    takes input rows (compensate_model); UnsupportedModelError for a model that cannot run.
    """
    taken = threshold(model, rules, depthwise=depthwise)
    if any(each.rule.compensate for each in taken):
        raise UsageError("compensation needs calibration rows", hint="give --calibration FILE.npz")
    rows = tuple(each.row() for each in taken)
    arrays = {
        each.layer.tensor.index: each.codes
        for each, row in zip(taken, rows, strict=True)
        if row.zeros_after != row.zeros_before
    }
    return replace_weights(model, arrays), rows


def threshold(
    model: Model, rules: Rule | Policy, *, depthwise: bool = False
) -> tuple[Thresholded, ...]:
    """What rules take of each layer, in running order.  Takes and raises what sparsify does."""
    check_supported(model)
    policy = Policy(default=rules) if isinstance(rules, Rule) else rules
    found = [
        each
        for rule, layers in assign(layers_of(model), policy, depthwise=depthwise)
        for each in threshold_layers(rule, layers)
    ]
    return tuple(sorted(found, key=lambda each: each.layer.node.index))


def threshold_layers(rule: Rule, layers: Sequence[Layer]) -> list[Thresholded]:
    """What one rule takes of its layers."""
    ids = [group_ids(each.node.op, each.tensor.shape, rule.granularity) for each in layers]
    groups = [
        Groups(each.node.op, group_norms(each.node.op, each.tensor, group), span(each.tensor))
        for each, group in zip(layers, ids, strict=True)
    ]
    choices = METHODS[rule.method](groups, rule.value)
    return [
        Thresholded(layer, rule, _zeroed(layer, choice.zeroed[group]), choice.threshold)
        for layer, group, choice in zip(layers, ids, choices, strict=True)
    ]


def _zeroed(layer: Layer, mask: NDArray[np.bool_]) -> NDArray[Any]:
    data = layer.tensor.data
    assert data is not None  # check_supported has seen to it
    return np.where(mask, data.dtype.type(0), data)
