"""One function an operator: a node of the model becomes a node of the image.

LOWER is the table; a further operator is one more function and one more row.  A function returns
the candidates for the node, one a kernel that could run it; encode() takes the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgesparse.encode.lower.candidate import Candidate
from edgesparse.encode.lower.convolution import conv_2d, depthwise_conv_2d, fully_connected
from edgesparse.encode.lower.elementwise import add, extremum, mul
from edgesparse.encode.lower.lut import lut
from edgesparse.encode.lower.movement import (
    concatenation,
    pad,
    resize_nearest_neighbor,
    split,
    strided_slice,
    transpose,
)
from edgesparse.encode.lower.pooling import average_pool_2d, max_pool_2d
from edgesparse.encode.lower.reduction import mean
from edgesparse.encode.lower.softmax import softmax
from edgesparse.encode.lower.state import assign_variable, read_variable
from edgesparse.encode.lower.transposed import transpose_conv
from edgesparse.model import Model, Node

__all__ = ["LOWER", "Candidate"]

LOWER: Mapping[str, Callable[[Model, Node], list[Candidate]]] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "ADD": add,
    "SUB": add,
    "MUL": mul,
    "MAXIMUM": extremum,
    "MINIMUM": extremum,
    "RELU": lut,
    "RELU6": lut,
    "RELU_N1_TO_1": lut,
    "LEAKY_RELU": lut,
    "HARD_SWISH": lut,
    "LOGISTIC": lut,
    "TANH": lut,
    "QUANTIZE": lut,
    "AVERAGE_POOL_2D": average_pool_2d,
    "SOFTMAX": softmax,
    "PAD": pad,
    "PADV2": pad,
    "CONCATENATION": concatenation,
    "SPLIT": split,
    "SPLIT_V": split,
    "STRIDED_SLICE": strided_slice,
    "TRANSPOSE": transpose,
    "RESIZE_NEAREST_NEIGHBOR": resize_nearest_neighbor,
    "MAX_POOL_2D": max_pool_2d,
    "MEAN": mean,
    "TRANSPOSE_CONV": transpose_conv,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
}
