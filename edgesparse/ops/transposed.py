"""TRANSPOSE_CONV; weights are [O, H, W, I].

Source: transpose_conv.cc in tensorflow/lite/kernels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import ACTIVATIONS, PADDINGS, Op, enum_name, operand
from edgesparse.ops.checks import (
    MAX_IMAGE_SIDE,
    MAX_WINDOW,
    check_activation,
    check_bias,
    check_constant,
    check_factors,
    check_output,
    check_weights,
    integers,
)
from edgesparse.ops.geometry import WindowGeometry, window_axis

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class TransposeConvOptions(Op):
    """TRANSPOSE_CONV; inputs are the output's shape, weights, tensor and perhaps a bias."""

    padding: str
    stride_h: int
    stride_w: int
    activation: str

    OPTIONS: ClassVar[str | None] = "TransposeConvOptions"
    MAX_INPUTS: ClassVar[int] = 4
    HAS_WEIGHTS: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Any) -> TransposeConvOptions:
        """Return the options held by a TransposeConvOptions table."""
        return cls(
            enum_name(PADDINGS, "padding", table.Padding()),
            table.StrideH(),
            table.StrideW(),
            enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()),
        )

    def geometry(self, model: Model, node: Node) -> WindowGeometry:
        """Return the layer's sizes; the padding is that of the convolution from output to input."""
        batches, in_h, in_w, in_c = model.tensors[node.inputs[2]].shape
        out_c, kernel_h, kernel_w, _ = model.tensors[node.inputs[1]].shape
        _, out_h, out_w, _ = model.tensors[node.outputs[0]].shape
        pad_top = window_axis(self.padding, out_h, kernel_h, self.stride_h)[1]
        pad_left = window_axis(self.padding, out_w, kernel_w, self.stride_w)[1]
        sizes = (batches, in_h, in_w, in_c, out_h, out_w, out_c, kernel_h, kernel_w)
        return WindowGeometry(*sizes, self.stride_h, self.stride_w, 1, 1, pad_top, pad_left)

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates: every input with every weight of its channel."""
        weights = model.tensors[node.inputs[1]].shape
        return model.tensors[node.inputs[2]].elements * math.prod(weights[:3])

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        wanted, weights = operand(model, node, 0), operand(model, node, 1)
        source, result = operand(model, node, 2), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_weights(weights, 4, 0) + check_constant("output shape", wanted, [(4,)])
        if self.padding not in ("SAME", "VALID"):
            reasons.append(f"{self.padding} is not supported")
        if reasons or source is None or weights is None or wanted is None:
            return reasons
        shape = tuple(integers(wanted))
        if len(source.shape) != 4 or min(shape) < 1:
            return [f"input {list(source.shape)} and output {list(shape)} need 4 dimensions"]
        if max(*source.shape[1:3], *shape[1:3]) > MAX_IMAGE_SIDE:
            return [f"input or output is larger than {MAX_IMAGE_SIDE} in height or width"]
        steps = (*weights.shape[1:3], self.stride_h, self.stride_w)
        if min(steps) < 1 or max(steps) > MAX_WINDOW:
            return [f"kernel and stride {list(steps)} are not in 1 ... {MAX_WINDOW}"]
        ends = (source.shape[0], shape[3], source.shape[3])
        if ends != (shape[0], weights.shape[0], weights.shape[3]):
            return [f"weights {list(weights.shape)} do not lead from input to output"]
        reasons = check_bias(operand(model, node, 3), weights.shape[0])
        reasons += check_output(result, shape, self.activation)
        return reasons + check_factors(source, weights, result)
