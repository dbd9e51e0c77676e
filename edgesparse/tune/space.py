"""What can be searched: a rule for each layer of a model, a threshold for each output."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UnsupportedModelError, UsageError
from edgesparse.model import Model, Node
from edgesparse.ops import check_supported
from edgesparse.rows import Rows
from edgesparse.sparsify import LayerSparsity, Policy, Rule, sparsify
from edgesparse.sparsify.compensate import compensate_model
from edgesparse.sparsify.granularity import group_ids, group_norms
from edgesparse.sparsify.layer import Layer, layers_of, names_of, span
from edgesparse.sparsify.policy import ActivationRule, LayerRule, matches
from edgesparse.sparsify.threshold import METHODS, Groups
from edgesparse.thresholds import computing_nodes, is_skipped, with_thresholds

__all__ = ["Assignment", "Output", "Space"]

MOST = 0.95
"""The largest share of zeros that a search gives a layer by a share."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a search decides.

    rules: one for each layer of a Space; Rule() leaves it as it is.  fractions: a threshold for
    each of its outputs, see edgesparse.thresholds; 0 for none.
    """

    rules: tuple[Rule, ...]
    fractions: tuple[float, ...] = ()

    def with_rule(self, at: int, rule: Rule) -> Assignment:
        """Another rule for layer `at`."""
        return replace(self, rules=(*self.rules[:at], rule, *self.rules[at + 1 :]))

    def with_fractions(self, fractions: Sequence[float]) -> Assignment:
        """The same rules with other thresholds."""
        return replace(self, fractions=tuple(fractions))

    @property
    def weights_alone(self) -> Assignment:
        """The same rules without thresholds."""
        return self.with_fractions((0.0,) * len(self.fractions))


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """A node whose small outputs may become zero; pattern: what a policy says to mean it alone."""

    node: Node
    pattern: str


@dataclass(frozen=True, eq=False)
class Space:
    """The layers of a model that a search may thin, and the outputs that it may threshold.

    Args:
        model: the dense model.
        layers: one for every tensor of weights, in running order.
        patterns: for each of them, what a policy says to mean it and no other.
        calibration: rows of the device's inputs, for rules that compensate.
        outputs: of nodes whose zeros somebody skips, in running order; none unless asked for.
    """

    model: Model
    layers: tuple[Layer, ...]
    patterns: tuple[str, ...]
    calibration: Mapping[int, Rows] = field(default_factory=dict)
    outputs: tuple[Output, ...] = ()

    @classmethod
    def of(
        cls,
        model: Model,
        *,
        depthwise: bool,
        calibration: Mapping[int, Rows] | None = None,
        activation_thresholds: bool = False,
    ) -> Space:
        """The CONV_2D and FULLY_CONNECTED layers, with `depthwise` DEPTHWISE_CONV_2D too.

        With `activation_thresholds` the outputs that have a reader with kernels that skip zeros.

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
        patterns = tuple(
            _pattern(
                layer.node,
                layer.names,
                [(other.tensor.index == layer.tensor.index, other.names) for other in everything],
            )
            for layer in layers
        )
        outputs = _outputs(model) if activation_thresholds else ()
        return cls(model, layers, patterns, calibration or {}, outputs)

    @property
    def dense(self) -> Assignment:
        """Every layer as it is."""
        return self.of_rules((Rule(),) * len(self.layers))

    def of_rules(self, rules: Sequence[Rule]) -> Assignment:
        """A rule for each layer, and no thresholds."""
        return Assignment(tuple(rules), (0.0,) * len(self.outputs))

    def policy(self, assignment: Assignment) -> Policy:
        """An assignment as a policy."""
        return Policy(
            tuple(
                LayerRule(pattern, rule)
                for pattern, rule in zip(self.patterns, assignment.rules, strict=True)
                if rule.method != "none"
            ),
            activations=tuple(
                ActivationRule(output.pattern, fraction)
                for output, fraction in zip(self.outputs, assignment.fractions, strict=True)
                if fraction > 0.0
            ),
        )

    def thin(self, assignment: Assignment) -> tuple[Model, tuple[LayerSparsity, ...]]:
        """The model as an assignment makes it: all that a search does to a model is done here."""
        policy = self.policy(assignment)
        if any(rule.compensate for rule in assignment.rules):
            thinned, layers = compensate_model(self.model, policy, self.calibration)
        else:
            thinned, layers = sparsify(self.model, policy)
        return self.cut(thinned, assignment), layers

    def cut(self, thinned: Model, assignment: Assignment) -> Model:
        """A model that was thinned by these rules, with the thresholds of the assignment."""
        thinned = replace(thinned, thresholds={})
        return with_thresholds(thinned, rules=self.policy(assignment).activations)

    def reached(self, at: int) -> list[int]:
        """The tensors that change first where layer `at` does."""
        index = self.layers[at].tensor.index
        return [i for node in self.model.nodes if index in node.inputs for i in node.outputs]

    def by_method(self, method: str, value: tuple[float, ...], granularity: str) -> Assignment:
        """One method for all layers, as a rule for each.

        What a method takes of a layer may depend on the others (flat, triangular), so these become
        thresholds; relative does not.
        """
        if method == "relative":
            return self.of_rules((Rule(method, value, granularity),) * len(self.layers))
        groups = [
            Groups(layer.node.op, self.norms(at, granularity), span(layer.tensor))
            for at, layer in enumerate(self.layers)
        ]
        choices = METHODS[method](groups, value)
        return self.of_rules(
            [Rule("threshold", (each.threshold,), granularity) for each in choices]
        )

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


def _outputs(model: Model) -> tuple[Output, ...]:
    """The outputs that have a reader with kernels that skip zeros."""
    computing = computing_nodes(model)
    return tuple(
        Output(
            node,
            _pattern(
                node,
                names_of(model, node),
                [(other is node, names_of(model, other)) for other in computing],
            ),
        )
        for node in computing
        if is_skipped(model, node)
    )


def _pattern(
    node: Node, names: Sequence[str], everything: Sequence[tuple[bool, Sequence[str]]]
) -> str:
    """What matches a node by its names, and of everything only what is meant: True, and its names.

    Raises UsageError where nothing does.
    """
    wanted = [is_meant for is_meant, _ in everything]
    whole = [f"[{name[:1]}]{glob.escape(name[1:])}" for name in names]
    for pattern in (*names, *whole):
        if [matches(pattern, other) for _, other in everything] == wanted:
            return pattern
    raise UsageError(
        f"a policy cannot tell layer {node.index} '{names[0]}' from another one",
        hint="give the model's tensors names of their own",
    )
