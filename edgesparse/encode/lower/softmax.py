"""SOFTMAX."""

from __future__ import annotations

from edgesparse import quantize
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import SoftmaxOptions


def softmax(model: Model, node: Node) -> list[Candidate]:
    """SOFTMAX over the last dimension."""
    options = node.options
    assert isinstance(options, SoftmaxOptions)
    source = model.tensors[node.inputs[0]]
    scaling = quantize.softmax_scaling(options.beta, source.affine()[0])
    depth = source.shape[-1]
    params = {
        "rows": source.elements // depth,
        "depth": depth,
        "multiplier": scaling.multiplier,
        "left_shift": scaling.left_shift,
        "diff_min": scaling.diff_min,
    }
    return [Candidate("softmax_s8", params)]
