"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: kernels with weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse import quantize
from edgesparse.encode import cost, delta8, dense, group4
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.requantisation import channel_rows
from edgesparse.model import Model, Node, Tensor
from edgesparse.ops import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    WindowGeometry,
    activation_range,
)

BAND = 32
"""Output positions that a convolution makes at a time."""


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


def _conv_channels(model: Model, node: Node, rows: NDArray[np.int8]) -> bytes:
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


def _conv_params(
    model: Model, node: Node, geometry: WindowGeometry, activation: str
) -> dict[str, int]:
    source, result = _operands(model, node)
    out_scale, out_zero_point = result.affine()
    act_min, act_max = activation_range(activation, out_scale, out_zero_point)
    sizes = {name: int(getattr(geometry, name)) for name in WindowGeometry.__dataclass_fields__}
    return sizes | {
        "in_zero_point": source.affine()[1],
        "out_zero_point": out_zero_point,
        "act_min": act_min,
        "act_max": act_max,
        "band": BAND,
        "list_zeros": NEVER,
    }


def _delta8(
    kernel: str, params: dict[str, int], price: int, rows: NDArray[np.int8], channels: bytes
) -> list[Candidate]:
    """The candidate in encoding delta8; none where a row is too long for its table."""
    try:
        return [Candidate(kernel, params, price, delta8.encode(rows), channels)]
    except ValueError:
        return []


def _group4(
    kernel: str, params: dict[str, int], price: int, rows: NDArray[np.int8], channels: bytes
) -> list[Candidate]:
    """The candidate in encoding group4; none where its table or four columns do not fit."""
    try:
        return [Candidate(kernel, params, price, group4.encode(rows), channels)]
    except ValueError:
        return []


def _groups(rows: NDArray[np.int8]) -> int:
    """Groups of four columns with a non-zero weight; 0 where columns do not divide into them."""
    return group4.kept_groups(rows) if rows.shape[1] % 4 == 0 else 0


def conv_2d(model: Model, node: Node) -> list[Candidate]:
    """CONV_2D; a row is an output channel."""
    options = node.options
    assert isinstance(options, Conv2DOptions)
    geometry = options.geometry(model, node)
    rows = _weights(model, node).reshape(geometry.out_c, -1)
    params = _conv_params(model, node, geometry, options.activation)
    channels = _conv_channels(model, node, rows)
    positions = geometry.batches * geometry.out_h * geometry.out_w
    size = {"positions": positions, "columns": rows.shape[1], "rows": rows.shape[0]}
    sparse_cost = cost.conv_delta8(**size, non_zeros=int(np.count_nonzero(rows)))
    group_cost = cost.conv_group4(
        **size, kernel_h=geometry.kernel_h, groups=_groups(rows), band=BAND
    )
    return [
        Candidate(
            "conv_2d_dense_s8", params, cost.conv_dense(**size), dense.encode(rows), channels
        ),
        *_delta8("conv_2d_delta8_s8", params, sparse_cost, rows, channels),
        *_group4("conv_2d_group4_s8", params, group_cost, rows, channels),
    ]


def depthwise_conv_2d(model: Model, node: Node) -> list[Candidate]:
    """DEPTHWISE_CONV_2D; a row is a tap."""
    options = node.options
    assert isinstance(options, DepthwiseConv2DOptions)
    geometry = options.geometry(model, node)
    taps = _weights(model, node).reshape(-1, geometry.out_c)
    params = _conv_params(model, node, geometry, options.activation)
    channels = _conv_channels(model, node, np.ascontiguousarray(taps.T))
    positions = geometry.batches * geometry.out_h * geometry.out_w
    price = cost.depthwise(positions=positions, taps=taps.shape[0], channels=taps.shape[1])
    return [Candidate("depthwise_conv_2d_dense_s8", params, price, dense.encode(taps), channels)]


def fully_connected(model: Model, node: Node) -> list[Candidate]:
    """FULLY_CONNECTED; a row is an output."""
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
        "list_zeros": NEVER,
    }
    size = {"batches": geometry.batches, "rows": len(rows)}
    dense_cost = cost.fully_connected_dense(**size, columns=geometry.columns)
    sparse_cost = cost.fully_connected_delta8(**size, non_zeros=int(np.count_nonzero(rows)))
    group_cost = cost.fully_connected_group4(**size, columns=geometry.columns, groups=_groups(rows))
    return [
        Candidate("fully_connected_dense_s8", params, dense_cost, dense.encode(rows), channels),
        *_delta8("fully_connected_delta8_s8", params, sparse_cost, rows, channels),
        *_group4("fully_connected_group4_s8", params, group_cost, rows, channels),
    ]
