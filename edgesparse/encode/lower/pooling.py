"""AVERAGE_POOL_2D."""

from __future__ import annotations

from edgesparse.encode import cost
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import AveragePool2DOptions, activation_range

_SIZES = (
    *("batches", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w"),
    *("stride_h", "stride_w", "pad_top", "pad_left"),
)


def average_pool_2d(model: Model, node: Node) -> list[Candidate]:
    """AVERAGE_POOL_2D; the padding is left out of the mean."""
    options = node.options
    assert isinstance(options, AveragePool2DOptions)
    geometry = options.geometry(model, node)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    params = {name: int(getattr(geometry, name)) for name in _SIZES}
    params |= {"channels": geometry.in_c, "act_min": act_min, "act_max": act_max}
    inputs = model.tensors[node.inputs[0]].elements
    return [Candidate("average_pool_2d_s8", params, cost.pool(inputs=inputs))]
