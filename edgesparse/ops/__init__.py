"""One class per operator: its options, what of it is supported, its geometry and its cost.

OPS is the table of operators; a further one is one more class and one more row.  An instance holds
the options of one node; it knows nothing of the tensors, so its methods take the model and the node
as well.  Shapes are NHWC; weights are [O, H, W, I] for CONV_2D, [1, H, W, O] for DEPTHWISE_CONV_2D
and [O, I] for FULLY_CONNECTED.

check_supported is the gate: a model that passes runs bit-exactly; one that does not is refused with
every reason at once.  QUANTIZE of float32, DEQUANTIZE and the float32 SOFTMAX and LOG_SOFTMAX
behind it stand at the edges of a model and run on the host.

Source: tensorflow/lite/kernels/{conv,depthwise_conv,fully_connected,pooling,activations}.cc,
{add,sub,mul,maximum_minimum,quantize}.cc, padding.h and kernel_util.cc.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgesparse.errors import UnsupportedModelError
from edgesparse.ops.base import Op, UnknownOptions
from edgesparse.ops.convolution import (
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
)
from edgesparse.ops.edges import DequantizeOptions, QuantizeOptions
from edgesparse.ops.elementwise import (
    AddOptions,
    ExtremumOptions,
    MinimumOptions,
    MulOptions,
    SubOptions,
)
from edgesparse.ops.geometry import (
    MatrixGeometry,
    WindowGeometry,
    activation_range,
    window_axis,
    window_geometry,
)
from edgesparse.ops.lut import (
    HardSwishOptions,
    LeakyReluOptions,
    LogisticOptions,
    Relu6Options,
    ReluN1To1Options,
    ReluOptions,
    TanhOptions,
)
from edgesparse.ops.movement import (
    ConcatenationOptions,
    PadOptions,
    PadV2Options,
    ResizeNearestNeighborOptions,
    SplitOptions,
    SplitVOptions,
    StridedSliceOptions,
    TransposeOptions,
)
from edgesparse.ops.pooling import AveragePool2DOptions, MaxPool2DOptions
from edgesparse.ops.reduction import MeanOptions
from edgesparse.ops.shape import ExpandDimsOptions, ReshapeOptions, SqueezeOptions
from edgesparse.ops.softmax import LogSoftmaxOptions, SoftmaxOptions
from edgesparse.ops.state import (
    DECLARATIONS,
    AssignVariableOptions,
    CallOnceOptions,
    ReadVariableOptions,
    VarHandleOptions,
    Variable,
    variable_at,
)
from edgesparse.ops.transposed import TransposeConvOptions

if TYPE_CHECKING:
    from edgesparse.model import Model, Node

__all__ = [
    "DECLARATIONS",
    "OPS",
    "AddOptions",
    "AssignVariableOptions",
    "AveragePool2DOptions",
    "CallOnceOptions",
    "ConcatenationOptions",
    "Conv2DOptions",
    "DepthwiseConv2DOptions",
    "DequantizeOptions",
    "ExpandDimsOptions",
    "FullyConnectedOptions",
    "LogSoftmaxOptions",
    "MatrixGeometry",
    "MaxPool2DOptions",
    "MeanOptions",
    "Op",
    "PadOptions",
    "PadV2Options",
    "QuantizeOptions",
    "ReadVariableOptions",
    "ReshapeOptions",
    "ResizeNearestNeighborOptions",
    "SoftmaxOptions",
    "SplitOptions",
    "SplitVOptions",
    "SqueezeOptions",
    "StridedSliceOptions",
    "TransposeConvOptions",
    "TransposeOptions",
    "UnknownOptions",
    "VarHandleOptions",
    "Variable",
    "WindowGeometry",
    "activation_range",
    "check_supported",
    "macs",
    "on_host",
    "variable_at",
    "weight_index",
    "window_axis",
    "window_geometry",
]

OPS: dict[str, type[Op]] = {
    "CONV_2D": Conv2DOptions,
    "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions,
    "FULLY_CONNECTED": FullyConnectedOptions,
    "ADD": AddOptions,
    "SUB": SubOptions,
    "MUL": MulOptions,
    "MAXIMUM": ExtremumOptions,
    "MINIMUM": MinimumOptions,
    "RELU": ReluOptions,
    "RELU6": Relu6Options,
    "RELU_N1_TO_1": ReluN1To1Options,
    "LEAKY_RELU": LeakyReluOptions,
    "HARD_SWISH": HardSwishOptions,
    "LOGISTIC": LogisticOptions,
    "TANH": TanhOptions,
    "AVERAGE_POOL_2D": AveragePool2DOptions,
    "RESHAPE": ReshapeOptions,
    "SOFTMAX": SoftmaxOptions,
    "LOG_SOFTMAX": LogSoftmaxOptions,
    "QUANTIZE": QuantizeOptions,
    "DEQUANTIZE": DequantizeOptions,
    "SQUEEZE": SqueezeOptions,
    "EXPAND_DIMS": ExpandDimsOptions,
    "PAD": PadOptions,
    "PADV2": PadV2Options,
    "CONCATENATION": ConcatenationOptions,
    "SPLIT": SplitOptions,
    "SPLIT_V": SplitVOptions,
    "STRIDED_SLICE": StridedSliceOptions,
    "TRANSPOSE": TransposeOptions,
    "RESIZE_NEAREST_NEIGHBOR": ResizeNearestNeighborOptions,
    "MAX_POOL_2D": MaxPool2DOptions,
    "MEAN": MeanOptions,
    "TRANSPOSE_CONV": TransposeConvOptions,
    "CALL_ONCE": CallOnceOptions,
    "VAR_HANDLE": VarHandleOptions,
    "READ_VARIABLE": ReadVariableOptions,
    "ASSIGN_VARIABLE": AssignVariableOptions,
}
"""Every supported operator by its TFLite name."""


def macs(model: Model, node: Node) -> int:
    """Return a node's multiply-accumulates per inference, taps in the padding included."""
    return node.options.macs(model, node)


