"""Set the smallest weights of layers to zero, as a rule or a policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model
from edgesparse.ops import check_supported
from edgesparse.sparsify.granularity import group_ids, group_norms
from edgesparse.sparsify.layer import Layer, layers_of, span
from edgesparse.sparsify.policy import Policy, assign
from edgesparse.sparsify.rule import Rule
from edgesparse.sparsify.threshold import METHODS, Choice, Groups
from edgesparse.sparsify.unshare import replace_weights


@dataclass(frozen=True, slots=True)
class LayerSparsity:
    """What became of one layer's weights.

    The name is that of the tensor of weights; the threshold is in real units (scale · code): no
    group of weights with a norm above it was zeroed.
    """

    node_index: int
    name: str
    weights: int
    zeros_before: int
    zeros_after: int
    threshold: float
    method: str
    granularity: str

    @property
    def share(self) -> float:
        """Zeros per weight, as reached."""
        return self.zeros_after / self.weights


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

    Raises UsageError for a policy that does not fit the model, UnsupportedModelError for a model
    that cannot run.
    """
    check_supported(model)
    policy = Policy(default=rules) if isinstance(rules, Rule) else rules
    arrays: dict[int, NDArray[Any]] = {}
    rows: list[LayerSparsity] = []
    for rule, layers in assign(layers_of(model), policy, depthwise=depthwise):
        for layer, codes, row in _thin(rule, layers):
            rows.append(row)
            if row.zeros_after != row.zeros_before:
                arrays[layer.tensor.index] = codes
    rows.sort(key=lambda row: row.node_index)
    return replace_weights(model, arrays), tuple(rows)


def _thin(rule: Rule, layers: Sequence[Layer]) -> list[tuple[Layer, NDArray[Any], LayerSparsity]]:
    """New codes and a row for each layer that a rule treats."""
    ids = [group_ids(each.node.op, each.tensor.shape, rule.granularity) for each in layers]
    groups = [
        Groups(each.node.op, group_norms(each.node.op, each.tensor, group), span(each.tensor))
        for each, group in zip(layers, ids, strict=True)
    ]
    choices = METHODS[rule.method](groups, rule.value)
    return [
        (layer, *_apply(rule, layer, choice, choice.zeroed[group]))
        for layer, group, choice in zip(layers, ids, choices, strict=True)
    ]


def _apply(
    rule: Rule, layer: Layer, choice: Choice, mask: NDArray[np.bool_]
) -> tuple[NDArray[Any], LayerSparsity]:
    data = layer.tensor.data
    assert data is not None  # check_supported has seen to it
    codes = np.where(mask, data.dtype.type(0), data)
    row = LayerSparsity(
        node_index=layer.node.index,
        name=layer.tensor.label,
        weights=codes.size,
        zeros_before=codes.size - int(np.count_nonzero(data)),
        zeros_after=codes.size - int(np.count_nonzero(codes)),
        threshold=choice.threshold,
        method=rule.method,
        granularity=rule.granularity,
    )
    return codes, row
