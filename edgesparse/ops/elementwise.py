"""Operators that work element by element.  Source: add.cc in tensorflow/lite/kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse import quantize
from edgesparse.ops.base import ACTIVATIONS, Op, enum_name, operand
from edgesparse.ops.checks import check_activation, check_output

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class AddOptions(Op):
    """ADD of two tensors of one shape."""

    activation: str

    OPTIONS: ClassVar[str | None] = "AddOptions"
    MAX_INPUTS: ClassVar[int] = 2

    @classmethod
    def parse(cls, table: Any) -> AddOptions:
        """Return the options held by an AddOptions table."""
        return cls(enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction()))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        first, second = operand(model, node, 0), operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input 1", first) + check_activation("input 2", second)
        reasons += check_activation("output", result)
        if reasons or first is None or second is None:
            return reasons
        if first.shape != second.shape:
            shapes = f"{list(first.shape)} and {list(second.shape)}"
            return [f"inputs have shapes {shapes}; broadcasting is not supported"]
        reasons = check_output(result, first.shape, self.activation)
        scales = (first.affine()[0], second.affine()[0], result.affine()[0])
        output_factor = quantize.add_real_multipliers(*scales)[2]
        # TFLite aborts unless the factor stays below 1 when its mantissa is rounded.
        if output_factor >= 1.0 or quantize.quantize_multiplier(output_factor)[1] > 0:
            reasons.append("output scale is too small beside the inputs' (2**19 times or more)")
        return reasons
