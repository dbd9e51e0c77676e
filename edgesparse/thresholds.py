"""Activation thresholds: small activations become zero as the device writes them.

A threshold is given as a fraction of the greatest magnitude that a tensor can hold, scale ·
max(127 - zero point, zero point + 128): 0.05 sets to zero what is at most 5 % of it.  The device
knows it as a number of int8 codes, rounded down: where |code - zero point| is at most that, the
code becomes the zero point.  Behind a ReLU this is the forced activation threshold (FATReLU) of
M. Kurtz et al., "Inducing and Exploiting Activation Sparsity for Fast Neural Network Inference",
2020.

Thresholds belong to the tensors that operators compute.  A RESHAPE, a PAD, a CONCATENATION and the
like only hand values on, zeros as zeros; variables keep what they are given; model inputs come as
they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.errors import UsageError
from edgesparse.model import Model, Node, Tensor
from edgesparse.sparsify.layer import names_of
from edgesparse.sparsify.policy import ActivationRule, matches, no_match

__all__ = [
    "MAX_FRACTION",
    "apply_threshold",
    "check_fraction",
    "codes_of",
    "computing_nodes",
    "is_skipped",
    "with_thresholds",
]

MAX_FRACTION = 0.5
"""Beyond it a tensor with zero point -128 would need more codes than the 127 of an image."""

_MOVES = frozenset(
    (
        "PAD",
        "PADV2",
        "CONCATENATION",
        "SPLIT",
        "SPLIT_V",
        "STRIDED_SLICE",
        "TRANSPOSE",
        "RESIZE_NEAREST_NEIGHBOR",
        "READ_VARIABLE",
        "ASSIGN_VARIABLE",
    )
)
"""Operators whose outputs are values of their inputs, at other places."""

_SKIPPING_OPS = ("CONV_2D", "FULLY_CONNECTED")
"""Operators with kernels that skip zero activations."""

# Decimal fractions such as 0.29 · 100 are not exact; what is this close to a whole number is meant.
_ROUNDING = 1e-9


def check_fraction(fraction: float) -> None:
    """Raise UsageError for what is no activation threshold."""
    if not 0.0 <= fraction <= MAX_FRACTION:
        raise UsageError(
            f"activation threshold {fraction:g} is outside 0 ... {MAX_FRACTION:g}",
            hint="it is a fraction of the greatest magnitude that a layer's output can hold",
        )


def codes_of(fraction: float, tensor: Tensor) -> int:
    """Return a threshold in codes of a tensor, 0..127."""
    zero_point = tensor.affine()[1]
    greatest = max(127 - zero_point, zero_point + 128)
    return math.floor(fraction * greatest + _ROUNDING)


def apply_threshold(values: NDArray[np.int8], zero_point: int, codes: int) -> NDArray[np.int8]:
    """Return a copy of a tensor's codes with those near its zero point set to it."""
    near = np.abs(values.astype(np.int16) - zero_point) <= codes
    return np.where(near, np.int8(zero_point), values)


def with_thresholds(
    model: Model, fraction: float = 0.0, rules: Sequence[ActivationRule] = ()
) -> Model:
    """Return the model with activation thresholds; encode, profiles and the reference heed them.

    Args:
        model: a supported model.
        fraction: of all layers whose output a CONV_2D or FULLY_CONNECTED reads, directly or moved
            by other operators: only those skip zeros.
        rules: of layers by name, in place of it; the first match wins.

    Raises UsageError for fractions outside 0 ... MAX_FRACTION, and for a rule that no layer is left
    for.
    """
    check_fraction(fraction)
    if fraction == 0.0 and not rules:
        return model
    thresholds: dict[int, int] = {}
    layers = computing_nodes(model)
    used: set[ActivationRule] = set()
    for node in layers:
        names = names_of(model, node)
        rule = next((each for each in rules if matches(each.match, names)), None)
        if rule is not None:
            used.add(rule)
            wanted = rule.fraction
        else:
            wanted = fraction if is_skipped(model, node) else 0.0
        codes = {index: codes_of(wanted, model.tensors[index]) for index in node.outputs}
        thresholds |= {index: count for index, count in codes.items() if count > 0}
    for rule in rules:
        if rule not in used:
            raise _unused(model, layers, rule)
    return replace(model, thresholds=thresholds)


def _unused(model: Model, layers: Sequence[Node], rule: ActivationRule) -> UsageError:
    names = [names_of(model, node) for node in layers]
    if any(matches(rule.match, own) for own in names):
        return UsageError(f"'{rule.match}' matches only layers that earlier rules take")
    what = "layer that computes int8 activations on the device"
    return no_match(rule.match, (name for own in names for name in own), what)


def computing_nodes(model: Model) -> list[Node]:
    """The nodes that a policy's thresholds may name: the device computes their outputs, in int8."""
    return [node for node in model.nodes if _computes(model, node)]


def _computes(model: Model, node: Node) -> bool:
    hands_on = node.options.IS_FREE or node.op in _MOVES or node.op in ops.DECLARATIONS
    return not (hands_on or ops.on_host(model, node))


def is_skipped(model: Model, node: Node) -> bool:
    """Whether an operator that can skip zeros reads a node's output, perhaps moved."""
    pending, seen = list(node.outputs), set(node.outputs)
    while pending:
        for reader in model.consumers(pending.pop()):
            if reader.op in _SKIPPING_OPS:
                return True
            if reader.options.IS_FREE or reader.op in _MOVES:
                fresh = set(reader.outputs) - seen
                seen |= fresh
                pending += fresh
    return False
