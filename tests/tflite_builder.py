"""Small int8 .tflite models, built in memory.

::

    b = Builder()
    x = b.input((1, 8, 8, 3), scale=0.5, zero_point=-3)
    w = b.constant(weights, scales=[0.01] * 16, axis=0)            # int8 [16, 3, 3, 3]
    y = b.conv_2d(x, w, b.bias(biases, x, w), scale=0.1, zero_point=4, padding="SAME")
    b.output(y)
    data = b.finish()

Every method that adds a tensor returns its index.  Output shapes are computed as TensorFlow
documents them, not by the code under test; ``recorded_shape`` overrides one to make a wrong model.
Nothing is checked: the point is to be able to write models that a reader has to refuse.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import flatbuffers
import numpy as np
import tflite

from edgesparse.model import parse_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgesparse.model import Model

Shape = Sequence[int]
Pair = tuple[int, int]


@dataclass
class _Tensor:
    shape: tuple[int, ...]
    dtype: str
    name: str
    buffer: int
    scales: list[float]
    zero_points: list[int]
    axis: int


@dataclass
class _Operator:
    name: str
    inputs: list[int]
    outputs: list[int]
    table: str | None
    fields: dict[str, Any] = field(default_factory=dict)


class Builder:
    """Collects tensors and operators; finish writes the flatbuffer."""

    def __init__(self) -> None:
        self.tensors: list[_Tensor] = []
        self.buffers: list[bytes] = [b""]
        self.operators: list[_Operator] = []
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.init: Builder | None = None

    # --- Tensors

    def tensor(
        self,
        shape: Shape,
        scale: float | Sequence[float] | None = None,
        zero_point: int | Sequence[int] = 0,
        *,
        dtype: str = "int8",
        name: str | None = None,
        buffer: int = 0,
        axis: int = 0,
    ) -> int:
        """Add any tensor; a scale of None leaves the quantisation out."""
        scales = [] if scale is None else np.atleast_1d(np.asarray(scale, np.float32)).tolist()
        points = np.atleast_1d(np.asarray(zero_point, np.int64)).tolist()
        if len(points) == 1:
            points *= len(scales)
        index = len(self.tensors)
        label = f"tensor_{index}" if name is None else name
        shape = tuple(int(side) for side in shape)
        self.tensors.append(_Tensor(shape, dtype, label, buffer, scales, points, axis))
        return index

    def input(
        self,
        shape: Shape,
        scale: float | None = 1.0,
        zero_point: int = 0,
        *,
        dtype: str = "int8",
        name: str | None = None,
    ) -> int:
        """Add an input of the model; float32 ones take scale=None."""
        index = self.tensor(shape, scale, zero_point, dtype=dtype, name=name)
        self.inputs.append(index)
        return index

    def constant(
        self,
        values: NDArray[Any],
        scales: float | Sequence[float] | None = None,
        axis: int = 0,
        *,
        zero_points: int | Sequence[int] = 0,
        name: str | None = None,
        share: int | None = None,
    ) -> int:
        """Add a constant; share names a constant whose buffer it is to use too."""
        if share is None:
            little = values.dtype.newbyteorder("<")
            self.buffers.append(np.ascontiguousarray(values, dtype=little).tobytes())
        buffer = len(self.buffers) - 1 if share is None else self.tensors[share].buffer
        return self.tensor(
            values.shape, scales, zero_points,
            dtype=values.dtype.name, name=name, buffer=buffer, axis=axis,
        )  # fmt: skip

    def bias(self, values: NDArray[Any], x: int, weights: int, *, name: str | None = None) -> int:
        """Add an int32 bias with the scales input times weights."""
        scale = np.float32(self.tensors[x].scales[0])
        scales = [float(scale * np.float32(each)) for each in self.tensors[weights].scales]
        return self.constant(np.asarray(values, np.int32), scales, name=name)

    def output(self, *indices: int) -> None:
        """Make tensors outputs of the model."""
        self.outputs.extend(indices)

    # --- Operators

    def op(
        self,
        name: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        table: str | None = None,
        **fields: Any,
    ) -> None:
        """Add any operator, with a table of options (such as "Pool2DOptions") and its fields."""
        self.operators.append(_Operator(name, list(inputs), list(outputs), table, fields))

    def conv_2d(
        self,
        x: int,
        weights: int,
        bias: int | None = None,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        padding: str = "SAME",
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        activation: str = "NONE",
        recorded_shape: Shape | None = None,
    ) -> int:
        """Add a CONV_2D; bias None leaves the operand out, -1 marks it absent."""
        out_c, *kernel, _ = self.tensors[weights].shape
        shape = self._window_shape(x, kernel, stride, dilation, padding, out_c)
        y = self.tensor(recorded_shape or shape, scale, zero_point)
        self.op(
            "CONV_2D", _with_bias(x, weights, bias), [y], "Conv2DOptions",
            **_window_fields(padding, stride, dilation, activation),
        )  # fmt: skip
        return y

    def depthwise_conv_2d(
        self,
        x: int,
        weights: int,
        bias: int | None = None,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        padding: str = "SAME",
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        activation: str = "NONE",
        depth_multiplier: int | None = None,
        recorded_shape: Shape | None = None,
    ) -> int:
        """Add a DEPTHWISE_CONV_2D; the depth multiplier follows from the shapes if not given."""
        _, *kernel, out_c = self.tensors[weights].shape
        shape = self._window_shape(x, kernel, stride, dilation, padding, out_c)
        y = self.tensor(recorded_shape or shape, scale, zero_point)
        multiplier = depth_multiplier or out_c // self.tensors[x].shape[3]
        self.op(
            "DEPTHWISE_CONV_2D", _with_bias(x, weights, bias), [y], "DepthwiseConv2DOptions",
            DepthMultiplier=multiplier, **_window_fields(padding, stride, dilation, activation),
        )  # fmt: skip
        return y

    def fully_connected(
        self,
        x: int,
        weights: int,
        bias: int | None = None,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        activation: str = "NONE",
        keep_num_dims: bool = False,
        recorded_shape: Shape | None = None,
    ) -> int:
        """Add a FULLY_CONNECTED."""
        units, columns = self.tensors[weights].shape
        source = self.tensors[x].shape
        rows = source[:-1] if keep_num_dims else (math.prod(source) // columns,)
        y = self.tensor(recorded_shape or (*rows, units), scale, zero_point)
        self.op(
            "FULLY_CONNECTED", _with_bias(x, weights, bias), [y], "FullyConnectedOptions",
            FusedActivationFunction=_activation(activation), KeepNumDims=keep_num_dims,
        )  # fmt: skip
        return y

    def add(
        self,
        first: int,
        second: int,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        activation: str = "NONE",
    ) -> int:
        """Add an ADD; shapes broadcast."""
        return self.binary(
            "ADD", first, second, scale=scale, zero_point=zero_point, activation=activation
        )

    def binary(
        self,
        name: str,
        first: int,
        second: int,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        activation: str | None = None,
    ) -> int:
        """Add an operator of two operands that broadcast; activation None: it has no such field."""
        shape = np.broadcast_shapes(self.tensors[first].shape, self.tensors[second].shape)
        y = self.tensor(shape, scale, zero_point)
        table = {"MAXIMUM": "MaximumMinimumOptions", "MINIMUM": "MaximumMinimumOptions"}.get(
            name, f"{name.title()}Options"
        )
        fields = {} if activation is None else {"FusedActivationFunction": _activation(activation)}
        self.op(name, [first, second], [y], table, **fields)
        return y

    def unary(
        self, name: str, x: int, *, scale: float, zero_point: int, alpha: float | None = None
    ) -> int:
        """Add an operator of one operand, such as RELU; alpha is for LEAKY_RELU."""
        y = self.tensor(self.tensors[x].shape, scale, zero_point)
        if alpha is None:
            self.op(name, [x], [y])
        else:
            self.op(name, [x], [y], "LeakyReluOptions", Alpha=alpha)
        return y

    def pool_2d(
        self,
        name: str,
        x: int,
        window: Pair,
        *,
        stride: Pair = (1, 1),
        padding: str = "VALID",
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> int:
        """Add an AVERAGE_POOL_2D or MAX_POOL_2D, quantised as its input if nothing is given."""
        shape = self._window_shape(x, window, stride, (1, 1), padding, self.tensors[x].shape[3])
        y = self._like(x, shape, scale, zero_point)
        self.op(
            name, [x], [y], "Pool2DOptions",
            Padding=getattr(tflite.Padding, padding), StrideH=stride[0], StrideW=stride[1],
            FilterHeight=window[0], FilterWidth=window[1],
            FusedActivationFunction=_activation(activation),
        )  # fmt: skip
        return y

    def average_pool_2d(self, x: int, window: Pair, **options: Any) -> int:
        """Add an AVERAGE_POOL_2D with the options of pool_2d."""
        return self.pool_2d("AVERAGE_POOL_2D", x, window, **options)

    def max_pool_2d(self, x: int, window: Pair, **options: Any) -> int:
        """Add a MAX_POOL_2D with the options of pool_2d."""
        return self.pool_2d("MAX_POOL_2D", x, window, **options)

    def reshape(
        self,
        x: int,
        shape: Shape,
        *,
        scale: float | None = None,
        zero_point: int | None = None,
        operand: bool = True,
    ) -> int:
        """Add a RESHAPE to a shape without -1, given as an operand or in the options."""
        y = self._like(x, tuple(shape), scale, zero_point)
        if operand:
            self.op("RESHAPE", [x, self.constant(np.array(shape, np.int32))], [y])
        else:
            self.op("RESHAPE", [x], [y], "ReshapeOptions", NewShape=list(shape))
        return y

    def squeeze(self, x: int, dims: Sequence[int], *, recorded_shape: Shape | None = None) -> int:
        """Add a SQUEEZE of the named dimensions, or without any of all that are 1."""
        source = self.tensors[x].shape
        gone = [axis % len(source) for axis in dims] or [i for i, n in enumerate(source) if n == 1]
        shape = [side for axis, side in enumerate(source) if axis not in gone]
        y = self._like(x, recorded_shape or shape, None, None)
        self.op("SQUEEZE", [x], [y], "SqueezeOptions", SqueezeDims=list(dims))
        return y

    def expand_dims(self, x: int, axis: int) -> int:
        """Add an EXPAND_DIMS."""
        shape = list(self.tensors[x].shape)
        shape.insert(axis if axis >= 0 else len(shape) + 1 + axis, 1)
        y = self._like(x, shape, None, None)
        self.op("EXPAND_DIMS", [x, self.constant(np.array(axis, np.int32))], [y])
        return y

    def pad(
        self,
        x: int,
        paddings: Sequence[Pair],
        *,
        value: int | None = None,
        recorded_shape: Shape | None = None,
    ) -> int:
        """Add a PAD, or with a value (a code) a PADV2."""
        source = self.tensors[x]
        sides = zip(source.shape, paddings, strict=True)
        shape = [side + before + after for side, (before, after) in sides]
        y = self._like(x, recorded_shape or shape, None, None)
        amounts = self.constant(np.array(paddings, np.int32))
        if value is None:
            self.op("PAD", [x, amounts], [y])
        else:
            codes = np.array(value, np.int8)
            constant = self.constant(codes, source.scales, zero_points=source.zero_points)
            self.op("PADV2", [x, amounts, constant], [y])
        return y

    def concatenation(
        self, xs: Sequence[int], axis: int, *, activation: str = "NONE", scale: float | None = None
    ) -> int:
        """Add a CONCATENATION, quantised as its first input."""
        shape = list(self.tensors[xs[0]].shape)
        shape[axis] = sum(self.tensors[x].shape[axis] for x in xs)
        y = self._like(xs[0], shape, scale, None)
        fields = {"Axis": axis, "FusedActivationFunction": _activation(activation)}
        self.op("CONCATENATION", xs, [y], "ConcatenationOptions", **fields)
        return y

    def split(self, x: int, axis: int, parts: int | Sequence[int]) -> list[int]:
        """Add a SPLIT into a number of parts, or a SPLIT_V into parts of these sizes."""
        shape = list(self.tensors[x].shape)
        whole = shape[axis]
        equal = isinstance(parts, int)
        sizes = [whole // parts] * parts if isinstance(parts, int) else list(parts)
        rest = whole - sum(size for size in sizes if size >= 0)
        ys = []
        for size in sizes:
            shape[axis] = rest if size < 0 else size
            ys.append(self._like(x, shape, None, None))
        place = self.constant(np.array(axis, np.int32))
        if equal:
            self.op("SPLIT", [place, x], ys, "SplitOptions", NumSplits=len(sizes))
        else:
            given = self.constant(np.array(sizes, np.int32))
            self.op("SPLIT_V", [x, given, place], ys, "SplitVOptions", NumSplits=len(sizes))
        return ys

    def strided_slice(
        self,
        x: int,
        begin: Sequence[int],
        end: Sequence[int],
        strides: Sequence[int],
        shape: Shape,
        **masks: int,
    ) -> int:
        """Add a STRIDED_SLICE with masks by their names in the schema; shape is the output's."""
        y = self._like(x, shape, None, None)
        given = [self.constant(np.array(each, np.int32)) for each in (begin, end, strides)]
        self.op("STRIDED_SLICE", [x, *given], [y], "StridedSliceOptions", **masks)
        return y

    def transpose(self, x: int, order: Sequence[int]) -> int:
        """Add a TRANSPOSE."""
        y = self._like(x, [self.tensors[x].shape[axis] for axis in order], None, None)
        self.op("TRANSPOSE", [x, self.constant(np.array(order, np.int32))], [y])
        return y

    def resize_nearest_neighbor(
        self, x: int, size: Pair, *, align_corners: bool = False, half_pixel_centers: bool = False
    ) -> int:
        """Add a RESIZE_NEAREST_NEIGHBOR."""
        batches, _, _, channels = self.tensors[x].shape
        y = self._like(x, (batches, *size, channels), None, None)
        fields = {"AlignCorners": align_corners, "HalfPixelCenters": half_pixel_centers}
        inputs = [x, self.constant(np.array(size, np.int32))]
        self.op("RESIZE_NEAREST_NEIGHBOR", inputs, [y], "ResizeNearestNeighborOptions", **fields)
        return y

    def mean(
        self, x: int, axes: Sequence[int], *, keep_dims: bool, scale: float, zero_point: int = 0
    ) -> int:
        """Add a MEAN."""
        source = self.tensors[x].shape
        gone = [axis % len(source) for axis in axes]
        kept = [1 if i in gone else n for i, n in enumerate(source) if keep_dims or i not in gone]
        y = self.tensor(kept, scale, zero_point)
        inputs = [x, self.constant(np.array(axes, np.int32))]
        self.op("MEAN", inputs, [y], "ReducerOptions", KeepDims=keep_dims)
        return y

    def transpose_conv(
        self,
        x: int,
        weights: int,
        bias: int | None,
        size: Pair,
        *,
        scale: float = 1.0,
        zero_point: int = 0,
        padding: str = "SAME",
        stride: Pair = (1, 1),
        activation: str = "NONE",
    ) -> int:
        """Add a TRANSPOSE_CONV with an output of this height and width; bias None leaves it out."""
        shape = (self.tensors[x].shape[0], *size, self.tensors[weights].shape[0])
        y = self.tensor(shape, scale, zero_point)
        inputs = [self.constant(np.array(shape, np.int32)), weights, x]
        self.op(
            "TRANSPOSE_CONV", inputs if bias is None else [*inputs, bias], [y],
            "TransposeConvOptions", Padding=getattr(tflite.Padding, padding), StrideH=stride[0],
            StrideW=stride[1], FusedActivationFunction=_activation(activation),
        )  # fmt: skip
        return y

    def softmax(
        self, x: int, *, beta: float = 1.0, scale: float = 1 / 256, zero_point: int = -128
    ) -> int:
        """Add a SOFTMAX, int8 or float32 as its input."""
        source = self.tensors[x]
        is_float = source.dtype == "float32"
        y = self.tensor(source.shape, None if is_float else scale, zero_point, dtype=source.dtype)
        self.op("SOFTMAX", [x], [y], "SoftmaxOptions", Beta=beta)
        return y

    def log_softmax(self, x: int) -> int:
        """Add a float32 LOG_SOFTMAX."""
        y = self.tensor(self.tensors[x].shape, dtype="float32")
        self.op("LOG_SOFTMAX", [x], [y])
        return y

    def quantize(self, x: int, scale: float, zero_point: int, *, dtype: str = "int8") -> int:
        """Add a QUANTIZE."""
        y = self.tensor(self.tensors[x].shape, scale, zero_point, dtype=dtype)
        self.op("QUANTIZE", [x], [y])
        return y

    def dequantize(self, x: int) -> int:
        """Add a DEQUANTIZE to float32."""
        y = self.tensor(self.tensors[x].shape, dtype="float32")
        self.op("DEQUANTIZE", [x], [y])
        return y

    # --- Variables

    def call_once(self) -> Builder:
        """Add a CALL_ONCE of a second subgraph, and return the builder of that one."""
        self.init = Builder()
        self.init.buffers = self.buffers
        self.op("CALL_ONCE", [], [], "CallOnceOptions", InitSubgraphIndex=1)
        return self.init

    def var_handle(self, variable: str, *, dtype: str = "resource") -> int:
        """Add a VAR_HANDLE."""
        handle = self.tensor((), dtype=dtype, name=variable)
        self.op("VAR_HANDLE", [], [handle], "VarHandleOptions", SharedName=variable)
        return handle

    def read_variable(
        self, handle: int, shape: Shape, scale: float | None = 1.0, zero_point: int = 0
    ) -> int:
        """Add a READ_VARIABLE."""
        y = self.tensor(shape, scale, zero_point)
        self.op("READ_VARIABLE", [handle], [y])
        return y

    def assign_variable(self, handle: int, value: int) -> None:
        """Add an ASSIGN_VARIABLE."""
        self.op("ASSIGN_VARIABLE", [handle, value], [])

    # --- The file

    def absorb(self, other: Builder) -> None:
        """Add another model's graph beside this one: its inputs, operators and outputs.

        Models with variables are not for this.
        """
        first, first_buffer = len(self.tensors), len(self.buffers) - 1
        self.buffers += other.buffers[1:]
        for i, tensor in enumerate(other.tensors):
            buffer = tensor.buffer + first_buffer if tensor.buffer else 0
            self.tensors.append(replace(tensor, buffer=buffer, name=f"tensor_{first + i}"))
        for operator in other.operators:
            inputs = [i if i < 0 else i + first for i in operator.inputs]
            outputs = [i + first for i in operator.outputs]
            self.operators.append(replace(operator, inputs=inputs, outputs=outputs))
        self.inputs += [i + first for i in other.inputs]
        self.outputs += [i + first for i in other.outputs]

    def finish(self) -> bytes:
        """Return the model's bytes."""
        graphs = [self] if self.init is None else [self, self.init]
        names = sorted({operator.name for graph in graphs for operator in graph.operators})
        fb = flatbuffers.Builder(1024)
        buffers = _vector(fb, [_buffer(fb, data) for data in self.buffers])
        root = _table(
            fb, "Model", Version=3, Buffers=buffers,
            Subgraphs=_vector(fb, [_graph(fb, each, names) for each in graphs]),
            OperatorCodes=_vector(fb, [_code(fb, name) for name in names]),
        )  # fmt: skip
        fb.Finish(root, b"TFL3")
        return bytes(fb.Output())

    def _like(self, x: int, shape: Shape, scale: float | None, zero_point: int | None) -> int:
        source = self.tensors[x]
        return self.tensor(
            shape,
            (source.scales or None) if scale is None else scale,
            (source.zero_points or 0) if zero_point is None else zero_point,
            dtype=source.dtype,
        )

    def _window_shape(
        self, x: int, kernel: Shape, stride: Pair, dilation: Pair, padding: str, out_c: int
    ) -> tuple[int, ...]:
        batches, *sides, _ = self.tensors[x].shape
        out = []
        for axis in range(2):
            extent = (kernel[axis] - 1) * dilation[axis] + 1
            places = sides[axis] if padding == "SAME" else sides[axis] - extent + 1
            out.append(math.ceil(places / stride[axis]))
        return batches, *out, out_c


