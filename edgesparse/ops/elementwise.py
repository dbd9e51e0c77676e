"""Operators of two operands that work element by element; shapes broadcast.

Source: add.cc, sub.cc, mul.cc and maximum_minimum.cc in tensorflow/lite/kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse import quantize
from edgesparse.ops.base import ACTIVATIONS, Op, enum_name, operand
from edgesparse.ops.checks import (
    check_activation,
    check_output,
    check_same_quantization,
)

if TYPE_CHECKING:
    from edgesparse.model import Model, Node, Tensor

MAX_RANK = 6
"""Most dimensions of a tensor in an image."""


def broadcast_shape(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of two that broadcast, as numpy's do, or None where they do not."""
    rank = max(len(first), len(second))
    pairs = zip(
        (1,) * (rank - len(first)) + first, (1,) * (rank - len(second)) + second, strict=True
    )
    shape = []
    for one, other in pairs:
        if one != other and 1 not in (one, other):
            return None
        shape.append(max(one, other))
    return tuple(shape)


@dataclass(frozen=True, slots=True)
class BinaryOptions(Op):
    """Two operands, of which constants may be one or both; what all of them share."""

    MAX_INPUTS: ClassVar[int] = 2
    MAX_BROADCAST_RANK: ClassVar[int]
    """Most dimensions that TFLite's reference kernel broadcasts; it aborts above them."""

    def fused_activation(self) -> str:
        """Return the activation behind it."""
        return "NONE"

    def check_scales(self, first: Tensor, second: Tensor, result: Tensor) -> list[str]:
        """Return the reasons why the scales and zero points do not fit."""
        raise NotImplementedError

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        first, second = operand(model, node, 0), operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input 1", first, constant=True)
        reasons += check_activation("input 2", second, constant=True)
        reasons += check_activation("output", result)
        if reasons or first is None or second is None:
            return reasons
        shape = broadcast_shape(first.shape, second.shape)
        shapes = f"{list(first.shape)} and {list(second.shape)}"
        if shape is None:
            return [f"inputs have shapes {shapes}, which do not broadcast"]
        limit = MAX_RANK if first.shape == second.shape else self.MAX_BROADCAST_RANK
        if len(shape) > limit:
            return [f"inputs have shapes {shapes}, at most {limit} dimensions are supported"]
        reasons = check_output(result, shape, self.fused_activation())
        return reasons + self.check_scales(first, second, result)


@dataclass(frozen=True, slots=True)
class AddOptions(BinaryOptions):
    """ADD of two tensors."""

    activation: str

    OPTIONS: ClassVar[str | None] = "AddOptions"
    MAX_BROADCAST_RANK: ClassVar[int] = 6

    @classmethod
    def parse(cls, table: Any) -> AddOptions:
        """Return the options held by a table."""
        return cls(enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()))

    def fused_activation(self) -> str:
        """Return the activation behind it."""
        return self.activation

    def check_scales(self, first: Tensor, second: Tensor, result: Tensor) -> list[str]:
        """Return the reasons why the scales do not fit."""
        scales = (first.affine()[0], second.affine()[0], result.affine()[0])
        output_factor = quantize.add_real_multipliers(*scales)[2]
        # TFLite aborts unless the factor stays below 1 when its mantissa is rounded.
        if output_factor >= 1.0 or quantize.quantize_multiplier(output_factor)[1] > 0:
            return ["output scale is too small beside the inputs' (2**19 times or more)"]
        return []


@dataclass(frozen=True, slots=True)
class SubOptions(AddOptions):
    """SUB: input 1 less input 2, with ADD's arithmetic."""

    OPTIONS: ClassVar[str | None] = "SubOptions"
    MAX_BROADCAST_RANK: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class MulOptions(BinaryOptions):
    """MUL of two tensors."""

    activation: str

    OPTIONS: ClassVar[str | None] = "MulOptions"
    MAX_BROADCAST_RANK: ClassVar[int] = 4

    @classmethod
    def parse(cls, table: Any) -> MulOptions:
        """Return the options held by a MulOptions table."""
        return cls(enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()))

    def fused_activation(self) -> str:
        """Return the activation behind it."""
        return self.activation

    def check_scales(self, first: Tensor, second: Tensor, result: Tensor) -> list[str]:
        """Return the reasons why the scales do not fit."""
        scales = (first.affine()[0], second.affine()[0], result.affine()[0])
        factor = quantize.mul_real_multiplier(*scales)
        most = quantize.MUL_MAX_SHIFT
        if factor >= 2.0**most or quantize.quantize_multiplier(factor)[1] > most:
            return [f"the rescaling factor {factor!r} is not below 2**{most}"]
        return []


@dataclass(frozen=True, slots=True)
class ExtremumOptions(BinaryOptions):
    """MAXIMUM or MINIMUM of two tensors; TFLite compares codes, so all are quantised alike."""

    MAX_BROADCAST_RANK: ClassVar[int] = 5
    MAXIMUM: ClassVar[bool] = True

    def check_scales(self, first: Tensor, second: Tensor, result: Tensor) -> list[str]:
        """Return the reasons why the scales and zero points do not fit."""
        return check_same_quantization(first, result) or check_same_quantization(second, result)


@dataclass(frozen=True, slots=True)
class MinimumOptions(ExtremumOptions):
    """MINIMUM of two tensors."""

    MAXIMUM: ClassVar[bool] = False
