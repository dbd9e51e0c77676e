"""QUANTIZE and DEQUANTIZE: at the edges of a model the host runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from edgesparse import lut
from edgesparse.lut import Affine, Table
from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_same_shape
from edgesparse.ops.lut import LutOptions, check_lut

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class QuantizeOptions(LutOptions):
    """QUANTIZE of a float32 model input to int8, on the host, or of int8 to int8, by a table."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.requantize(source, result)

    def on_host(self, model: Model, node: Node) -> bool:
        """Tell whether the input is float32."""
        source = operand(model, node, 0)
        return source is not None and source.dtype == "float32"

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        if source is not None and source.dtype == "int8":
            return check_lut(self, model, node)
        reasons = check_activation("output", result)
        if source is None:
            return [*reasons, "input is absent"]
        if source.dtype != "float32":
            return [*reasons, f"input is {source.dtype}, only float32 and int8 can be quantised"]
        if source.index not in model.inputs:
            return [*reasons, "float32 input is not an input of the model"]
        return reasons + check_same_shape(source, result)


@dataclass(frozen=True, slots=True)
class DequantizeOptions(Op):
    """DEQUANTIZE of int8 to float32 towards a model output, on the host."""

    ON_HOST: ClassVar[bool] = True

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source)
        if result.dtype != "float32":
            reasons.append(f"output is {result.dtype}, only float32 is supported")
        return reasons + (check_same_shape(source, result) if source is not None else [])
