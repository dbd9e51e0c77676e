"""Operators in floating point with their gradients: what the repair of a network is made of.

Values are float32 arrays [rows, elements] of codes less their zero point, so that padding is 0.
An operator rounds and clips its results as the int8 kernels do, but for rounding of halves; going
back, rounding counts as the identity, and clipped elements pass nothing.

Source of the treatment of rounding: Bengio, Leonard, Courville, "Estimating or Propagating
Gradients Through Stochastic Neurons for Conditional Computation", 2013.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model, Node
from edgesparse.ops import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    WindowGeometry,
)
from edgesparse.ops.geometry import activation_range
from edgesparse.ops.pooling import AveragePool2DOptions, Pool2DOptions
from edgesparse.ops.reduction import MeanOptions

__all__ = ["Step", "Values", "Weighted", "step_of"]

Values = NDArray[np.float32]
_CACHE_BYTES = 512 * 1024


class Step(Protocol):
    """One operator on its way there and back."""

    def forward(self, inputs: list[Values]) -> Values:
        """The results; keeps what the way back needs."""
        ...

    def backward(self, gradient: Values) -> list[Values]:
        """The gradients of the inputs from that of the results."""
        ...


@dataclass(slots=True)
class _Requantised:
    """Rounds and clips, for codes between low and high less the zero point."""

    low: float
    high: float
    passes: NDArray[np.bool_] = field(init=False)

    def forward(self, real: Values) -> Values:
        self.passes = (real > self.low - 0.5) & (real < self.high + 0.5)
        return np.clip(np.rint(real), self.low, self.high)

    def backward(self, gradient: Values) -> Values:
        return np.where(self.passes, gradient, np.float32(0.0))


def _requantised(model: Model, node: Node, activation: str) -> _Requantised:
    scale, zero_point = model.tensors[node.outputs[0]].affine()
    low, high = activation_range(activation, scale, zero_point)
    return _Requantised(low - zero_point, high - zero_point)


@dataclass(frozen=True, slots=True)
class _Window:
    """Where a window's taps read: one slice of the padded input for each of them."""

    geometry: WindowGeometry

    def padded(self, values: Values) -> Values:
        """[images, in_h, in_w, in_c] with 0 around it, as far as the taps reach."""
        g = self.geometry
        images = values.reshape(-1, g.in_h, g.in_w, g.in_c)
        height, width = self._extent()
        if (height, width) == (g.in_h, g.in_w):
            return images
        out = np.zeros((len(images), height, width, g.in_c), np.float32)
        out[:, g.pad_top : g.pad_top + g.in_h, g.pad_left : g.pad_left + g.in_w] = images
        return out

    def cropped(self, padded: Values) -> Values:
        g = self.geometry
        rows = slice(g.pad_top, g.pad_top + g.in_h)
        return padded[:, rows, g.pad_left : g.pad_left + g.in_w]

    def _extent(self) -> tuple[int, int]:
        g = self.geometry
        height = (g.out_h - 1) * g.stride_h + (g.kernel_h - 1) * g.dilation_h + 1
        width = (g.out_w - 1) * g.stride_w + (g.kernel_w - 1) * g.dilation_w + 1
        return max(height, g.pad_top + g.in_h), max(width, g.pad_left + g.in_w)

    def taps(self) -> list[tuple[slice, slice, slice]]:
        g = self.geometry
        return [
            (
                slice(None),
                slice(y, y + (g.out_h - 1) * g.stride_h + 1, g.stride_h),
                slice(x, x + (g.out_w - 1) * g.stride_w + 1, g.stride_w),
            )
            for y in range(0, g.kernel_h * g.dilation_h, g.dilation_h)
            for x in range(0, g.kernel_w * g.dilation_w, g.dilation_w)
        ]


@dataclass(slots=True)
class Weighted:
    """A layer with weights [outputs, taps] and biases, in codes; gradients are of those.

    factors: what a step of an output's accumulator is worth in steps of its code.  is_searched:
    whether the gradient of the weights is needed; passes_back: whether that of the inputs is.
    """

    weights: Values
    bias: Values
    factors: Values
    requantised: _Requantised
    is_searched: bool = field(default=False, init=False)
    passes_back: bool = field(default=True, init=False)
    weights_gradient: Values = field(init=False)
    bias_gradient: Values = field(init=False)

    def forward(self, inputs: list[Values]) -> Values:
        """See Step."""
        raise NotImplementedError

    def backward(self, gradient: Values) -> list[Values]:
        """See Step."""
        raise NotImplementedError

    def _finish(self, accumulators: Values) -> Values:
        real = (accumulators + self.bias) * self.factors
        return self.requantised.forward(real.reshape(-1, len(self.bias)))

    def _begin(self, gradient: Values) -> Values:
        """The gradient of the accumulators, [products, outputs]."""
        outputs = len(self.bias)
        back = self.requantised.backward(gradient.reshape(-1, outputs)) * self.factors
        self.bias_gradient = back.sum(axis=0)
        return back


