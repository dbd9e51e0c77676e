"""One function an operator: a node of the model becomes a node of the image.

LOWER is the table; a further operator is one more function and one more row.  A function returns
the candidates for the node, one a kernel that could run it; encode() takes the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgesparse import quantize
from edgesparse.encode import cost, delta8, dense
from edgesparse.encode.requantisation import channel_rows
from edgesparse.model import Model, Node, Tensor
from edgesparse.ops import (
    AddOptions,
    AveragePool2DOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    SoftmaxOptions,
    WindowGeometry,
    activation_range,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a node: a kernel, its parameters without offsets, its constant data."""

    kernel: str
    params: Mapping[str, int]
    cost: int
    weights: bytes = b""
    channels: bytes = b""
    inputs: tuple[int, ...] = field(default=())
    """Indices of the activation tensors it reads; empty: the node's first input."""


def _operands(model: Model, node: Node) -> tuple[Tensor, Tensor]:
    return model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]


def _biases(model: Model, node: Node, rows: int) -> NDArray[np.int32]:
    index = node.inputs[2] if len(node.inputs) > 2 else -1
    data = model.tensors[index].data if index >= 0 else None
    return np.zeros(rows, np.int32) if data is None else data.reshape(-1).astype(np.int32)


def _weights(model: Model, node: Node) -> NDArray[np.int8]:
    data = model.tensors[node.inputs[1]].data
    assert data is not None  # check_supported has seen to it
    return data.astype(np.int8, copy=False)


def _weight_scales(model: Model, node: Node) -> tuple[float, ...]:
    quantization = model.tensors[node.inputs[1]].quantization
    assert quantization is not None  # check_supported has seen to it
    return quantization.scales


def _conv_channels(
    model: Model, node: Node, rows: NDArray[np.int8]
) -> bytes:
    source, result = _operands(model, node)
    in_scale, in_zero_point = source.affine()
    out_scale, out_zero_point = result.affine()
    scales = _weight_scales(model, node)
    per_row = scales if len(scales) == len(rows) else scales * len(rows)
    return channel_rows(
        rows,
        _biases(model, node, len(rows)),
        quantize.conv_multipliers(in_scale, per_row, out_scale),
        in_zero_point=in_zero_point,
        out_zero_point=out_zero_point,
    )


def _conv_params(model: Model, node: Node, geometry: WindowGeometry, activation: str) -> dict[str, int]:
    source, result = _operands(model, node)
    out_scale, out_zero_point = result.affine()
    act_min, act_max = activation_range(activation, out_scale, out_zero_point)
    sizes = {name: int(getattr(geometry, name)) for name in WindowGeometry.__dataclass_fields__}
    return sizes | {
        "in_zero_point": source.affine()[1],
        "out_zero_point": out_zero_point,
        "act_min": act_min,
        "act_max": act_max,
    }


def _conv_2d(model: Model, node: Node) -> list[Candidate]:
    options = node.options
    assert isinstance(options, Conv2DOptions)
    geometry = options.geometry(model, node)
    rows = _weights(model, node).reshape(geometry.out_c, -1)
    params = _conv_params(model, node, geometry, options.activation)
    channels = _conv_channels(model, node, rows)
    positions = geometry.batches * geometry.out_h * geometry.out_w
    size = {"positions": positions, "columns": rows.shape[1], "rows": rows.shape[0]}
    sparse_cost = cost.conv_delta8(**size, non_zeros=int(np.count_nonzero(rows)))
    return [
        Candidate("conv_2d_dense_s8", params, cost.conv_dense(**size), dense.encode(rows), channels),
        Candidate("conv_2d_delta8_s8", params, sparse_cost, delta8.encode(rows), channels),
    ]


