"""What can be searched: the layers of a model, and a rule for each of them."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.model import Model
from edgesparse.ops import check_supported
from edgesparse.rows import Rows
from edgesparse.sparsify import LayerSparsity, Policy, Rule, sparsify
from edgesparse.sparsify.compensate import compensate_model
from edgesparse.sparsify.granularity import group_ids, group_norms
from edgesparse.sparsify.layer import Layer, layers_of, span
from edgesparse.sparsify.policy import LayerRule, matches
from edgesparse.sparsify.threshold import METHODS, Groups

__all__ = ["Assignment", "Space"]

Assignment = tuple[Rule, ...]
"""A rule for each layer of a Space; Rule() leaves it as it is."""

MOST = 0.95
"""The largest share of zeros that a search gives a layer by a share."""


@dataclass(frozen=True, eq=False)
class Space:
    """The layers of a model that a search may thin.

    Args:
        model: the dense model.
        layers: one for every tensor of weights, in running order.
        patterns: for each of them, what a policy says to mean it and no other.
        calibration: rows of the device's inputs, for rules that compensate.
    """

    model: Model
    layers: tuple[Layer, ...]
    patterns: tuple[str, ...]
    calibration: Mapping[int, Rows] = field(default_factory=dict)

    @classmethod
    def of(
        cls, model: Model, *, depthwise: bool, calibration: Mapping[int, Rows] | None = None
    ) -> Space:
        """The CONV_2D and FULLY_CONNECTED layers, with `depthwise` DEPTHWISE_CONV_2D too.

        Raises UnsupportedModelError for a model that cannot run or has no such layer, UsageError
        for layers that a policy cannot tell apart.
        """
        check_supported(model)
        everything = layers_of(model)
        first: dict[int, Layer] = {}
        for layer in everything:
            if depthwise or layer.node.op != "DEPTHWISE_CONV_2D":
                first.setdefault(layer.tensor.index, layer)
        if not first:
            raise UnsupportedModelError([("model", model.name, "no layer with weights to thin")])
        layers = tuple(first.values())
        patterns = tuple(_pattern(layer, everything) for layer in layers)
        return cls(model, layers, patterns, calibration or {})

    @property
    def dense(self) -> Assignment:
        """Every layer as it is."""
        return (Rule(),) * len(self.layers)

    def policy(self, assignment: Assignment) -> Policy:
        """An assignment as a policy."""
        return Policy(
            tuple(
                LayerRule(pattern, rule)
                for pattern, rule in zip(self.patterns, assignment, strict=True)
                if rule.method != "none"
            )
        )

    def thin(self, assignment: Assignment) -> tuple[Model, tuple[LayerSparsity, ...]]:
        """The model as an assignment makes it: all that a search does to weights is done here."""
        policy = self.policy(assignment)
        if any(rule.compensate for rule in assignment):
            return compensate_model(self.model, policy, self.calibration)
        return sparsify(self.model, policy)

    def outputs(self, at: int) -> list[int]:
        """The tensors that change first where layer `at` does."""
        index = self.layers[at].tensor.index
        return [i for node in self.model.nodes if index in node.inputs for i in node.outputs]

    def by_method(self, method: str, value: tuple[float, ...], granularity: str) -> Assignment:
        """One method for all layers, as a rule for each.

        What a method takes of a layer may depend on the others (flat, triangular), so these become
        thresholds; relative does not.
        """
        if method == "relative":
            return (Rule(method, value, granularity),) * len(self.layers)
        groups = [
            Groups(layer.node.op, self.norms(at, granularity), span(layer.tensor))
            for at, layer in enumerate(self.layers)
        ]
        choices = METHODS[method](groups, value)
        return tuple(Rule("threshold", (each.threshold,), granularity) for each in choices)

    @cached_property
    def _norms(self) -> dict[tuple[int, str], NDArray[np.float64]]:
        return {}

    def norms(self, at: int, granularity: str) -> NDArray[np.float64]:
        """The norms of a layer's groups, ascending."""
        key = (at, granularity)
        if key not in self._norms:
            layer = self.layers[at]
            ids = group_ids(layer.node.op, layer.tensor.shape, granularity)
            self._norms[key] = np.sort(group_norms(layer.node.op, layer.tensor, ids))
        return self._norms[key]

    def threshold(self, at: int, share: float) -> Rule:
        """The rule for a real threshold that takes this share of a layer's weights, 1 for all.

        Weights of the same magnitude go together.
        """
        norms = self.norms(at, "element")
        wanted = round(share * norms.size)
        return Rule("threshold", (float(norms[wanted - 1]),)) if wanted else Rule()

    def share(self, at: int, rule: Rule) -> float:
        """The share of a layer's groups that a rule takes."""
        if rule.method == "none":
            return 0.0
        norms = self.norms(at, rule.granularity)
        if rule.method == "threshold":
            return float(np.searchsorted(norms, rule.value[0], side="right")) / norms.size
        return rule.value[0]

    def replaced(self, assignment: Assignment, at: int, rule: Rule) -> Assignment:
        """An assignment with another rule for one layer."""
        return (*assignment[:at], rule, *assignment[at + 1 :])


def _pattern(layer: Layer, everything: Sequence[Layer]) -> str:
    """What matches the layers that read this one's weights, and no others."""
    same = [other.tensor.index == layer.tensor.index for other in everything]
    whole = [f"[{name[:1]}]{glob.escape(name[1:])}" for name in layer.names]
    for pattern in (*layer.names, *whole):
        if [matches(pattern, other.names) for other in everything] == same:
            return pattern
    raise UsageError(
        f"a policy cannot tell layer {layer.node.index} '{layer.names[0]}' from another one",
        hint="give the model's tensors names of their own",
    )
