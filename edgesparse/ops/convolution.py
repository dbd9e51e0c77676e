"""CONV_2D, DEPTHWISE_CONV_2D and FULLY_CONNECTED.

Weights are [O, H, W, I], [1, H, W, O] and [O, I].  Source: conv.cc, depthwise_conv.cc and
fully_connected.cc in tensorflow/lite/kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import tflite

from edgesparse.ops.base import ACTIVATIONS, PADDINGS, Op, enum_name, operand
from edgesparse.ops.checks import (
    check_activation,
    check_bias,
    check_bias_scale,
    check_factors,
    check_output,
    check_weights,
    check_window,
)
from edgesparse.ops.geometry import MatrixGeometry, WindowGeometry, window_geometry

if TYPE_CHECKING:
    from edgesparse.model import Model, Node, Tensor


@dataclass(frozen=True, slots=True)
class _WindowOp(Op):
    """What CONV_2D and DEPTHWISE_CONV_2D share."""

    padding: str
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    activation: str

    MAX_INPUTS: ClassVar[int] = 3
    HAS_WEIGHTS: ClassVar[bool] = True
    CHANNEL_AXIS: ClassVar[int] = 0

    def geometry(self, model: Model, node: Node) -> WindowGeometry:
        """Return the layer's sizes; the node must have 4-D input and weights."""
        kernel = model.tensors[node.inputs[1]].shape
        return window_geometry(
            self.padding,
            model.tensors[node.inputs[0]].shape,
            (kernel[1], kernel[2]),
            (self.stride_h, self.stride_w),
            (self.dilation_h, self.dilation_w),
            kernel[self.CHANNEL_AXIS],
        )

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, weights = operand(model, node, 0), operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_weights(weights, 4, self.CHANNEL_AXIS)
        if reasons or source is None or weights is None:
            return reasons
        reasons = check_window(
            self.padding,
            source,
            (weights.shape[1], weights.shape[2]),
            (self.stride_h, self.stride_w),
            (self.dilation_h, self.dilation_w),
        )
        if reasons:
            return reasons
        reasons = self._check_depth(source, weights)
        reasons += check_bias(operand(model, node, 2), weights.shape[self.CHANNEL_AXIS])
        reasons += check_output(result, self.geometry(model, node).out_shape, self.activation)
        return reasons + check_factors(source, weights, result)

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        raise NotImplementedError


def _window_options(table: Any) -> tuple[str, int, int, int, int, str]:
    return (
        enum_name(PADDINGS, "padding", table.Padding()),
        table.StrideH(),
        table.StrideW(),
        table.DilationHFactor(),
        table.DilationWFactor(),
        enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()),
    )


@dataclass(frozen=True, slots=True)
class Conv2DOptions(_WindowOp):
    """CONV_2D."""

    OPTIONS: ClassVar[str | None] = "Conv2DOptions"

    @classmethod
    def parse(cls, table: Any) -> Conv2DOptions:
        """Return the options held by a Conv2DOptions table."""
        return cls(*_window_options(table))

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        geometry = self.geometry(model, node)
        taps = geometry.kernel_h * geometry.kernel_w * geometry.in_c
        return taps * math.prod(geometry.out_shape)

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        have, need = weights.shape[3], source.shape[3]
        if have == need:
            return []
        if need % have == 0:
            return [f"grouped convolution ({need // have} groups) is not supported"]
        return [f"weights take {have} input channels, the input has {need}"]


@dataclass(frozen=True, slots=True)
class DepthwiseConv2DOptions(_WindowOp):
    """DEPTHWISE_CONV_2D; output channel o reads input channel o // depth_multiplier."""

    depth_multiplier: int

    OPTIONS: ClassVar[str | None] = "DepthwiseConv2DOptions"
    CHANNEL_AXIS: ClassVar[int] = 3

    @classmethod
    def parse(cls, table: Any) -> DepthwiseConv2DOptions:
        """Return the options held by a DepthwiseConv2DOptions table."""
        return cls(*_window_options(table), table.DepthMultiplier())

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        geometry = self.geometry(model, node)
        return math.prod(geometry.out_shape) * geometry.kernel_h * geometry.kernel_w

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        if weights.shape[0] != 1:
            return [f"weights have shape {list(weights.shape)}, the first dimension must be 1"]
        have, need = weights.shape[3], source.shape[3] * self.depth_multiplier
        if have == need:
            return []
        times = f"{source.shape[3]} times {self.depth_multiplier}"
        return [f"weights have {have} channels, input and depth multiplier make {times}"]


@dataclass(frozen=True, slots=True)
class FullyConnectedOptions(Op):
    """FULLY_CONNECTED: the input is read as [batches, columns]."""

    activation: str
    keep_num_dims: bool
    weights_format: int

    OPTIONS: ClassVar[str | None] = "FullyConnectedOptions"
    MAX_INPUTS: ClassVar[int] = 3
    HAS_WEIGHTS: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Any) -> FullyConnectedOptions:
        """Return the options held by a FullyConnectedOptions table."""
        return cls(
            enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()),
            bool(table.KeepNumDims()),
            table.WeightsFormat(),
        )

    def geometry(self, model: Model, node: Node) -> MatrixGeometry:
        """Return the layer's sizes; the node must have 2-D weights."""
        units, columns = model.tensors[node.inputs[1]].shape
        return MatrixGeometry(model.tensors[node.inputs[0]].elements // columns, columns, units)

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference."""
        geometry = self.geometry(model, node)
        return geometry.batches * geometry.columns * geometry.units

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, weights = operand(model, node, 0), operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_weights(weights, 2, 0)
        if self.weights_format != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
            reasons.append(f"weights format {self.weights_format} is not supported")
        if reasons or source is None or weights is None:
            return reasons
        units, columns = weights.shape
        whole = source.shape[-1] == columns or not self.keep_num_dims
        if not whole or source.elements % columns:
            return [f"input {list(source.shape)} does not divide into rows of {columns}"]
        rows = source.shape[:-1] if self.keep_num_dims else (source.elements // columns,)
        bias = operand(model, node, 2)
        reasons = check_bias(bias, units) + check_output(result, (*rows, units), self.activation)
        if bias is not None:
            reasons += check_bias_scale(bias, source, weights, result)
        return reasons + check_factors(source, weights, result)
