"""Channels of activations that have one value, whatever the input is.

A filter without non-zero weights emits its rescaled bias; what only reads such channels emits
constants as well.  Where a window reaches into the padding, a constant other than the zero point
adds another sum at the border than inside: such sums are not used.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops, quantize
from edgesparse.encode.requantisation import rescale_exact, wrap_int32
from edgesparse.model import Model, Node, Tensor
from edgesparse.ops import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    PadOptions,
    WindowGeometry,
    activation_range,
)
from edgesparse.ops.lut import LutOptions
from edgesparse.ops.pooling import Pool2DOptions
from edgesparse.quantize import Rescale

UNKNOWN = -1000
"""Stands for the value of a channel that depends on the input."""

Values = NDArray[np.int64]
"""Per channel its constant, or UNKNOWN."""

WindowOptions = Conv2DOptions | DepthwiseConv2DOptions


@dataclass(frozen=True, slots=True)
class Sums:
    """What the constant input channels of a node with weights add to its accumulators.

    amount, known: [rows, input channels].  known is False where the sum depends on the input or on
    the place of the output; amount is 0 there.  For a depthwise convolution there is one column,
    the row's own input channel.
    """

    amount: NDArray[np.int64]
    known: NDArray[np.bool_]


def weights_of(model: Model, node: Node) -> NDArray[np.int64]:
    """Return the weights as [rows, height, width, input channels]."""
    data = model.tensors[node.inputs[1]].data
    assert data is not None  # check_supported has seen to it
    weights = data.astype(np.int64)
    if isinstance(node.options, FullyConnectedOptions):
        return weights[:, np.newaxis, np.newaxis, :]
    if isinstance(node.options, DepthwiseConv2DOptions):
        return np.moveaxis(weights, 3, 0).reshape(weights.shape[3], *weights.shape[1:3], 1)
    return weights


def biases_of(model: Model, node: Node, rows: int) -> NDArray[np.int64]:
    """Return the biases, 0 where there are none."""
    index = node.inputs[2] if len(node.inputs) > 2 else -1
    data = model.tensors[index].data if index >= 0 else None
    return np.zeros(rows, np.int64) if data is None else data.reshape(-1).astype(np.int64)


def _inside(
    places: int, taps: int, step: int, dilation: int, pad: int, size: int
) -> NDArray[np.int64]:
    """Return the different sets of taps inside the image, [sets, taps], each 0 or 1."""
    first = np.arange(places)[:, np.newaxis] * step - pad
    at = first + np.arange(taps) * dilation
    return np.unique((at >= 0) & (at < size), axis=0).astype(np.int64)


def _window_sums(weights: NDArray[np.int64], geometry: WindowGeometry) -> NDArray[np.int64]:
    """Return the sum of the weights that meet the image: [kinds of places, rows, channels]."""
    g = geometry
    down = _inside(g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top, g.in_h)
    along = _inside(g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left, g.in_w)
    sums = np.einsum("ak,bl,okli->aboi", down, along, weights, optimize=True)
    return np.asarray(sums.reshape(-1, *sums.shape[2:]))


def sums_of(model: Model, node: Node, values: Values) -> Sums:
    """Return what the channels of a node's input, of these values, add; the node has weights."""
    weights = weights_of(model, node)
    zero_point = model.tensors[node.inputs[0]].affine()[1]
    if isinstance(node.options, DepthwiseConv2DOptions):
        values = np.repeat(values, node.options.depth_multiplier)[:, np.newaxis]
    factors = np.where(values == UNKNOWN, 0, values - zero_point)
    if isinstance(node.options, WindowOptions):
        added = _window_sums(weights, node.options.geometry(model, node)) * factors
    else:
        added = weights.sum(axis=(1, 2))[np.newaxis] * factors
    silent = ~weights.any(axis=(1, 2))
    known = silent | ((added == added[0]).all(axis=0) & (values != UNKNOWN))
    return Sums(np.where(known, added[0], 0), known)


