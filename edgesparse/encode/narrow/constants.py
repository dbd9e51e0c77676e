"""Channels of activations whose values do not depend on the input.

A filter without non-zero weights emits its rescaled bias; what only reads such channels emits
constants as well.  Where a window reaches into the padding, a constant other than the zero point
adds another sum at the border than inside, so that such a constant differs from place to place.
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

MOST_KINDS = 100
"""Kinds of windows that are told apart; with more, values that differ by place count as unknown."""

Values = NDArray[np.int64]
"""Constants by place, [height, width, channels]; [1, 1, channels] where no place differs.

A channel that is not known is UNKNOWN at all places.
"""

WindowOptions = Conv2DOptions | DepthwiseConv2DOptions


@dataclass(frozen=True, slots=True)
class Sums:
    """What the constant input channels of a node with weights add to its accumulators.

    amount: [kinds of places, rows, input channels], 0 where it is not known.  known: [rows, input
    channels], False where the sum depends on the input.  kinds: [height, width] of the output, or
    [1, 1] where there is one kind.  For a depthwise convolution there is one column, the row's own
    input channel.
    """

    amount: NDArray[np.int64]
    known: NDArray[np.bool_]
    kinds: NDArray[np.int64]

    def of_rows(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Sums:
        """The same for some rows."""
        return Sums(self.amount[:, rows], self.known[rows], self.kinds)

    @property
    def steady(self) -> NDArray[np.bool_]:
        """Where a sum is known and the same at all places, [rows, input channels]."""
        return np.asarray(self.known & (self.amount == self.amount[0]).all(axis=0))


def unknown(channels: int) -> Values:
    """Channels of which nothing is known."""
    return np.full((1, 1, channels), UNKNOWN, np.int64)


def is_known(values: Values) -> NDArray[np.bool_]:
    """The channels whose values are known, [channels]."""
    return np.asarray(values[0, 0] != UNKNOWN)


def is_even(values: Values) -> NDArray[np.bool_]:
    """The channels that have one value at all places, if only UNKNOWN, [channels]."""
    return np.asarray((values == values[:1, :1]).all(axis=(0, 1)))


def _even(values: Values) -> Values:
    """The channels that have one value at all places; the others are unknown."""
    return np.where(is_even(values), values, UNKNOWN)[:1, :1]


def _collapsed(values: Values) -> Values:
    return values[:1, :1] if is_even(values).all() else values


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


@dataclass(frozen=True, slots=True)
class _Axis:
    """Places along one dimension of an output by what their windows meet.

    kinds: [places].  taps: [kinds, taps], the input place, or -1 outside the image.
    """

    kinds: NDArray[np.int64]
    taps: NDArray[np.int64]


def _alike(lines: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first line of each kind, and the kind of each line; np.unique is much slower."""
    kinds: dict[bytes, int] = {}
    inverse = np.array([kinds.setdefault(line.tobytes(), len(kinds)) for line in lines], np.int64)
    return np.unique(inverse, return_index=True)[1], inverse


def _axis(
    lines: NDArray[np.int64], places: int, taps: int, step: int, dilation: int, pad: int, size: int
) -> _Axis:
    """lines: [1 or size, values of a line]; equal lines are one to a window."""
    at = np.arange(places)[:, np.newaxis] * step - pad + np.arange(taps) * dilation
    first, kinds = _alike(lines)
    same = np.broadcast_to(first[kinds], (size,))
    met = np.where((at >= 0) & (at < size), same[np.clip(at, 0, size - 1)], -1)
    found, kinds = _alike(met)
    return _Axis(kinds, met[found])