def _depthwise_conv_2d(model: Model, node: Node) -> list[Candidate]:
    options = node.options
    assert isinstance(options, DepthwiseConv2DOptions)
    geometry = options.geometry(model, node)
    taps = _weights(model, node).reshape(-1, geometry.out_c)
    params = _conv_params(model, node, geometry, options.activation)
    channels = _conv_channels(model, node, np.ascontiguousarray(taps.T))
    positions = geometry.batches * geometry.out_h * geometry.out_w
    price = cost.depthwise(positions=positions, taps=taps.shape[0], channels=taps.shape[1])
    return [Candidate("depthwise_conv_2d_dense_s8", params, price, dense.encode(taps), channels)]


def _fully_connected(model: Model, node: Node) -> list[Candidate]:
    options = node.options
    assert isinstance(options, FullyConnectedOptions)
    geometry = options.geometry(model, node)
    source, result = _operands(model, node)
    in_scale, in_zero_point = source.affine()
    out_scale, out_zero_point = result.affine()
    rows = _weights(model, node)
    scales = _weight_scales(model, node)
    if len(scales) == 1:
        one = quantize.fully_connected_multiplier(in_scale, scales[0], out_scale)
        rescales = (one,) * len(rows)
    else:
        rescales = quantize.conv_multipliers(in_scale, scales, out_scale)
    channels = channel_rows(
        rows,
        _biases(model, node, len(rows)),
        rescales,
        in_zero_point=in_zero_point,
        out_zero_point=out_zero_point,
    )
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    params = {
        "batches": geometry.batches,
        "in_c": geometry.columns,
        "out_c": geometry.units,
        "out_zero_point": out_zero_point,
        "act_min": act_min,
        "act_max": act_max,
    }
    size = {"batches": geometry.batches, "rows": len(rows)}
    dense_cost = cost.fully_connected_dense(**size, columns=geometry.columns)
    sparse_cost = cost.fully_connected_delta8(**size, non_zeros=int(np.count_nonzero(rows)))
    return [
        Candidate("fully_connected_dense_s8", params, dense_cost, dense.encode(rows), channels),
        Candidate("fully_connected_delta8_s8", params, sparse_cost, delta8.encode(rows), channels),
    ]


def _add(model: Model, node: Node) -> list[Candidate]:
    options = node.options
    assert isinstance(options, AddOptions)
    (scale1, zero1), (scale2, zero2) = (model.tensors[i].affine() for i in node.inputs)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    scaling = quantize.add_scaling(scale1, scale2, out_scale)
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    elements = model.tensors[node.outputs[0]].elements
    params = {
        "count": elements,
        "left_shift": scaling.left_shift,
        "in1_zero_point": zero1,
        "in1_multiplier": scaling.input1.multiplier,
        "in1_shift": scaling.input1.shift,
        "in2_zero_point": zero2,
        "in2_multiplier": scaling.input2.multiplier,
        "in2_shift": scaling.input2.shift,
        "out_zero_point": out_zero_point,
        "out_multiplier": scaling.output.multiplier,
        "out_shift": scaling.output.shift,
        "act_min": act_min,
        "act_max": act_max,
    }
    return [Candidate("add_s8", params, cost.elementwise(elements), inputs=node.inputs)]


def _average_pool_2d(model: Model, node: Node) -> list[Candidate]:
    options = node.options
    assert isinstance(options, AveragePool2DOptions)
    geometry = options.geometry(model, node)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    names = ("batches", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w")
    names += ("stride_h", "stride_w", "pad_top", "pad_left")
    params = {name: int(getattr(geometry, name)) for name in names}
    params |= {"channels": geometry.in_c, "act_min": act_min, "act_max": act_max}
    inputs = model.tensors[node.inputs[0]].elements
    return [Candidate("average_pool_2d_s8", params, cost.pool(inputs=inputs))]


def _softmax(model: Model, node: Node) -> list[Candidate]:
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
    return [Candidate("softmax_s8", params, cost.softmax(source.elements))]


LOWER: Mapping[str, Callable[[Model, Node], list[Candidate]]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "AVERAGE_POOL_2D": _average_pool_2d,
    "SOFTMAX": _softmax,
}
