"""A layer's weights as a matrix, and its inputs as rows that the matrix is multiplied with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model, Node, with_scales, with_weights
from edgesparse.ops import Conv2DOptions, FullyConnectedOptions, WindowGeometry
from edgesparse.rows import Rows

__all__ = ["Layer", "Solution", "find_layers", "patches", "positions_of"]

TREATED = ("CONV_2D", "FULLY_CONNECTED")


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A CONV_2D or FULLY_CONNECTED layer with constant weights.

    codes: int8 weights as float64 [outputs, taps], taps in the order of the tensor.  scales: one an
    output, in float64.  bias: int32 codes as float64 [outputs], or None where it has none that may
    be changed.  has_one_scale: whether the scale of all weights and the bias may be changed.
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

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.codes.size

    @property
    def zeros(self) -> int:
        """Number of weights that are zero."""
        return self.size - int(np.count_nonzero(self.codes))

    def written(self, model: Model, solution: Solution) -> Model:
        """The model with new weights and bias in this layer."""
        arrays: dict[int, NDArray[Any]] = {}
        new = {self.weights: solution.codes}
        if self.bias_index is not None:
            new[self.bias_index] = solution.bias
        for index, values in new.items():
            data = model.tensors[index].data
            assert data is not None
            arrays[index] = values.astype(data.dtype).reshape(data.shape)
        model = with_weights(model, arrays)
        if solution.factor == 1.0:
            return model
        return with_scales(model, dict.fromkeys(new, solution.factor))


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A layer's new codes [outputs, taps] and bias [outputs]; factor: of the scales of both."""

    codes: NDArray[np.float64]
    bias: NDArray[np.float64]
    factor: float = 1.0


def find_layers(model: Model) -> tuple[Layer, ...]:
    """The layers that are compensated, in running order.

    Left out are those whose weights another operator or tensor uses as well.
    """
    treated = (node for node in model.nodes if node.op in TREATED)
    return tuple(_layer(model, node) for node in treated if _is_own(model, node.inputs[1]))


def _is_own(model: Model, index: int) -> bool:
    """Whether one operator alone reads a constant, and no other constant lies in its bytes."""
    return len(model.consumers(index)) == 1 and not model.sharers(index)


def _layer(model: Model, node: Node) -> Layer:
    tensor = model.tensors[node.inputs[1]]
    assert tensor.data is not None
    assert tensor.quantization is not None
    outputs = tensor.shape[0]
    codes = tensor.data.astype(np.float64).reshape(outputs, -1)
    scales = np.broadcast_to(np.array(tensor.quantization.scales), (outputs,))
    index = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] >= 0 else None
    no_bias = index is None
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
        has_one_scale=len(tensor.quantization.scales) == 1 and (index is not None or no_bias),
    )


def _positions(model: Model, layer: Layer) -> tuple[int, int, int]:
    options = layer.node.options
    if isinstance(options, FullyConnectedOptions):
        return 1, 1, options.geometry(model, layer.node).batches
    assert isinstance(options, Conv2DOptions)
    geometry = options.geometry(model, layer.node)
    return geometry.batches, geometry.out_h, geometry.out_w


def positions_of(model: Model, layer: Layer) -> int:
    """How often a layer's matrix is multiplied in one inference."""
    return int(np.prod(_positions(model, layer)))


def patches(
    model: Model, layer: Layer, values: Rows, chosen: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the layer's matrix is multiplied with, less the zero point; padding is then 0.

    Args:
        model: the layer's.
        layer: the layer.
        values: its input in every calibration row.
        chosen: which products, as row · positions_of + position.

    Returns:
        Float64 [chosen, taps].
    """
    options = layer.node.options
    if isinstance(options, FullyConnectedOptions):
        columns = layer.codes.shape[1]
        return values.reshape(-1, columns)[chosen].astype(np.float64) - layer.zero_point
    assert isinstance(options, Conv2DOptions)
    return _windows(options.geometry(model, layer.node), values, chosen, layer.zero_point)


def _windows(
    geometry: WindowGeometry, values: Rows, chosen: NDArray[np.int64], zero_point: int
) -> NDArray[np.float64]:
    g = geometry
    images = values.reshape(-1, g.in_h, g.in_w, g.in_c).astype(np.float64) - zero_point
    image, place = np.divmod(chosen, g.out_h * g.out_w)
    top = place // g.out_w * g.stride_h - g.pad_top
    left = place % g.out_w * g.stride_w - g.pad_left
    out = np.zeros((len(chosen), g.kernel_h, g.kernel_w, g.in_c))
    for ky in range(g.kernel_h):
        for kx in range(g.kernel_w):
            y, x = top + ky * g.dilation_h, left + kx * g.dilation_w
            inside = (y >= 0) & (y < g.in_h) & (x >= 0) & (x < g.in_w)
            out[inside, ky, kx] = images[image[inside], y[inside], x[inside]]
    return out.reshape(len(chosen), -1)
