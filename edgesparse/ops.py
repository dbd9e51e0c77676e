"""One class per operator: its options, what of it is supported, its geometry and its cost.

OPS is the table of operators; a further one is one more class and one more row.  An instance holds
the options of one node; it knows nothing of the tensors, so its methods take the model and the node
as well.  Shapes are NHWC; weights are [O, H, W, I] for CONV_2D, [1, H, W, O] for DEPTHWISE_CONV_2D
and [O, I] for FULLY_CONNECTED.

check_supported is the gate: a model that passes runs bit-exactly; one that does not is refused with
every reason at once.  QUANTIZE, DEQUANTIZE and the float32 SOFTMAX and LOG_SOFTMAX behind it stand
at the edges of a model and run on the host.

Source: tensorflow/lite/kernels/{conv,depthwise_conv,fully_connected,add,pooling,activations}.cc,
padding.h and kernel_util.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import tflite

from edgesparse import quantize
from edgesparse.checks import (
    check_activation,
    check_bias,
    check_bias_scale,
    check_factors,
    check_output,
    check_probability,
    check_same_quantization,
    check_same_shape,
    check_shape,
    check_weights,
    check_window,
)
from edgesparse.errors import ModelError, UnsupportedModelError
from edgesparse.geometry import (
    MatrixGeometry,
    WindowGeometry,
    activation_range,
    window_axis,
    window_geometry,
)

if TYPE_CHECKING:
    from edgesparse.model import Model, Node, Tensor

__all__ = [
    "OPS",
    "AddOptions",
    "AveragePool2DOptions",
    "Conv2DOptions",
    "DepthwiseConv2DOptions",
    "DequantizeOptions",
    "FullyConnectedOptions",
    "LogSoftmaxOptions",
    "MatrixGeometry",
    "Op",
    "QuantizeOptions",
    "ReshapeOptions",
    "SoftmaxOptions",
    "UnknownOptions",
    "WindowGeometry",
    "activation_range",
    "check_supported",
    "macs",
    "on_host",
    "weight_index",
    "window_axis",
    "window_geometry",
]

MAX_SOFTMAX_DEPTH = 4095
"""Each of a row's exponentials is at most 2**19 in Q12.19: 4095 of them still fit in int32.

TFLite's result is defined where they sum to less than 512 (2**28), so always for up to 511 values.
"""

_PADDINGS = {tflite.Padding.SAME: "SAME", tflite.Padding.VALID: "VALID"}
_ACTIVATIONS = {
    getattr(tflite.ActivationFunctionType, name): name
    for name in ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
}


def _operand(model: Model, node: Node, position: int) -> Tensor | None:
    """Return an input tensor, or None where it is left out or marked absent (-1)."""
    if position >= len(node.inputs) or node.inputs[position] < 0:
        return None
    return model.tensors[node.inputs[position]]


def _enum(names: dict[int, str], what: str, number: int) -> str:
    return names.get(number, f"{what} {number}")


@dataclass(frozen=True, slots=True)
class Op:
    """Options of an operator without any, and the defaults of all the others."""

    OPTIONS: ClassVar[str | None] = None
    """Name of the flatbuffer table of options; None where nothing is read from it."""
    OPTIONAL: ClassVar[bool] = False
    """Whether the table may be missing; parse is then given None."""
    MAX_INPUTS: ClassVar[int] = 1
    """More operands than these are refused."""
    HAS_WEIGHTS: ClassVar[bool] = False
    """Whether the second operand is a tensor of weights."""
    ON_HOST: ClassVar[bool] = False
    """Whether the host runs the operator, outside the image."""

    @classmethod
    def parse(cls, table: Any) -> Op:
        """Return the options held by a flatbuffer table of the type named OPTIONS."""
        del table
        return cls()

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        raise NotImplementedError

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        del model, node
        return 0

    def weight_index(self, node: Node) -> int | None:
        """Return the index of the tensor of weights, or None."""
        return node.inputs[1] if self.HAS_WEIGHTS and len(node.inputs) > 1 else None

    def on_host(self, model: Model, node: Node) -> bool:
        """Tell whether the host runs this node."""
        del model, node
        return self.ON_HOST


@dataclass(frozen=True, slots=True)
class UnknownOptions(Op):
    """An operator that is not in OPS."""

    def check(self, model: Model, node: Node) -> list[str]:
        """Return that the operator is not supported."""
        del model, node
        return ["operator is not supported"]


@dataclass(frozen=True, slots=True)
class _WindowOp(Op):
    """What CONV_2D and DEPTHWISE_CONV_2D share."""

    padding: str
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    activation: str

    MAX_INPUTS: ClassVar[int] = 3
    HAS_WEIGHTS: ClassVar[bool] = True
    CHANNEL_AXIS: ClassVar[int] = 0

    def geometry(self, model: Model, node: Node) -> WindowGeometry:
        """Return the layer's sizes; the node must have 4-D input and weights."""
        kernel = model.tensors[node.inputs[1]].shape
        return window_geometry(
            self.padding,
            model.tensors[node.inputs[0]].shape,
            (kernel[1], kernel[2]),
            (self.stride_h, self.stride_w),
            (self.dilation_h, self.dilation_w),
            kernel[self.CHANNEL_AXIS],
        )

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, weights = _operand(model, node, 0), _operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_weights(weights, 4, self.CHANNEL_AXIS)
        if reasons or source is None or weights is None:
            return reasons
        reasons = check_window(
            self.padding,
            source,
            (weights.shape[1], weights.shape[2]),
            (self.stride_h, self.stride_w),
            (self.dilation_h, self.dilation_w),
        )
        if reasons:
            return reasons
        reasons = self._check_depth(source, weights)
        reasons += check_bias(_operand(model, node, 2), weights.shape[self.CHANNEL_AXIS])
        reasons += check_output(result, self.geometry(model, node).out_shape, self.activation)
        return reasons + check_factors(source, weights, result)

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        raise NotImplementedError


