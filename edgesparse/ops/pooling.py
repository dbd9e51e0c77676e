"""Operators on windows without weights.  Source: pooling.cc in tensorflow/lite/kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import ACTIVATIONS, PADDINGS, Op, enum_name, operand
from edgesparse.ops.checks import (
    check_activation,
    check_output,
    check_same_quantization,
    check_window,
)
from edgesparse.ops.geometry import WindowGeometry, window_geometry

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class Pool2DOptions(Op):
    """What the poolings share; the padding is left out of each window."""

    padding: str
    stride_h: int
    stride_w: int
    filter_h: int
    filter_w: int
    activation: str

    OPTIONS: ClassVar[str | None] = "Pool2DOptions"

    @classmethod
    def parse(cls, table: Any) -> Pool2DOptions:
        """Return the options held by a Pool2DOptions table."""
        return cls(
            enum_name(PADDINGS, "padding", table.Padding()),
            table.StrideH(),
            table.StrideW(),
            table.FilterHeight(),
            table.FilterWidth(),
            enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()),
        )

    def geometry(self, model: Model, node: Node) -> WindowGeometry:
        """Return the layer's sizes; the node must have a 4-D input."""
        shape = model.tensors[node.inputs[0]].shape
        kernel, stride = (self.filter_h, self.filter_w), (self.stride_h, self.stride_w)
        return window_geometry(self.padding, shape, kernel, stride, (1, 1), shape[3])

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        if reasons or source is None:
            return reasons
        kernel, stride = (self.filter_h, self.filter_w), (self.stride_h, self.stride_w)
        reasons = check_window(self.padding, source, kernel, stride, (1, 1))
        if reasons:
            return reasons
        reasons = check_output(result, self.geometry(model, node).out_shape, self.activation)
        return reasons + check_same_quantization(source, result)


@dataclass(frozen=True, slots=True)
class AveragePool2DOptions(Pool2DOptions):
    """AVERAGE_POOL_2D."""


@dataclass(frozen=True, slots=True)
class MaxPool2DOptions(Pool2DOptions):
    """MAX_POOL_2D."""
