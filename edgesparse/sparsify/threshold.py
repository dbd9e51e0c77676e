"""Which groups of weights become zero: the methods.

METHODS is the table of methods; a further one is one more function and one more row.  Each is given
all layers that it treats, with the norms of their groups (granularity.group_norms; a single
weight's norm is |scale · code|), and says for each layer which groups go.

relative, flat and triangular are those of A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast
On-the-fly Retraining-free Sparsification of Convolutional Neural Networks", 2018; real thresholds
given by layer are those of D. Loroch et al., "Sparsity in Deep Neural Networks - An Empirical
Investigation with TensorQuant", 2018.

A threshold t takes all groups with a norm of at most t: a tie goes, and t = 0 changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UsageError


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """A layer as the methods see it: its operator, its groups' norms, the span of its weights.

    Norms and span are in real units.
    """

    op: str
    norms: NDArray[np.float64]
    span: float


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What a method takes of a layer.

    zeroed: for every group, whether it goes.  threshold: no group with a norm above it goes.
    """

    zeroed: NDArray[np.bool_]
    threshold: float


Method = Callable[[Sequence[Groups], tuple[float, ...]], list[Choice]]
"""From layers in running order and the value of a Rule to a choice for each of them."""


def _below(layer: Groups, threshold: float) -> Choice:
    return Choice(layer.norms <= threshold, threshold)


def _nothing(layer: Groups) -> Choice:
    return Choice(np.zeros(layer.norms.shape, np.bool_), 0.0)


def none(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """Take nothing."""
    del value
    return [_nothing(layer) for layer in layers]


def relative(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """Per layer, take all groups at or below the norm of the k-th smallest.

    k = round(S · G) of a layer's G groups for the share S; k = 0 takes none.  Ties go together, so
    that the share reached can exceed the one asked for.

    Source: Ashouri et al., the relative method: a percentile of each layer's magnitudes.
    """
    chosen = []
    for layer in layers:
        wanted = round(value[0] * layer.norms.size)
        limit = float(np.partition(layer.norms, wanted - 1)[wanted - 1]) if wanted else 0.0
        chosen.append(_below(layer, limit) if wanted else _nothing(layer))
    return chosen


def topk(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """Per layer, take exactly k groups, k as in relative, the smallest norms first.

    Ties go by position in the tensor, lowest first.  Groups that are zero already are among the k;
    a layer with more of them keeps them all.
    """
    chosen = []
    for layer in layers:
        wanted = round(value[0] * layer.norms.size)
        smallest = np.argsort(layer.norms, kind="stable")[:wanted]
        zeroed = np.zeros(layer.norms.shape, np.bool_)
        zeroed[smallest] = True
        chosen.append(Choice(zeroed, float(layer.norms[smallest[-1]]) if wanted else 0.0))
    return chosen


def flat(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """One threshold for all layers: t = F · min over the layers of their span.

    Source: Ashouri et al., the flat method.  The smallest span, so that no layer loses everything
    for F < 1/2.
    """
    limit = value[0] * min((layer.span for layer in layers), default=0.0)
    return [_below(layer, limit) for layer in layers]


def triangular(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """Thresholds that go linearly in layer position, since early layers bear less.

    Of L layers, layer i takes t_i = a + (b - a) · i / (L - 1), with a = F1 · span of the first
    convolution (depthwise ones too, where they are treated) and b = F2 · span of the last
    FULLY_CONNECTED.  Where there is no convolution the first layer stands for it, where there is no
    FULLY_CONNECTED the last layer; a single layer takes a.

    Source: Ashouri et al., the triangular method.
    """
    if not layers:
        return []
    first = next((layer for layer in layers if layer.op != "FULLY_CONNECTED"), layers[0])
    last = next((layer for layer in reversed(layers) if layer.op == "FULLY_CONNECTED"), layers[-1])
    limits = np.linspace(value[0] * first.span, value[1] * last.span, len(layers))
    return [_below(layer, float(limit)) for layer, limit in zip(layers, limits, strict=True)]


def threshold(layers: Sequence[Groups], value: tuple[float, ...]) -> list[Choice]:
    """Real thresholds: one for every layer in running order, or one for all.

    Source: Loroch et al., thresholds by layer.  Raises UsageError for another number of them.
    """
    if len(value) not in (1, len(layers)):
        raise UsageError(
            f"{len(value)} thresholds for {len(layers)} layers; give one, or one a layer"
        )
    limits = value * len(layers) if len(value) == 1 else value
    return [_below(layer, limit) for layer, limit in zip(layers, limits, strict=True)]


METHODS: dict[str, Method] = {
    "none": none,
    "relative": relative,
    "topk": topk,
    "flat": flat,
    "triangular": triangular,
    "threshold": threshold,
}
"""Every method by its name on the command line; rule.METHOD_NAMES lists the same."""