def weight_index(node: Node) -> int | None:
    """Return the index of a node's tensor of weights, or None where it has none."""
    return node.options.weight_index(node)


def on_host(model: Model, node: Node) -> bool:
    """Tell whether the host runs a node: QUANTIZE, DEQUANTIZE and float32 (LOG_)SOFTMAX."""
    return node.options.on_host(model, node)


def check_supported(model: Model) -> None:
    """Raise UnsupportedModelError, naming every offending part, unless all of a model can run.

    What passes may be relied on further down: one producer before every use, int8 activations with
    one scale and zero point, constant weights, recorded shapes equal to the computed ones.
    """
    offenders: list[tuple[str, str, str]] = []
    given = set(model.inputs) | {tensor.index for tensor in model.tensors if tensor.is_constant}
    ready = set(given)
    for node in model.nodes:
        name = _node_name(model, node)
        offenders += [(node.op, name, reason) for reason in _check_node(model, node, ready)]
        ready.update(node.outputs)
    offenders += [
        ("output", model.tensors[index].label, "no operator computes it")
        for index in model.outputs
        if index in given or index not in ready
    ]
    offenders += [
        ("output", model.tensors[index].label, "a variable's handle has no values")
        for index in model.outputs
        if model.tensors[index].dtype == "resource"
    ]
    if offenders:
        raise UnsupportedModelError(offenders)


def _node_name(model: Model, node: Node) -> str:
    named = [index for index in (*node.outputs, *node.inputs) if index >= 0]
    return model.tensors[named[0]].label if named else f"operator {node.index}"


def _check_node(model: Model, node: Node, ready: set[int]) -> list[str]:
    """Reasons against a node; ready holds the tensors that have a value when it runs."""
    if node.op not in OPS:
        return node.options.check(model, node)
    wanted = node.options.OUTPUTS
    count = len(node.outputs)
    if (count == 0 if wanted is None else count != wanted) or len(
        node.inputs
    ) > node.options.MAX_INPUTS:
        return [f"{len(node.inputs)} inputs and {len(node.outputs)} outputs do not fit it"]
    reasons = [
        f"reads '{model.tensors[index].label}' before anything computes it"
        for index in node.inputs
        if index >= 0 and index not in ready
    ]
    if ready.intersection(node.outputs) or len(set(node.outputs)) < len(node.outputs):
        reasons.append("its output already has a value")
    return reasons + node.options.check(model, node)