def _with_bias(x: int, weights: int, bias: int | None) -> list[int]:
    return [x, weights] if bias is None else [x, weights, bias]


def _activation(name: str) -> int:
    return int(getattr(tflite.ActivationFunctionType, name))


def _window_fields(padding: str, stride: Pair, dilation: Pair, activation: str) -> dict[str, int]:
    return {
        "Padding": getattr(tflite.Padding, padding),
        "StrideH": stride[0],
        "StrideW": stride[1],
        "DilationHFactor": dilation[0],
        "DilationWFactor": dilation[1],
        "FusedActivationFunction": _activation(activation),
    }


def _table(fb: Any, name: str, **fields: Any) -> int:
    """Write a table with the generated functions <name>Start, <name>Add<field>, <name>End."""
    getattr(tflite, f"{name}Start")(fb)
    for key, value in fields.items():
        getattr(tflite, f"{name}Add{key}")(fb, value)
    return int(getattr(tflite, f"{name}End")(fb))


def _vector(fb: Any, offsets: Sequence[int]) -> int:
    fb.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        fb.PrependUOffsetTRelative(offset)
    return int(fb.EndVector())


def _numbers(fb: Any, dtype: Any, values: Sequence[float]) -> int:
    return int(fb.CreateNumpyVector(np.array(values, dtype=dtype)))