def _window_options(table: Any) -> tuple[str, int, int, int, int, str]:
    return (
        _enum(_PADDINGS, "padding", table.Padding()),
        table.StrideH(),
        table.StrideW(),
        table.DilationHFactor(),
        table.DilationWFactor(),
        _enum(_ACTIVATIONS, "activation", table.FusedActivationFunction()),
    )


@dataclass(frozen=True, slots=True)
class Conv2DOptions(_WindowOp):
    """CONV_2D."""

    OPTIONS: ClassVar[str | None] = "Conv2DOptions"

    @classmethod
    def parse(cls, table: Any) -> Conv2DOptions:
        """Return the options held by a Conv2DOptions table."""
        return cls(*_window_options(table))

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        geometry = self.geometry(model, node)
        taps = geometry.kernel_h * geometry.kernel_w * geometry.in_c
        return taps * math.prod(geometry.out_shape)

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        have, need = weights.shape[3], source.shape[3]
        if have == need:
            return []
        if need % have == 0:
            return [f"grouped convolution ({need // have} groups) is not supported"]
        return [f"weights take {have} input channels, the input has {need}"]


@dataclass(frozen=True, slots=True)
class DepthwiseConv2DOptions(_WindowOp):
    """DEPTHWISE_CONV_2D; output channel o reads input channel o // depth_multiplier."""

    depth_multiplier: int

    OPTIONS: ClassVar[str | None] = "DepthwiseConv2DOptions"
    CHANNEL_AXIS: ClassVar[int] = 3

    @classmethod
    def parse(cls, table: Any) -> DepthwiseConv2DOptions:
        """Return the options held by a DepthwiseConv2DOptions table."""
        return cls(*_window_options(table), table.DepthMultiplier())

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        geometry = self.geometry(model, node)
        return math.prod(geometry.out_shape) * geometry.kernel_h * geometry.kernel_w

    def _check_depth(self, source: Tensor, weights: Tensor) -> list[str]:
        if weights.shape[0] != 1:
            return [f"weights have shape {list(weights.shape)}, the first dimension must be 1"]
        have, need = weights.shape[3], source.shape[3] * self.depth_multiplier
        if have == need:
            return []
        times = f"{source.shape[3]} times {self.depth_multiplier}"
        return [f"weights have {have} channels, input and depth multiplier make {times}"]


