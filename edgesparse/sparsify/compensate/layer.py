"""A layer's weights as a matrix, and its inputs as rows that the matrix is multiplied with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model, Node, has_own_scales, with_scales
from edgesparse.ops import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    WindowGeometry,
)
from edgesparse.rows import Rows
from edgesparse.sparsify.granularity import filters, group_ids
from edgesparse.sparsify.layer import THINNED_OPS
from edgesparse.sparsify.unshare import replace_weights

__all__ = ["Layer", "Solution", "find_layers", "patches", "positions_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A layer with constant weights that no other operator reads.

    codes: int8 weights as float64 [outputs, taps]; the taps of an output are its [H, W, I], of a
    depthwise layer its [H, W].  scales: one an output, in float64.  bias: int32 codes as float64
    [outputs], or None where it has none that may be changed.  is_scalable: whether the scales of
    weights and bias may be changed.
    """

    node: Node
    source: int
    weights: int
    codes: NDArray[np.float64]
    scales: NDArray[np.float64]
    bias_index: int | None
    bias: NDArray[np.float64] | None
    zero_point: int
    has_one_scale: bool
    is_scalable: bool

    @property
    def is_depthwise(self) -> bool:
        """Whether each output has inputs of its own."""
        return self.node.op == "DEPTHWISE_CONV_2D"

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.codes.size

    @property
    def zeros(self) -> int:
        """Number of weights that are zero."""
        return self.size - int(np.count_nonzero(self.codes))

    def groups(self, model: Model, granularity: str) -> NDArray[np.int64]:
        """The taps of each group of weights of an output [groups, size], -1 behind short ones."""
        ids = group_ids(self.node.op, model.tensors[self.weights].shape, granularity)
        first = filters(self.node.op, ids)[0].reshape(-1)
        _, number = np.unique(first, return_inverse=True)
        sizes = np.bincount(number)
        members = np.full((len(sizes), int(sizes.max())), -1, np.int64)
        for group in range(len(sizes)):
            taps = np.flatnonzero(number == group)
            members[group, : len(taps)] = taps
        return members

    def written(self, model: Model, solution: Solution) -> Model:
        """The model with new weights, bias and scales in this layer."""
        tensor = model.tensors[self.weights]
        assert tensor.data is not None
        codes = np.empty_like(tensor.data)
        view = filters(self.node.op, codes)
        view[...] = solution.codes.reshape(view.shape)
        arrays: dict[int, NDArray[Any]] = {self.weights: codes}
        if self.bias_index is not None:
            data = model.tensors[self.bias_index].data
            assert data is not None
            arrays[self.bias_index] = solution.bias.astype(data.dtype).reshape(data.shape)
        model = replace_weights(model, arrays)
        if (solution.factors == 1.0).all():
            return model
        factors = {}
        for index in arrays:
            quantization = model.tensors[index].quantization
            assert quantization is not None
            factors[index] = solution.factors[: len(quantization.scales)]
        return with_scales(model, factors)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A layer's new codes [outputs, taps] and bias [outputs]; factors [outputs]: of the scales."""

    codes: NDArray[np.float64]
    bias: NDArray[np.float64]
    factors: NDArray[np.float64]


def find_layers(model: Model) -> tuple[Layer, ...]:
    """The layers that can be compensated, in running order.

    Left out are those whose weights another operator reads as well.
    """
    treated = (node for node in model.nodes if node.op in THINNED_OPS)
    return tuple(_layer(model, node) for node in treated if _is_own(model, node.inputs[1]))


def _is_own(model: Model, index: int) -> bool:
    """Whether one operator alone reads a constant; bytes that it shares it can leave."""
    return len(model.consumers(index)) == 1


def _layer(model: Model, node: Node) -> Layer:
    tensor = model.tensors[node.inputs[1]]
    assert tensor.data is not None
    assert tensor.quantization is not None
    seen = filters(node.op, tensor.data)
    codes = seen.reshape(len(seen), -1).astype(np.float64)
    scales = np.broadcast_to(np.array(tensor.quantization.scales), (len(codes),))
    index = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] >= 0 else None
    has_bias = index is not None
    index = index if index is not None and _is_own(model, index) else None
    data = None if index is None else model.tensors[index].data
    return Layer(
        node=node,
        source=node.inputs[0],
        weights=node.inputs[1],
        codes=codes,
        scales=scales,
        bias_index=index,
        bias=None if data is None else data.astype(np.float64).reshape(-1),
        zero_point=model.tensors[node.inputs[0]].affine()[1],
        has_one_scale=len(tensor.quantization.scales) == 1,
        is_scalable=_is_scalable(model, node.inputs[1], index, has_bias=has_bias),
    )


def _is_scalable(model: Model, weights: int, bias: int | None, *, has_bias: bool) -> bool:
    """Whether weights and bias have scales of their own, as many the one as the other."""
    if not has_own_scales(model, weights) or (has_bias and bias is None):
        return False
    if bias is None:
        return True
    counts = set()
    for index in (weights, bias):
        quantization = model.tensors[index].quantization
        counts.add(0 if quantization is None else len(quantization.scales))
    return len(counts) == 1 and has_own_scales(model, bias)


def _geometry(model: Model, layer: Layer) -> WindowGeometry:
    options = layer.node.options
    assert isinstance(options, Conv2DOptions | DepthwiseConv2DOptions)
    return options.geometry(model, layer.node)


def positions_of(model: Model, layer: Layer) -> int:
    """How often a layer's matrix is multiplied in one inference."""
    options = layer.node.options
    if isinstance(options, FullyConnectedOptions):
        return options.geometry(model, layer.node).batches
    geometry = _geometry(model, layer)
    return geometry.batches * geometry.out_h * geometry.out_w


def patches(
    model: Model, layer: Layer, values: Rows, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the layer's weights are multiplied with, less the zero point; padding is then 0.

    Args:
        model: the layer's.
        layer: the layer.
        values: its input in every calibration row.
        chosen: which products, as row · positions_of + position.

    Returns:
        Float64 [chosen, taps]; of a depthwise layer [chosen, taps, outputs].
    """
    if isinstance(layer.node.options, FullyConnectedOptions):
        columns = layer.codes.shape[1]
        return values.reshape(-1, columns)[chosen].astype(np.float64) - layer.zero_point
    windows = _windows(_geometry(model, layer), values, chosen, layer.zero_point)
    if isinstance(layer.node.options, DepthwiseConv2DOptions):
        return windows.repeat(layer.node.options.depth_multiplier, axis=2)
    return windows.reshape(len(chosen), -1)


def _windows(
    geometry: WindowGeometry, values: Rows, chosen: NDArray[np.int64], zero_point: int
) -> NDArray[np.float64]:
    """[chosen, places of the kernel, input channels]."""
    g = geometry
    images = values.reshape(-1, g.in_h, g.in_w, g.in_c)
    image, place = np.divmod(chosen, g.out_h * g.out_w)
    top = place // g.out_w * g.stride_h - g.pad_top
    left = place % g.out_w * g.stride_w - g.pad_left
    out = np.zeros((len(chosen), g.kernel_h, g.kernel_w, g.in_c))
    for ky in range(g.kernel_h):
        for kx in range(g.kernel_w):
            y, x = top + ky * g.dilation_h, left + kx * g.dilation_w
            inside = (y >= 0) & (y < g.in_h) & (x >= 0) & (x < g.in_w)
            taken = images[image[inside], y[inside], x[inside]]
            out[inside, ky, kx] = taken.astype(np.float64) - zero_point
    return out.reshape(len(chosen), g.kernel_h * g.kernel_w, g.in_c)