def _buffer(fb: Any, data: bytes) -> int:
    if not data:
        return _table(fb, "Buffer")
    # The schema wants the data aligned to 16 bytes, which CreateByteVector does not do.
    fb.StartVector(1, len(data), 16)
    fb.head -= len(data)
    fb.Bytes[fb.head : fb.head + len(data)] = data
    return _table(fb, "Buffer", Data=fb.EndVector())


def _graph(fb: Any, graph: Builder, names: list[str]) -> int:
    tensors = _vector(fb, [_tensor(fb, tensor) for tensor in graph.tensors])
    operators = _vector(fb, [_operator(fb, each, names) for each in graph.operators])
    return _table(
        fb, "SubGraph", Tensors=tensors, Operators=operators,
        Inputs=_numbers(fb, np.int32, graph.inputs),
        Outputs=_numbers(fb, np.int32, graph.outputs),
    )  # fmt: skip


def _tensor(fb: Any, tensor: _Tensor) -> int:
    fields: dict[str, Any] = {
        "Name": fb.CreateString(tensor.name),
        "Shape": _numbers(fb, np.int32, tensor.shape),
        "Type": getattr(tflite.TensorType, tensor.dtype.upper()),
        "Buffer": tensor.buffer,
    }
    if tensor.scales:
        fields["Quantization"] = _table(
            fb, "QuantizationParameters", Scale=_numbers(fb, np.float32, tensor.scales),
            ZeroPoint=_numbers(fb, np.int64, tensor.zero_points), QuantizedDimension=tensor.axis,
        )  # fmt: skip
    return _table(fb, "Tensor", **fields)


def _operator(fb: Any, operator: _Operator, names: list[str]) -> int:
    fields: dict[str, Any] = {
        "OpcodeIndex": names.index(operator.name),
        "Inputs": _numbers(fb, np.int32, operator.inputs),
        "Outputs": _numbers(fb, np.int32, operator.outputs),
    }
    if operator.table is not None:
        options = {
            key: _numbers(fb, np.int32, value)
            if isinstance(value, list)
            else fb.CreateString(value)
            if isinstance(value, str)
            else value
            for key, value in operator.fields.items()
        }
        fields["BuiltinOptions"] = _table(fb, operator.table, **options)
        fields["BuiltinOptionsType"] = getattr(tflite.BuiltinOptions, operator.table)
    return _table(fb, "Operator", **fields)


def _code(fb: Any, name: str) -> int:
    number = getattr(tflite.BuiltinOperator, name)
    return _table(
        fb, "OperatorCode", DeprecatedBuiltinCode=min(number, 127), BuiltinCode=number, Version=1
    )


def parsed(b: Builder) -> Model:
    """The model that was built."""
    return parse_model(b.finish(), name="m")
