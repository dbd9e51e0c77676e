"""AVERAGE_POOL_2D and MAX_POOL_2D."""

from __future__ import annotations

from edgesparse.encode import cost
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import activation_range
from edgesparse.ops.pooling import Pool2DOptions

_SIZES = (
    *("batches", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w"),
    *("stride_h", "stride_w", "pad_top", "pad_left"),
)


def _params(model: Model, node: Node) -> dict[str, int]:
    options = node.options
    assert isinstance(options, Pool2DOptions)
    geometry = options.geometry(model, node)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    params = {name: int(getattr(geometry, name)) for name in _SIZES}
    return params | {"channels": geometry.in_c, "act_min": act_min, "act_max": act_max}


def average_pool_2d(model: Model, node: Node) -> list[Candidate]:
    """AVERAGE_POOL_2D; the padding is left out of the mean."""
    inputs, outputs = (model.tensors[i].elements for i in (node.inputs[0], node.outputs[0]))
    price = cost.pool(inputs=inputs, outputs=outputs)
    return [Candidate("average_pool_2d_s8", _params(model, node), price)]


def max_pool_2d(model: Model, node: Node) -> list[Candidate]:
    """MAX_POOL_2D; the padding is left out."""
    params = _params(model, node)
    outputs = model.tensors[node.outputs[0]].elements
    taps = outputs * params["kernel_h"] * params["kernel_w"]
    price = cost.max_pool(taps=taps, outputs=outputs, words=params["channels"] % 4 == 0)
    return [Candidate("max_pool_2d_s8", params, price)]