@dataclass(slots=True)
class _Connected(Weighted):
    x: Values = field(init=False)

    def forward(self, inputs: list[Values]) -> Values:
        self.x = inputs[0].reshape(-1, self.weights.shape[1])
        return self._finish(self.x @ self.weights.T).reshape(len(inputs[0]), -1)

    def backward(self, gradient: Values) -> list[Values]:
        back = self._begin(gradient)
        self.weights_gradient = back.T @ self.x
        return [(back @ self.weights).reshape(len(gradient), -1)]


@dataclass(slots=True)
class _Convolved(Weighted):
    """A few images at a time, so that their patches stay in the cache."""

    window: _Window = field(kw_only=True)
    padded: Values = field(init=False)

    def forward(self, inputs: list[Values]) -> Values:
        self.padded = self.window.padded(inputs[0])
        transposed = np.ascontiguousarray(self.weights.T)
        sums = np.concatenate([self._patches(part) @ transposed for part in self._parts()])
        return self._finish(sums).reshape(len(inputs[0]), -1)

    def backward(self, gradient: Values) -> list[Values]:
        g = self.window.geometry
        back = self._begin(gradient).reshape(len(self.padded), -1, g.out_c)
        out = np.zeros_like(self.padded)
        self.weights_gradient = np.zeros_like(self.weights)
        for part in self._parts():
            mine = back[part].reshape(-1, g.out_c)
            self.weights_gradient += mine.T @ self._patches(part)
            if self.passes_back:
                self._spread(mine @ self.weights, out[part])
        return [self.window.cropped(out).reshape(len(gradient), -1)]

    def _parts(self) -> list[slice]:
        g = self.window.geometry
        taps = self.weights.shape[1]
        step = max(1, _CACHE_BYTES // (4 * g.out_h * g.out_w * taps))
        return [slice(i, i + step) for i in range(0, len(self.padded), step)]

    def _patches(self, part: slice) -> Values:
        """What the weights are multiplied with [products, taps]."""
        g = self.window.geometry
        images, taps = self.padded[part], self.window.taps()
        if len(taps) == 1:
            return images[taps[0]].reshape(-1, g.in_c)
        patches = np.empty((len(images), g.out_h, g.out_w, len(taps), g.in_c), np.float32)
        for at, tap in enumerate(taps):
            patches[:, :, :, at] = images[tap]
        return patches.reshape(-1, len(taps) * g.in_c)

    def _spread(self, patches: Values, images: Values) -> None:
        """Add patches to where they were taken from."""
        g = self.window.geometry
        taps = self.window.taps()
        patches = patches.reshape(len(images), g.out_h, g.out_w, len(taps), g.in_c)
        for at, tap in enumerate(taps):
            images[tap] += patches[:, :, :, at]


@dataclass(slots=True)
class _Depthwise(Weighted):
    """weights [outputs, taps]; each input channel has `multiplier` outputs."""

    window: _Window = field(kw_only=True)
    multiplier: int = field(kw_only=True)
    padded: Values = field(init=False)

    def forward(self, inputs: list[Values]) -> Values:
        self.padded = self.window.padded(inputs[0])
        if self.multiplier > 1:
            self.padded = np.repeat(self.padded, self.multiplier, axis=3)
        sums = sum(
            self.padded[tap] * self.weights[:, at] for at, tap in enumerate(self.window.taps())
        )
        return self._finish(np.asarray(sums, np.float32)).reshape(len(inputs[0]), -1)

    def backward(self, gradient: Values) -> list[Values]:
        g = self.window.geometry
        back = self._begin(gradient).reshape(-1, g.out_h, g.out_w, g.out_c)
        out = np.zeros_like(self.padded)
        self.weights_gradient = np.empty_like(self.weights)
        for at, tap in enumerate(self.window.taps()):
            if self.is_searched:
                self.weights_gradient[:, at] = np.einsum("nhwc,nhwc->c", back, self.padded[tap])
            out[tap] += back * self.weights[:, at]
        out = self.window.cropped(out)
        if self.multiplier > 1:
            out = out.reshape(*out.shape[:3], g.in_c, self.multiplier).sum(axis=4)
        return [out.reshape(len(gradient), -1)]


@dataclass(slots=True)
class _Added:
    factors: tuple[np.float32, np.float32]
    requantised: _Requantised

    def forward(self, inputs: list[Values]) -> Values:
        return self.requantised.forward(inputs[0] * self.factors[0] + inputs[1] * self.factors[1])

    def backward(self, gradient: Values) -> list[Values]:
        back = self.requantised.backward(gradient)
        return [back * factor for factor in self.factors]


@dataclass(slots=True)
class _Averaged:
    """The mean of each window without its padding."""

    window: _Window
    requantised: _Requantised
    counts: Values

    def forward(self, inputs: list[Values]) -> Values:
        padded = self.window.padded(inputs[0])
        sums = np.asarray(sum(padded[tap] for tap in self.window.taps()), np.float32)
        return self.requantised.forward(sums / self.counts).reshape(len(inputs[0]), -1)

    def backward(self, gradient: Values) -> list[Values]:
        g = self.window.geometry
        shape = (-1, g.out_h, g.out_w, g.out_c)
        back = self.requantised.backward(gradient.reshape(shape)) / self.counts
        out = self.window.padded(np.zeros((len(back), g.in_h, g.in_w, g.in_c), np.float32)).copy()
        for tap in self.window.taps():
            out[tap] += back
        return [self.window.cropped(out).reshape(len(gradient), -1)]


@dataclass(slots=True)
class _Mean:
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    factor: np.float32
    requantised: _Requantised

    def forward(self, inputs: list[Values]) -> Values:
        values = inputs[0].reshape(-1, *self.shape[1:]).mean(axis=self.axes) * self.factor
        return self.requantised.forward(values.reshape(len(inputs[0]), -1))

    def backward(self, gradient: Values) -> list[Values]:
        kept = [1 if axis in self.axes else side for axis, side in enumerate(self.shape)][1:]
        count = np.float32(np.prod([self.shape[axis] for axis in self.axes]))
        back = self.requantised.backward(gradient).reshape(-1, *kept)
        wide = np.broadcast_to(back * (self.factor / count), (len(back), *self.shape[1:]))
        return [np.ascontiguousarray(wide).reshape(len(gradient), -1)]


@dataclass(slots=True)
class _Same:
    def forward(self, inputs: list[Values]) -> Values:
        return inputs[0]

    def backward(self, gradient: Values) -> list[Values]:
        return [gradient]


def step_of(model: Model, node: Node) -> Step | None:
    """The step of an operator, None for one whose gradient is not known."""
    make = _STEPS.get(node.op)
    return None if make is None else make(model, node)


def _weighted(model: Model, node: Node) -> Weighted:
    options = node.options
    tensor = model.tensors[node.inputs[1]]
    assert tensor.data is not None
    assert tensor.quantization is not None
    assert isinstance(options, Conv2DOptions | DepthwiseConv2DOptions | FullyConnectedOptions)
    is_depthwise = isinstance(options, DepthwiseConv2DOptions)
    outputs = tensor.shape[-1 if is_depthwise else 0]
    codes = tensor.data.reshape(-1, outputs).T if is_depthwise else tensor.data.reshape(outputs, -1)
    bias = np.zeros(outputs, np.float32)
    if len(node.inputs) > 2 and node.inputs[2] >= 0:
        data = model.tensors[node.inputs[2]].data
        assert data is not None
        bias = data.reshape(-1).astype(np.float32)
    scale, _ = model.tensors[node.inputs[0]].affine()
    out_scale, _ = model.tensors[node.outputs[0]].affine()
    scales = np.broadcast_to(np.array(tensor.quantization.scales), (outputs,))
    factors = (scale * scales / out_scale).astype(np.float32)
    requantised = _requantised(model, node, options.activation)
    parts = (np.ascontiguousarray(codes, np.float32), bias, factors, requantised)
    if isinstance(options, FullyConnectedOptions):
        return _Connected(*parts)
    window = _Window(options.geometry(model, node))
    if isinstance(options, DepthwiseConv2DOptions):
        return _Depthwise(*parts, window=window, multiplier=options.depth_multiplier)
    return _Convolved(*parts, window=window)


def _added(model: Model, node: Node) -> Step | None:
    options = node.options
    assert isinstance(options, AddOptions)
    tensors = [model.tensors[index] for index in node.inputs]
    if any(tensor.is_constant for tensor in tensors) or tensors[0].shape != tensors[1].shape:
        return None
    out, _ = model.tensors[node.outputs[0]].affine()
    one, other = (np.float32(tensor.affine()[0] / out) for tensor in tensors)
    return _Added((one, other), _requantised(model, node, options.activation))


def _averaged(model: Model, node: Node) -> Step:
    options = node.options
    assert isinstance(options, AveragePool2DOptions)
    assert isinstance(options, Pool2DOptions)
    window = _Window(options.geometry(model, node))
    g = window.geometry
    ones = window.padded(np.ones((1, g.in_h, g.in_w, 1), np.float32).repeat(g.in_c, 3))
    counts = np.asarray(sum(ones[tap] for tap in window.taps()), np.float32)
    return _Averaged(window, _requantised(model, node, options.activation), counts)


def _mean(model: Model, node: Node) -> Step | None:
    options = node.options
    assert isinstance(options, MeanOptions)
    source = model.tensors[node.inputs[0]]
    axes = options.axes(model, node)
    if 0 in axes:
        return None
    factor = np.float32(source.affine()[0] / model.tensors[node.outputs[0]].affine()[0])
    return _Mean(source.shape, tuple(sorted(axes)), factor, _requantised(model, node, "NONE"))


def _same(model: Model, node: Node) -> Step:
    del model, node
    return _Same()


_STEPS: dict[str, Callable[[Model, Node], Step | None]] = {
    "CONV_2D": _weighted,
    "DEPTHWISE_CONV_2D": _weighted,
    "FULLY_CONNECTED": _weighted,
    "ADD": _added,
    "AVERAGE_POOL_2D": _averaged,
    "MEAN": _mean,
    "RESHAPE": _same,
}
