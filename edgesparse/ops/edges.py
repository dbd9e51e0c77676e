"""QUANTIZE and DEQUANTIZE: at the edges of a model the host runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edgesparse import lut
from edgesparse.lut import Affine, Table
from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_same_shape, check_scales
from edgesparse.ops.lut import LutOptions, check_lut
from edgesparse.quantize import quantize_multiplier

if TYPE_CHECKING:
    from edgesparse.model import Model, Node, Tensor


INPUT_TYPES = ("uint8", "int16")
"""Integers, besides int8, that a model may take."""
OUTPUT_TYPES = ("uint8", "int16")
"""Integers, besides int8, that a model may give.

int16 by TFLite Micro's QUANTIZE, which runs the same function; the desktop interpreter has none.
"""
_MAX_LIFTED = 2**30


@dataclass(frozen=True, slots=True)
class QuantizeOptions(LutOptions):
    """QUANTIZE of int8 to int8 by a table; from or to other types at the ends, on the host."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.requantize(source, result)

    def on_host(self, model: Model, node: Node) -> bool:
        """Tell whether an end is not int8."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        return source is not None and {source.dtype, result.dtype} != {"int8"}

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        if source is not None and source.dtype == "int8" and result.dtype in OUTPUT_TYPES:
            return _check_to_output(model, source, result)
        if source is not None and source.dtype == "int8":
            return check_lut(self, model, node)
        reasons = check_activation("output", result)
        if source is None:
            return [*reasons, "input is absent"]
        if source.dtype not in ("float32", *INPUT_TYPES):
            types = "float32, int8, uint8 and int16"
            return [*reasons, f"input is {source.dtype}, only {types} can be quantised"]
        if source.index not in model.inputs:
            return [*reasons, f"{source.dtype} input is not an input of the model"]
        reasons += check_same_shape(source, result)
        if source.dtype == "float32":
            return reasons
        return reasons or _check_codes("input", source) or _check_factor(source, result)


def _check_to_output(model: Model, source: Tensor, result: Tensor) -> list[str]:
    """Reasons against a QUANTIZE of int8 to another integer type."""
    reasons = check_activation("input", source) + _check_codes("output", result)
    if result.index not in model.outputs:
        reasons.append(f"{result.dtype} output is not an output of the model")
    return reasons + check_same_shape(source, result) or _check_factor(source, result)


def _check_codes(role: str, tensor: Tensor) -> list[str]:
    """Reasons against the quantisation of an integer tensor at the model's edge."""
    quantization = tensor.quantization
    if quantization is None or len(quantization.scales) != 1 or len(quantization.zero_points) != 1:
        return [f"{role} needs exactly one scale and one zero point"]
    info = np.iinfo(tensor.dtype)
    point = quantization.zero_points[0]
    if not info.min <= point <= info.max:
        return [f"{role} has zero point {point}, outside {tensor.dtype}"]
    return check_scales(role, quantization.scales)


def _check_factor(source: Tensor, result: Tensor) -> list[str]:
    """Reasons against a rescaling: TFLite's int32 must not overflow in it."""
    info = np.iinfo(source.dtype)
    scale, zero_point = source.affine()
    largest = max(zero_point - int(info.min), int(info.max) - zero_point)
    factor = scale / result.affine()[0]
    if factor >= _MAX_LIFTED or largest << max(quantize_multiplier(factor)[1], 0) >= _MAX_LIFTED:
        return ["output scale is too small beside the input's: TFLite's int32 overflows"]
    return []


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
