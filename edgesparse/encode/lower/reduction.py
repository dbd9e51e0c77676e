"""MEAN."""

from __future__ import annotations

import math

from edgesparse import quantize
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import MeanOptions


def _alternating(shape: tuple[int, ...], axes: set[int]) -> tuple[list[int], list[int]]:
    """The shape as kept, reduced, kept, reduced, ...: neighbours of a kind are one.

    Ones fill up to three of each, in front.
    """
    kept, reduced = [1], [1]
    for axis, side in enumerate(shape):
        if axis in axes:
            reduced[-1] *= side
        elif reduced[-1] == 1:
            kept[-1] *= side
        else:
            kept.append(side)
            reduced.append(1)
    fill = [1] * (3 - len(kept))
    return fill + kept, fill + reduced


def mean(model: Model, node: Node) -> list[Candidate]:
    """MEAN; the rescaling takes the division in."""
    options = node.options
    assert isinstance(options, MeanOptions)
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    kept, reduced = _alternating(source.shape, options.axes(model, node))
    in_scale, in_zero_point = source.affine()
    out_scale, out_zero_point = result.affine()
    rescale = quantize.mean_rescale(in_scale, out_scale, math.prod(reduced))
    params: dict[str, int | tuple[int, ...]] = {
        "kept": tuple(kept),
        "reduced": tuple(reduced),
        "in_zero_point": in_zero_point,
        "out_zero_point": out_zero_point,
        "multiplier": rescale.multiplier,
        "shift": rescale.shift,
    }
    return [Candidate("mean_s8", params)]
