"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED: kernels with weights."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from edgesparse import quantize
from edgesparse.encode import bitmap, delta8, dense, group4, run4
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.lower.skipping import conv_2d_skipping, fully_connected_skipping
from edgesparse.encode.narrow.classes import Classes
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


def _classes(model: Model, node: Node) -> Classes | None:
    """The classes of the output positions of a narrowed CONV_2D, if it has any."""
    if len(node.inputs) < 5:
        return None
    amounts, positions = (model.tensors[index].data for index in node.inputs[3:])
    assert amounts is not None
    assert positions is not None
    return Classes(amounts.astype(np.int64), positions.astype(np.uint8))


def _conv_channels(
    model: Model,
    node: Node,
    rows: NDArray[np.int8],
    *,
    whole_rows: bool = True,
    classes: Classes | None = None,
) -> bytes:
    source, result = _operands(model, node)
    in_scale, in_zero_point = source.affine()
    out_scale, out_zero_point = result.affine()
    scales = _weight_scales(model, node)
    per_row = scales if len(scales) == len(rows) else scales * len(rows)
    channels = channel_rows(
        rows,
        _biases(model, node, len(rows)),
        quantize.conv_multipliers(in_scale, per_row, out_scale),
        in_zero_point=in_zero_point,
        out_zero_point=out_zero_point,
        whole_rows=whole_rows,
        amounts=None if classes is None else classes.amounts,
    )
    if classes is None:
        return channels
    return channels + classes.to_bytes()


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


_SPARSE = {
    "bitmap": bitmap.encode,
    "run4": run4.encode,
    "delta8": delta8.encode,
    "group4": group4.encode,
}


def _sparse(
    operator: str, params: dict[str, int], rows: NDArray[np.int8], channels: bytes
) -> list[Candidate]:
    """A candidate a sparse encoding; none where the encoding cannot hold such rows."""
    return [
        Candidate(f"{operator}_{name}_s8", params, weights, channels, matrix=rows)
        for name, weights in _encoded(rows.tobytes(), rows.shape)
    ]


@lru_cache(maxsize=128)  # a search encodes most layers as it did before
def _encoded(data: bytes, shape: tuple[int, ...]) -> tuple[tuple[str, bytes], ...]:
    rows = np.frombuffer(data, np.int8).reshape(shape)
    found = []
    for name, encode in _SPARSE.items():
        with suppress(ValueError):
            found.append((name, encode(rows)))
    return tuple(found)


def conv_2d(model: Model, node: Node) -> list[Candidate]:
    """CONV_2D; a row is an output channel."""
    options = node.options
    assert isinstance(options, Conv2DOptions)
    geometry = options.geometry(model, node)
    rows = _weights(model, node).reshape(geometry.out_c, -1)
    params = _conv_params(model, node, geometry, options.activation)
    classes = _classes(model, node)
    if classes is not None:
        params["classes"] = len(classes.amounts)
    channels = _conv_channels(model, node, rows, classes=classes)
    return [
        Candidate("conv_2d_dense_s8", params, dense.encode(rows), channels, matrix=rows),
        *_sparse("conv_2d", params, rows, channels),
        *conv_2d_skipping(params, rows, channels),
    ]


def depthwise_conv_2d(model: Model, node: Node) -> list[Candidate]:
    """DEPTHWISE_CONV_2D; a row is a tap."""
    options = node.options
    assert isinstance(options, DepthwiseConv2DOptions)
    geometry = options.geometry(model, node)
    taps = _weights(model, node).reshape(-1, geometry.out_c)
    params = _conv_params(model, node, geometry, options.activation)
    channels = _conv_channels(model, node, np.ascontiguousarray(taps.T))
    encoded = dense.encode(taps)
    return [Candidate("depthwise_conv_2d_dense_s8", params, encoded, channels, matrix=taps)]


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
    channels, plain_channels = (
        channel_rows(
            rows,
            _biases(model, node, len(rows)),
            rescales,
            in_zero_point=in_zero_point,
            out_zero_point=out_zero_point,
            whole_rows=whole_rows,
        )
        for whole_rows in (True, False)
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
    return [
        Candidate("fully_connected_dense_s8", params, dense.encode(rows), channels, matrix=rows),
        *_sparse("fully_connected", params, rows, channels),
        *fully_connected_skipping(params, rows, plain_channels),
    ]
