"""SOFTMAX and LOG_SOFTMAX.  Source: activations.cc in tensorflow/lite/kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse import quantize
from edgesparse.errors import ModelError
from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_probability, check_same_shape, check_shape

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


MAX_SOFTMAX_DEPTH = 4095
"""Each of a row's exponentials is at most 2**19 in Q12.19: 4095 of them still fit in int32.

TFLite's result is defined where they sum to less than 512 (2**28), so always for up to 511 values.
"""


@dataclass(frozen=True, slots=True)
class SoftmaxOptions(Op):
    """SOFTMAX over the last axis: int8 on the target, float32 on the host."""

    beta: float

    OPTIONS: ClassVar[str | None] = "SoftmaxOptions"

    @classmethod
    def parse(cls, table: Any) -> SoftmaxOptions:
        """Return the options held by a SoftmaxOptions table."""
        return cls(float(table.Beta()))

    def on_host(self, model: Model, node: Node) -> bool:
        """Tell whether the input is float32."""
        source = operand(model, node, 0)
        return source is not None and source.dtype == "float32"

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        if self.on_host(model, node):
            return check_float_tail(model, node)
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        if reasons or source is None:
            return reasons
        reasons += check_same_shape(source, result)
        if len(source.shape) > 4 or source.shape[-1] > MAX_SOFTMAX_DEPTH:
            limits = f"4 dimensions and {MAX_SOFTMAX_DEPTH} values a row"
            reasons.append(f"input {list(source.shape)} exceeds {limits}")
        reasons += check_probability(result)
        try:
            quantize.softmax_scaling(self.beta, source.affine()[0])
        except ModelError as error:
            reasons.append(error.message)
        return reasons


@dataclass(frozen=True, slots=True)
class LogSoftmaxOptions(Op):
    """LOG_SOFTMAX over the last axis, float32 on the host only."""

    ON_HOST: ClassVar[bool] = True

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        return check_float_tail(model, node)


def check_float_tail(model: Model, node: Node) -> list[str]:
    """Reasons against a float32 operator: it must stand between a DEQUANTIZE and an output."""
    source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
    if source is None or source.dtype != "float32" or result.dtype != "float32":
        kind = "absent" if source is None else source.dtype
        return [f"input is {kind}, only float32 behind a DEQUANTIZE is supported"]
    producer = model.producer(source.index)
    if producer is None or producer.op != "DEQUANTIZE":
        return ["float32 input does not come from a DEQUANTIZE"]
    reasons = check_shape("input", source) + check_same_shape(source, result)
    if result.index not in model.outputs:
        reasons.append("float32 output is not an output of the model")
    return reasons
