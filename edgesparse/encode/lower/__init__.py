"""One function an operator: a node of the model becomes a node of the image.

LOWER is the table; a further operator is one more function and one more row.  A function returns
the candidates for the node, one a kernel that could run it; encode() takes the cheapest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from edgesparse.encode.lower.candidate import Candidate
from edgesparse.encode.lower.convolution import conv_2d, depthwise_conv_2d, fully_connected
from edgesparse.encode.lower.elementwise import add
from edgesparse.encode.lower.pooling import average_pool_2d
from edgesparse.encode.lower.softmax import softmax
from edgesparse.encode.lower.state import assign_variable, read_variable
from edgesparse.model import Model, Node

__all__ = ["LOWER", "Candidate"]

LOWER: Mapping[str, Callable[[Model, Node], list[Candidate]]] = {
    "CONV_2D": conv_2d,
    "DEPTHWISE_CONV_2D": depthwise_conv_2d,
    "FULLY_CONNECTED": fully_connected,
    "ADD": add,
    "AVERAGE_POOL_2D": average_pool_2d,
    "SOFTMAX": softmax,
    "READ_VARIABLE": read_variable,
    "ASSIGN_VARIABLE": assign_variable,
}
