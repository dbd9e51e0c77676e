"""Operators of two operands that work element by element."""

from __future__ import annotations

from edgesparse import quantize
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import AddOptions, activation_range
from edgesparse.ops.elementwise import ExtremumOptions, MulOptions, SubOptions


def _broadcast_sizes(model: Model, node: Node) -> dict[str, int]:
    """Elements of the output, and in how many runs they are made: one unless shapes differ."""
    result = model.tensors[node.outputs[0]]
    shapes = {model.tensors[i].shape for i in node.inputs}
    rows = 1 if len(shapes) == 1 or not result.shape else result.elements // result.shape[-1]
    return {"elements": result.elements, "rows": rows}


def add(model: Model, node: Node) -> list[Candidate]:
    """ADD, or SUB as TFLite does it: the second multiplier is negative."""
    options = node.options
    assert isinstance(options, AddOptions)
    (scale1, zero1), (scale2, zero2) = (model.tensors[i].affine() for i in node.inputs)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    scaling = quantize.add_scaling(scale1, scale2, out_scale)
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    elements = model.tensors[node.outputs[0]].elements
    subtract = isinstance(options, SubOptions)
    params = {
        "count": elements,
        "left_shift": scaling.left_shift,
        "in1_zero_point": zero1,
        "in1_multiplier": scaling.input1.multiplier,
        "in1_shift": scaling.input1.shift,
        "in2_zero_point": zero2,
        "in2_multiplier": -scaling.input2.multiplier if subtract else scaling.input2.multiplier,
        "in2_shift": scaling.input2.shift,
        "out_zero_point": out_zero_point,
        "out_multiplier": scaling.output.multiplier,
        "out_shift": scaling.output.shift,
        "act_min": act_min,
        "act_max": act_max,
    }
    if not subtract and all(model.tensors[i].elements == elements for i in node.inputs):
        return [Candidate("add_s8", params, inputs=node.inputs)]
    sizes = _broadcast_sizes(model, node)
    return [Candidate("add_broadcast_s8", params, inputs=node.inputs, sizes=sizes)]


def mul(model: Model, node: Node) -> list[Candidate]:
    """MUL."""
    options = node.options
    assert isinstance(options, MulOptions)
    (scale1, zero1), (scale2, zero2) = (model.tensors[i].affine() for i in node.inputs)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    rescale = quantize.mul_multiplier(scale1, scale2, out_scale)
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    params = {
        "in1_zero_point": zero1,
        "in2_zero_point": zero2,
        "out_zero_point": out_zero_point,
        "out_multiplier": rescale.multiplier,
        "out_shift": rescale.shift,
        "act_min": act_min,
        "act_max": act_max,
    }
    sizes = _broadcast_sizes(model, node)
    return [Candidate("mul_s8", params, inputs=node.inputs, sizes=sizes)]


def extremum(model: Model, node: Node) -> list[Candidate]:
    """MAXIMUM and MINIMUM."""
    options = node.options
    assert isinstance(options, ExtremumOptions)
    params = {"maximum": int(options.MAXIMUM)}
    sizes = _broadcast_sizes(model, node)
    return [Candidate("extremum_s8", params, inputs=node.inputs, sizes=sizes)]