def _windows(factors: Values, g: WindowGeometry) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The different windows, [kinds, rows, columns, channels], and the kind of each place.

    factors: what is met, 0 for padding.
    """
    height, width, channels = factors.shape
    down = _axis(
        factors.reshape(height, -1),
        *(g.out_h, g.kernel_h, g.stride_h, g.dilation_h, g.pad_top, g.in_h),
    )
    along = _axis(
        factors.swapaxes(0, 1).reshape(width, -1),
        *(g.out_w, g.kernel_w, g.stride_w, g.dilation_w, g.pad_left, g.in_w),
    )
    rows, columns = down.taps[:, np.newaxis, :, np.newaxis], along.taps[:, np.newaxis, :]
    met = factors[np.minimum(rows, height - 1), np.minimum(columns, width - 1)]
    met = np.where(((rows >= 0) & (columns >= 0))[..., np.newaxis], met, 0)
    kinds = down.kinds[:, np.newaxis] * len(along.taps) + along.kinds
    return met.reshape(-1, g.kernel_h, g.kernel_w, channels), kinds


def sums_of(model: Model, node: Node, values: Values) -> Sums:
    """Return what the channels of a node's input, of these values, add; the node has weights."""
    weights = weights_of(model, node)
    zero_point = model.tensors[node.inputs[0]].affine()[1]
    known = is_known(values)
    factors = np.where(known, values - zero_point, 0)
    options = node.options
    if isinstance(options, WindowOptions):
        met, kinds = _windows(factors, options.geometry(model, node))
        if len(met) > MOST_KINDS and not is_even(values).all():
            return sums_of(model, node, _even(values))
    else:
        met, kinds = factors[np.newaxis], np.zeros((1, 1), np.int64)
    silent = ~weights.any(axis=(1, 2))
    if isinstance(options, DepthwiseConv2DOptions):
        known = np.repeat(known, options.depth_multiplier)[:, np.newaxis]
        met = np.repeat(met, options.depth_multiplier, axis=3)
        amount = np.einsum("pklo,oklc->poc", met, weights, optimize=True)
    else:
        amount = np.einsum("pklc,oklc->poc", met, weights, optimize=True)
    return Sums(amount, silent | known, kinds)


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
    totals = biases_of(model, node, rows) + sums.amount.sum(axis=2)
    found = np.full(totals.shape, UNKNOWN, np.int64)
    rescales = _rescales(model, node, rows)
    for row in np.flatnonzero(sums.known.all(axis=1)):
        for kind, total in enumerate(totals[:, row]):
            scaled = rescale_exact(wrap_int32(int(total)), rescales[row])
            found[kind, row] = scaled + result.affine()[1]
    return _collapsed(_clamped(found[sums.kinds], result, node.options.activation))


def _of_table(model: Model, node: Node, values: Values) -> Values:
    assert isinstance(node.options, LutOptions)
    table = node.options.table(model, node).astype(np.int64)
    return np.where(values == UNKNOWN, UNKNOWN, table[np.clip(values + 128, 0, 255)])


def _of_pad(model: Model, node: Node, values: Values) -> Values | None:
    """The image with the fill value around it."""
    assert isinstance(node.options, PadOptions)
    paddings, fill = node.options.paddings(model, node), node.options.fill_value(model, node)
    shape = model.tensors[node.inputs[0]].shape
    if paddings[-1] != (0, 0):
        return None
    if len(shape) != 4 or paddings[0] != (0, 0):
        even = _even(values)
        return np.where(even == fill, even, UNKNOWN)
    image = np.broadcast_to(values, (*shape[1:3], values.shape[2]))
    padded = np.pad(image, (*paddings[1:3], (0, 0)), constant_values=fill)
    return _collapsed(np.where(is_known(values), padded, UNKNOWN))


def _of_reshape(model: Model, node: Node, values: Values) -> Values | None:
    """Channels repeated along the new last dimension, place by place where they differ."""
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    width = result.shape[-1] if result.shape else 0
    if not width or width % values.shape[2] != 0:
        return None
    if values.size == width and values.size == source.elements:
        return values.reshape(1, 1, -1)
    return np.tile(_even(values), width // values.shape[2])


def _output_values(model: Model, node: Node, values: Values) -> Values | None:
    """Return what is known of a node's output channels, or None where that is nothing."""
    options, result = node.options, model.tensors[node.outputs[0]]
    if isinstance(options, WindowOptions | FullyConnectedOptions):
        return _of_weights(model, node, values)
    if isinstance(options, LutOptions):
        return _of_table(model, node, values)
    if isinstance(options, Pool2DOptions):  # mean and greatest of one value are that value
        return _clamped(_even(values), result, options.activation)
    if isinstance(options, PadOptions):
        return _of_pad(model, node, values)
    return _of_reshape(model, node, values) if options.IS_FREE else None


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
        values = known.get(source.index, unknown(columns))
        found = _output_values(model, node, values) if values.shape[2] == columns else None
        if found is not None and is_known(found).any():
            known[node.outputs[0]] = _written(model, node.outputs[0], found)
    return known