@dataclass(frozen=True, slots=True)
class FullyConnectedOptions(Op):
    """FULLY_CONNECTED: the input is read as [batches, columns]."""

    activation: str
    keep_num_dims: bool
    weights_format: int

    OPTIONS: ClassVar[str | None] = "FullyConnectedOptions"
    MAX_INPUTS: ClassVar[int] = 3
    HAS_WEIGHTS: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Any) -> FullyConnectedOptions:
        """Return the options held by a FullyConnectedOptions table."""
        return cls(
            _enum(_ACTIVATIONS, "activation", table.FusedActivationFunction()),
            bool(table.KeepNumDims()),
            table.WeightsFormat(),
        )

    def geometry(self, model: Model, node: Node) -> MatrixGeometry:
        """Return the layer's sizes; the node must have 2-D weights."""
        units, columns = model.tensors[node.inputs[1]].shape
        return MatrixGeometry(model.tensors[node.inputs[0]].elements // columns, columns, units)

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference."""
        geometry = self.geometry(model, node)
        return geometry.batches * geometry.columns * geometry.units

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, weights = _operand(model, node, 0), _operand(model, node, 1)
        result = model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_weights(weights, 2, 0)
        if self.weights_format != tflite.FullyConnectedOptionsWeightsFormat.DEFAULT:
            reasons.append(f"weights format {self.weights_format} is not supported")
        if reasons or source is None or weights is None:
            return reasons
        units, columns = weights.shape
        whole = source.shape[-1] == columns or not self.keep_num_dims
        if not whole or source.elements % columns:
            return [f"input {list(source.shape)} does not divide into rows of {columns}"]
        rows = source.shape[:-1] if self.keep_num_dims else (source.elements // columns,)
        bias = _operand(model, node, 2)
        reasons = check_bias(bias, units) + check_output(result, (*rows, units), self.activation)
        if bias is not None:
            reasons += check_bias_scale(bias, source, weights, result)
        return reasons + check_factors(source, weights, result)


@dataclass(frozen=True, slots=True)
class AddOptions(Op):
    """ADD of two tensors of one shape."""

    activation: str

    OPTIONS: ClassVar[str | None] = "AddOptions"
    MAX_INPUTS: ClassVar[int] = 2

    @classmethod
    def parse(cls, table: Any) -> AddOptions:
        """Return the options held by an AddOptions table."""
        return cls(_enum(_ACTIVATIONS, "activation", table.FusedActivationFunction()))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        first, second = _operand(model, node, 0), _operand(model, node, 1)
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


@dataclass(frozen=True, slots=True)
class AveragePool2DOptions(Op):
    """AVERAGE_POOL_2D; the padding is left out of the mean."""

    padding: str
    stride_h: int
    stride_w: int
    filter_h: int
    filter_w: int
    activation: str

    OPTIONS: ClassVar[str | None] = "Pool2DOptions"

    @classmethod
    def parse(cls, table: Any) -> AveragePool2DOptions:
        """Return the options held by a Pool2DOptions table."""
        return cls(
            _enum(_PADDINGS, "padding", table.Padding()),
            table.StrideH(),
            table.StrideW(),
            table.FilterHeight(),
            table.FilterWidth(),
            _enum(_ACTIVATIONS, "activation", table.FusedActivationFunction()),
        )

    def geometry(self, model: Model, node: Node) -> WindowGeometry:
        """Return the layer's sizes; the node must have a 4-D input."""
        shape = model.tensors[node.inputs[0]].shape
        kernel, stride = (self.filter_h, self.filter_w), (self.stride_h, self.stride_w)
        return window_geometry(self.padding, shape, kernel, stride, (1, 1), shape[3])

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        if reasons or source is None:
            return reasons
        kernel, stride = (self.filter_h, self.filter_w), (self.stride_h, self.stride_w)
        reasons = check_window(self.padding, source, kernel, stride, (1, 1))
        if reasons:
            return reasons
        reasons = check_output(result, self.geometry(model, node).out_shape, self.activation)
        return reasons + check_same_quantization(source, result)


@dataclass(frozen=True, slots=True)
class ReshapeOptions(Op):
    """RESHAPE to the constant second operand, or without one to new_shape."""

    new_shape: tuple[int, ...]

    OPTIONS: ClassVar[str | None] = "ReshapeOptions"
    OPTIONAL: ClassVar[bool] = True
    MAX_INPUTS: ClassVar[int] = 2

    @classmethod
    def parse(cls, table: Any) -> ReshapeOptions:
        """Return the options held by a ReshapeOptions table, or none for None."""
        length = 0 if table is None else table.NewShapeLength()
        # Longer ones fit no tensor; the bound keeps a damaged length from making work.
        return cls(tuple(table.NewShape(place) for place in range(min(length, 16))))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        shape = _operand(model, node, 1)
        if shape is not None and shape.data is None:
            reasons.append("the new shape is not constant")
        if reasons or source is None:
            return reasons
        if source.elements != result.elements:
            return [f"{list(source.shape)} cannot become {list(result.shape)}"]
        operand = None if shape is None or shape.data is None else shape.data.reshape(-1).tolist()
        wanted = list(self.new_shape) if operand is None else operand
        if len(wanted) != len(result.shape) or any(
            want not in (-1, have) for want, have in zip(wanted, result.shape, strict=True)
        ):
            reasons.append(f"output is recorded as {list(result.shape)}, not as {wanted}")
        return reasons + check_same_quantization(source, result)


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
        source = _operand(model, node, 0)
        return source is not None and source.dtype == "float32"

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        if self.on_host(model, node):
            return _check_float_tail(model, node)
        source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
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
        return _check_float_tail(model, node)


@dataclass(frozen=True, slots=True)
class QuantizeOptions(Op):
    """QUANTIZE of a float32 model input to int8, on the host."""

    ON_HOST: ClassVar[bool] = True

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("output", result)
        if source is None:
            return [*reasons, "input is absent"]
        if source.dtype != "float32":
            return [*reasons, f"input is {source.dtype}, only float32 can be quantised"]
        if source.index not in model.inputs:
            return [*reasons, "float32 input is not an input of the model"]
        return reasons + check_same_shape(source, result)


@dataclass(frozen=True, slots=True)
class DequantizeOptions(Op):
    """DEQUANTIZE of int8 to float32 towards a model output, on the host."""

    ON_HOST: ClassVar[bool] = True

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source)
        if result.dtype != "float32":
            reasons.append(f"output is {result.dtype}, only float32 is supported")
        return reasons + (check_same_shape(source, result) if source is not None else [])


