"""Which ends of int8 mean that a node's output was cut off: flags of the image's nodes.

An output is saturated where its value would lie beyond int8, as far as the output alone can tell:
it equals -128 or 127, the operator scales sums or products to its output's quantisation, and that
end is neither the output's zero point nor where the operator's own activation cuts.
"""

from __future__ import annotations

from edgesparse.model import Model, Node
from edgesparse.ops.convolution import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)
from edgesparse.ops.elementwise import AddOptions, MulOptions
from edgesparse.ops.geometry import clip_codes
from edgesparse.ops.transposed import TransposeConvOptions

__all__ = ["SATURATES_HIGH", "SATURATES_LOW", "saturation_flags"]

SATURATES_LOW = 1
"""Flag of a node: an output of -128 is a saturated one."""
SATURATES_HIGH = 2
"""Flag of a node: an output of 127 is a saturated one."""

_FUSED = (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    TransposeConvOptions,
    AddOptions,  # and SUB
    MulOptions,
)
# Operators that are an activation themselves, or rescale without one.  All others hand values on or
# have results that are bounded: pooling, movement, MAXIMUM, SOFTMAX, LOGISTIC, TANH.
_CUTS = {
    "RELU": "RELU",
    "RELU6": "RELU6",
    "RELU_N1_TO_1": "RELU_N1_TO_1",
    "LEAKY_RELU": "NONE",
    "HARD_SWISH": "NONE",
    "QUANTIZE": "NONE",
    "MEAN": "NONE",
}


def saturation_flags(model: Model, node: Node) -> int:
    """The flags of a node of the device: SATURATES_LOW and SATURATES_HIGH, or 0."""
    if isinstance(node.options, _FUSED):
        activation = node.options.activation
    elif node.op in _CUTS:
        activation = _CUTS[node.op]
    else:
        return 0
    scale, zero_point = model.tensors[node.outputs[0]].affine()
    low, high = clip_codes(activation, scale, zero_point)
    flags = 0
    if zero_point != -128 and (low is None or low < -128):
        flags |= SATURATES_LOW
    if zero_point != 127 and (high is None or high > 127):
        flags |= SATURATES_HIGH
    return flags
