"""ADD."""

from __future__ import annotations

from edgesparse import quantize
from edgesparse.encode import cost
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import AddOptions, activation_range


def add(model: Model, node: Node) -> list[Candidate]:
    """ADD of two tensors of one shape."""
    options = node.options
    assert isinstance(options, AddOptions)
    (scale1, zero1), (scale2, zero2) = (model.tensors[i].affine() for i in node.inputs)
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    scaling = quantize.add_scaling(scale1, scale2, out_scale)
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    elements = model.tensors[node.outputs[0]].elements
    params = {
        "count": elements,
        "left_shift": scaling.left_shift,
        "in1_zero_point": zero1,
        "in1_multiplier": scaling.input1.multiplier,
        "in1_shift": scaling.input1.shift,
        "in2_zero_point": zero2,
        "in2_multiplier": scaling.input2.multiplier,
        "in2_shift": scaling.input2.shift,
        "out_zero_point": out_zero_point,
        "out_multiplier": scaling.output.multiplier,
        "out_shift": scaling.output.shift,
        "act_min": act_min,
        "act_max": act_max,
    }
    return [Candidate("add_s8", params, cost.add(elements), inputs=node.inputs)]