def _check_float_tail(model: Model, node: Node) -> list[str]:
    """Reasons against a float32 operator: it must stand between a DEQUANTIZE and an output."""
    source, result = _operand(model, node, 0), model.tensors[node.outputs[0]]
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


OPS: dict[str, type[Op]] = {
    "CONV_2D": Conv2DOptions,
    "DEPTHWISE_CONV_2D": DepthwiseConv2DOptions,
    "FULLY_CONNECTED": FullyConnectedOptions,
    "ADD": AddOptions,
    "AVERAGE_POOL_2D": AveragePool2DOptions,
    "RESHAPE": ReshapeOptions,
    "SOFTMAX": SoftmaxOptions,
    "LOG_SOFTMAX": LogSoftmaxOptions,
    "QUANTIZE": QuantizeOptions,
    "DEQUANTIZE": DequantizeOptions,
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
    if offenders:
        raise UnsupportedModelError(offenders)


def _node_name(model: Model, node: Node) -> str:
    named = [index for index in (*node.outputs, *node.inputs) if index >= 0]
    return model.tensors[named[0]].label if named else f"operator {node.index}"


def _check_node(model: Model, node: Node, ready: set[int]) -> list[str]:
    """Reasons against a node; ready holds the tensors that have a value when it runs."""
    if node.op not in OPS:
        return node.options.check(model, node)
    if len(node.outputs) != 1 or len(node.inputs) > node.options.MAX_INPUTS:
        return [f"{len(node.inputs)} inputs and {len(node.outputs)} outputs do not fit it"]
    reasons = [
        f"reads '{model.tensors[index].label}' before anything computes it"
        for index in node.inputs
        if index >= 0 and index not in ready
    ]
    if node.outputs[0] in ready:
        reasons.append("its output already has a value")
    return reasons + node.options.check(model, node)