def _rescales(model: Model, node: Node, rows: int) -> tuple[Rescale, ...]:
    source, weights = model.tensors[node.inputs[0]], model.tensors[node.inputs[1]]
    result = model.tensors[node.outputs[0]]
    assert weights.quantization is not None  # check_supported has seen to it
    scales = weights.quantization.scales
    in_scale, out_scale = source.affine()[0], result.affine()[0]
    if isinstance(node.options, FullyConnectedOptions) and len(scales) == 1:
        return (quantize.fully_connected_multiplier(in_scale, scales[0], out_scale),) * rows
    per_row = scales if len(scales) == rows else scales * rows
    return quantize.conv_multipliers(in_scale, per_row, out_scale)


def _clamped(values: Values, result: Tensor, activation: str) -> Values:
    least, most = activation_range(activation, *result.affine())
    return np.where(values == UNKNOWN, UNKNOWN, np.clip(values, least, most))


def _of_weights(model: Model, node: Node, values: Values) -> Values:
    """Return the outputs of filters all of whose sums are known."""
    assert isinstance(node.options, WindowOptions | FullyConnectedOptions)
    result = model.tensors[node.outputs[0]]
    sums = sums_of(model, node, values)
    rows = len(sums.known)
    totals = biases_of(model, node, rows) + sums.amount.sum(axis=1)
    found = np.full(rows, UNKNOWN, np.int64)
    rescales = _rescales(model, node, rows)
    for row in np.flatnonzero(sums.known.all(axis=1)):
        scaled = rescale_exact(wrap_int32(int(totals[row])), rescales[row])
        found[row] = scaled + result.affine()[1]
    return _clamped(found, result, node.options.activation)


def _of_table(model: Model, node: Node, values: Values) -> Values:
    assert isinstance(node.options, LutOptions)
    table = node.options.table(model, node).astype(np.int64)
    return np.where(values == UNKNOWN, UNKNOWN, table[np.clip(values + 128, 0, 255)])


def _output_values(model: Model, node: Node, values: Values) -> Values | None:
    """Return what is known of a node's output channels, or None where that is nothing."""
    options, result = node.options, model.tensors[node.outputs[0]]
    if isinstance(options, WindowOptions | FullyConnectedOptions):
        return _of_weights(model, node, values)
    if isinstance(options, LutOptions):
        return _of_table(model, node, values)
    if isinstance(options, Pool2DOptions):  # mean and greatest of one value are that value
        return _clamped(values, result, options.activation)
    if isinstance(options, PadOptions) and options.paddings(model, node)[-1] == (0, 0):
        return np.where(values == options.fill_value(model, node), values, UNKNOWN)
    width = result.shape[-1] if result.shape else 0
    if options.IS_FREE and width and width % len(values) == 0:
        return np.tile(values, width // len(values))
    return None


def _written(model: Model, index: int, values: Values) -> Values:
    """Return what a tensor holds where these values are written into it: its threshold applies."""
    zero_point, codes = model.tensors[index].affine()[1], model.thresholds.get(index, 0)
    near = np.abs(values - zero_point) <= codes
    return np.where((values != UNKNOWN) & near, zero_point, values)


def constant_channels(model: Model) -> dict[int, Values]:
    """Return the values of the channels, that is along the last dimension, by tensor.

    Tensors of which nothing is known are left out.
    """
    known: dict[int, Values] = {}
    for node in model.nodes:
        if not node.inputs or node.inputs[0] < 0 or ops.on_host(model, node):
            continue
        source = model.tensors[node.inputs[0]]
        if source.dtype != "int8" or source.is_constant or not source.shape:
            continue
        columns = source.shape[-1]
        if isinstance(node.options, FullyConnectedOptions):
            columns = model.tensors[node.inputs[1]].shape[1]
        values = known.get(source.index, np.full(columns, UNKNOWN, np.int64))
        found = _output_values(model, node, values) if len(values) == columns else None
        if found is not None and (found != UNKNOWN).any():
            known[node.outputs[0]] = _written(model, node.outputs[0], found)
    return known
