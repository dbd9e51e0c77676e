"""A .tflite file as frozen dataclasses, and back.

parse_model takes untrusted bytes: whatever they are, it returns a Model or raises ModelError, and
it allocates no more than a small multiple of their number.  Constants are read-only views into
those bytes; nothing is copied.  The schema is that of the PyPI package ``tflite``.

Only the first subgraph is read, and those that its CALL_ONCE operators name.  Other control flow,
if any, sits in operators that check_supported refuses.  Source: tensorflow/lite/schema/schema.fbs
(file identifier TFL3).
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tflite

from edgesparse.errors import ModelError, UnsupportedModelError
from edgesparse.files import read_file, write_file
from edgesparse.ops import OPS, CallOnceOptions, Op, UnknownOptions, VarHandleOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_FILE_BYTES = 256 * 1024 * 1024
"""Largest file that load_model reads: far above any microcontroller's flash."""
MAX_RANK = 8
"""Most dimensions of a tensor; TFLite's kernels stop at 6."""

_DTYPES: dict[int, str] = {
    number: name.lower()
    for name, number in vars(tflite.TensorType).items()
    if not name.startswith("_")
}
_NUMPY_DTYPES = frozenset(("bool", "float16", "float32", "float64")).union(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
)
_OP_NAMES: dict[int, str] = {
    number: name
    for name, number in vars(tflite.BuiltinOperator).items()
    if not name.startswith("_")
}
# What the generated reader raises on bytes that are not a flatbuffer.
_READ_ERRORS = (struct.error, IndexError, TypeError, ValueError, OverflowError)


@dataclass(frozen=True, slots=True)
class Quantization:
    """real = scale · (code - zero point), with one pair per tensor or one per index along axis.

    The scales are float32 values.  The axis is the file's, which can lie outside the tensor where
    there is a single scale or the tensor is a bias.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of the subgraph.

    The data of a constant is a read-only array of the tensor's shape and dtype (of bytes, flat,
    where numpy has no such dtype), a view into Model.source; other tensors have None.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    data: NDArray[Any] | None
    buffer_index: int

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def label(self) -> str:
        """The name, or where the file has none, the index."""
        return self.name or f"#{self.index}"

    @property
    def is_constant(self) -> bool:
        """Whether the file holds its values."""
        return self.data is not None

    def affine(self) -> tuple[float, int]:
        """Return (scale, zero point) of a tensor with a single pair; ModelError otherwise."""
        quantization = self.quantization
        if quantization is None or (
            len(quantization.scales) != 1 or len(quantization.zero_points) != 1
        ):
            raise ModelError(f"tensor '{self.label}' has not exactly one scale and one zero point")
        return quantization.scales[0], quantization.zero_points[0]


@dataclass(frozen=True, slots=True)
class Node:
    """An operator of the subgraph; an input of -1 is absent."""

    index: int
    op: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Op


@dataclass(frozen=True, slots=True, eq=False)
class InitGraph:
    """A subgraph that CALL_ONCE runs, with indices of its own; index: in the file."""

    index: int
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A model; nodes stand in the order in which they run.

    thresholds: by tensor, within how many codes of its zero point a value becomes it when it is
    written; see edgesparse.thresholds.  No .tflite has any.
    """

    name: str
    source: bytes
    tensors: tuple[Tensor, ...]
    nodes: tuple[Node, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    init_graphs: tuple[InitGraph, ...] = ()
    thresholds: Mapping[int, int] = field(default_factory=dict)

    def init_graph(self, index: int) -> InitGraph:
        """Return a subgraph that a CALL_ONCE of this model names."""
        return next(graph for graph in self.init_graphs if graph.index == index)

    def sha256(self) -> str:
        """Return the SHA-256 of the file's bytes, in hexadecimal."""
        return hashlib.sha256(self.source).hexdigest()

    def producer(self, tensor_index: int) -> Node | None:
        """Return the node that computes a tensor, or None for inputs and constants."""
        return next((node for node in self.nodes if tensor_index in node.outputs), None)

    def consumers(self, tensor_index: int) -> tuple[Node, ...]:
        """Return the nodes that read a tensor, in running order."""
        return tuple(node for node in self.nodes if tensor_index in node.inputs)

    def sharers(self, tensor_index: int) -> tuple[Tensor, ...]:
        """Return the other constants whose bytes in the file overlap those of a constant."""
        tensor = self.tensors[tensor_index]
        if tensor.data is None:
            return ()
        first, last = byte_range(self, tensor)
        others = (other for other in self.tensors if other.is_constant and other is not tensor)
        ranges = ((other, *byte_range(self, other)) for other in others)
        return tuple(other for other, start, stop in ranges if start < last and first < stop)


def load_model(path: Path | str) -> Model:
    """Read a .tflite file; its name without suffix becomes the model's.

    Raises UsageError where the file cannot be read, ModelError where it is not a model.
    """
    file = Path(path)
    with contextlib.suppress(OSError):  # what cannot be looked at, read_file reports
        size = file.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ModelError(f"{file} has {size} bytes, more than {MAX_FILE_BYTES}")
    return parse_file(read_file(file), file)


def parse_file(data: bytes, path: Path) -> Model:
    """As parse_model, of the contents of a file, which names the model; errors give its path."""
    return _parsed(data, path.stem, str(path))


def parse_model(data: bytes, *, name: str) -> Model:
    """Read a .tflite model from bytes.  Raises ModelError for any bytes that are not one."""
    return _parsed(data, name, name)


def _parsed(data: bytes, name: str, source: str) -> Model:
    data = bytes(data)
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise ModelError(f"{source}: not a .tflite model (no TFL3 at byte 4)")
    try:
        return _Reader(data, name, source).model()
    except _READ_ERRORS as error:
        raise ModelError(f"{source}: damaged flatbuffer ({error})") from error


def with_weights(model: Model, arrays: Mapping[int, NDArray[Any]]) -> Model:
    """Return a copy of the model with other values in some of its constants.

    Args:
        model: the model, which stays as it is.
        arrays: per tensor index an array of that tensor's shape and dtype.

    The bytes are patched in place, so everything else of the file stays as it was.  Raises
    ModelError where a tensor is no constant, an array does not match it, or another tensor that is
    not among those given has its values in the same bytes; tensors that share bytes may be given
    together if they get the same values.
    """
    source = bytearray(model.source)
    for index, array in arrays.items():
        if not 0 <= index < len(model.tensors):
            raise ModelError(f"there is no tensor {index}, the model has {len(model.tensors)}")
        tensor = model.tensors[index]
        if tensor.data is None:
            raise ModelError(f"tensor '{tensor.label}' is not a constant")
        if array.shape != tensor.data.shape or array.dtype != tensor.data.dtype:
            raise ModelError(
                f"tensor '{tensor.label}' is {tensor.dtype} {list(tensor.data.shape)},"
                f" the new values are {array.dtype} {list(array.shape)}"
            )
        for other in model.sharers(index):
            if other.index not in arrays or not _same_bytes(array, arrays[other.index]):
                raise ModelError(
                    f"tensors '{tensor.label}' and '{other.label}' share their bytes in the file"
                )
        first, last = byte_range(model, tensor)
        _check_not_initial(model, tensor, first, last)
        source[first:last] = np.ascontiguousarray(array).tobytes()
    return parse_model(bytes(source), name=model.name)


def with_scales(model: Model, factors: Mapping[int, NDArray[Any]]) -> Model:
    """Return a copy of the model with the scales of some tensors multiplied by factors.

    Args:
        model: the model, which stays as it is.
        factors: per tensor index one factor for each of its scales.

    The float32 scales are patched in place.  Raises ModelError where a tensor has no scales, shares
    them with another one in the file, or has another number of them.
    """
    source = bytearray(model.source)
    places = _own_scales(model)
    for index, factor in factors.items():
        quantization = model.tensors[index].quantization
        if index not in places or quantization is None:
            raise ModelError(f"tensor '{model.tensors[index].label}' has no scales of its own")
        scales = np.array(quantization.scales, np.float32)
        if factor.shape != scales.shape:
            raise ModelError(
                f"tensor '{model.tensors[index].label}' has {scales.size} scales,"
                f" given are factors {list(factor.shape)}"
            )
        scales *= factor.astype(np.float32)
        place = places[index]
        source[place : place + scales.nbytes] = scales.astype("<f4").tobytes()
    return parse_model(bytes(source), name=model.name)


def has_own_scales(model: Model, index: int) -> bool:
    """Whether a tensor has scales that no other tensor has in the same bytes of the file."""
    return index in _own_scales(model)


def _own_scales(model: Model) -> dict[int, int]:
    """Where in the file the scales of a tensor begin, by its index, if they are its alone."""
    graph = tflite.Model.GetRootAs(model.source, 0).Subgraphs(0)
    places: dict[int, list[int]] = {}
    for tensor in model.tensors:
        if tensor.quantization is not None and tensor.quantization.scales:
            # Vector 2 of table QuantizationParameters, which is field 4 of table Tensor.
            table = graph.Tensors(tensor.index).Quantization()._tab
            places.setdefault(table.Vector(table.Offset(4 + 2 * 2)), []).append(tensor.index)
    return {users[0]: place for place, users in places.items() if len(users) == 1}


def save_model(model: Model, path: Path | str) -> None:
    """Write a model's bytes; the file appears whole or not at all.

    Raises UsageError where it cannot be written.
    """
    write_file(Path(path), model.source)


def _check_not_initial(model: Model, tensor: Tensor, first: int, last: int) -> None:
    """Raise ModelError where a variable's initial value lies in bytes first ... last - 1."""
    for graph in model.init_graphs:
        for other in (each for each in graph.tensors if each.is_constant):
            start, stop = byte_range(model, other)
            if start < last and first < stop:
                raise ModelError(
                    f"tensor '{tensor.label}' and the initial value '{other.label}' share their"
                    " bytes in the file"
                )


def _same_bytes(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.tobytes() == second.tobytes()


def byte_range(model: Model, tensor: Tensor) -> tuple[int, int]:
    """Return where a constant lies in the file, as (first byte, byte behind the last)."""
    assert tensor.data is not None
    whole = np.frombuffer(model.source, dtype=np.uint8)
    first = int(tensor.data.__array_interface__["data"][0] - whole.__array_interface__["data"][0])
    return first, first + tensor.data.nbytes


class _Reader:
    """Walks a flatbuffer of untrusted bytes.

    Tables and vectors may overlap in a hostile file, so that a short one describes endless data.
    Every element read is charged to a budget in proportion to the file's size; honest files, whose
    elements take at least a byte each, stay far below it.
    """

    def __init__(self, data: bytes, name: str, source: str) -> None:
        self.data = data
        self.name = name
        self.source = source
        self.budget = 16 * len(data) + 4096

    def fail(self, problem: str) -> ModelError:
        return ModelError(f"{self.source}: {problem}")

    def charge(self, count: int, what: str) -> int:
        """Return count after taking it off the budget; the length of a vector passes here."""
        if count > len(self.data) or count > self.budget:
            raise self.fail(f"{what} claims {count} elements, more than the file holds")
        self.budget -= count
        return count

    def model(self) -> Model:
        root = tflite.Model.GetRootAs(self.data, 0)
        if root.SubgraphsLength() < 1:
            raise self.fail("no subgraph")
        codes = self.codes(root)
        buffers = self.buffers(root)
        tensors, nodes, inputs, outputs = self.graph(root.Subgraphs(0), codes, buffers)
        if not nodes:
            raise self.fail("no operators")
        if not inputs or not outputs:
            raise self.fail("no inputs or no outputs")
        options = [node.options for node in nodes]
        called = sorted({each.graph for each in options if isinstance(each, CallOnceOptions)})
        wrong = next((each for each in called if not 1 <= each < root.SubgraphsLength()), None)
        if wrong is not None:
            raise self.fail(f"CALL_ONCE names subgraph {wrong} of {root.SubgraphsLength()}")
        init_graphs = tuple(
            InitGraph(index, *self.graph(root.Subgraphs(index), codes, buffers)) for index in called
        )
        return Model(self.name, self.data, tensors, nodes, inputs, outputs, init_graphs)

    def graph(
        self, graph: Any, codes: list[str], buffers: list[NDArray[np.uint8] | None]
    ) -> tuple[tuple[Tensor, ...], tuple[Node, ...], tuple[int, ...], tuple[int, ...]]:
        """Return the tensors, nodes, inputs and outputs of a subgraph."""
        count = self.charge(graph.TensorsLength(), "list of tensors")
        tensors = tuple(self.tensor(graph, index, buffers) for index in range(count))
        node_count = self.charge(graph.OperatorsLength(), "list of operators")
        nodes = tuple(self.node(graph, index, codes, count) for index in range(node_count))
        inputs = self.indices(graph, "Inputs", count, 0, "list of inputs")
        outputs = self.indices(graph, "Outputs", count, 0, "list of outputs")
        return tensors, nodes, inputs, outputs

    def codes(self, root: Any) -> list[str]:
        """Return the operator names that nodes refer to by number."""
        names = []
        for index in range(self.charge(root.OperatorCodesLength(), "list of operator codes")):
            code = root.OperatorCodes(index)
            # Codes below 127 stand in the old one-byte field, later ones in the new field.
            number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            name = _OP_NAMES.get(number, f"BUILTIN_{number}")
            if name == "CUSTOM":
                name = f"CUSTOM:{self.text(code.CustomCode())}"
            names.append(name)
        return names

    def buffers(self, root: Any) -> list[NDArray[np.uint8] | None]:
        """Return each buffer as a read-only view of its bytes, None where it is empty."""
        views: list[NDArray[np.uint8] | None] = []
        for index in range(self.charge(root.BuffersLength(), "list of buffers")):
            buffer = root.Buffers(index)
            if buffer.Offset() > 1 or buffer.Size() > 1:
                raise self.fail(f"buffer {index} lies outside the flatbuffer; files below 2 GiB")
            views.append(buffer.DataAsNumpy() if buffer.DataLength() else None)
        return views

    def text(self, raw: bytes | None) -> str:
        """Return a name; the bytes that are not UTF-8 are escaped, line breaks become blanks."""
        self.charge(len(raw or b""), "name")
        return " ".join((raw or b"").decode("utf-8", "backslashreplace").split())

    def indices(self, table: Any, field: str, count: int, least: int, what: str) -> tuple[int, ...]:
        """Return a vector of tensor indices, each in least ... count - 1."""
        length = self.charge(getattr(table, f"{field}Length")(), what)
        values = getattr(table, f"{field}AsNumpy")().tolist() if length else []
        wrong = next((value for value in values if not least <= value < count), None)
        if wrong is not None:
            raise self.fail(f"{what} holds tensor index {wrong}, there are {count} tensors")
        return tuple(values)

    def tensor(self, graph: Any, index: int, buffers: list[NDArray[np.uint8] | None]) -> Tensor:
        table = graph.Tensors(index)
        name = self.text(table.Name())
        rank = table.ShapeLength()
        if rank > MAX_RANK:
            raise self.fail(f"tensor '{name}' has {rank} dimensions, more than {MAX_RANK}")
        shape = tuple(table.ShapeAsNumpy().tolist()) if rank else ()
        dtype = _DTYPES.get(table.Type(), f"type_{table.Type()}")
        buffer_index = table.Buffer()
        if buffer_index >= len(buffers):
            raise self.fail(f"tensor '{name}' names buffer {buffer_index} of {len(buffers)}")
        if table.Sparsity() is not None:
            reason = "stored in TFLite's sparse format; give the model with dense weights"
            raise UnsupportedModelError([("tensor", name, reason)])
        raw = buffers[buffer_index]
        data = None if raw is None else self.constant(name, raw, shape, dtype)
        quantization = self.quantization(table.Quantization(), name)
        return Tensor(index, name, shape, dtype, quantization, data, buffer_index)

    def constant(
        self, name: str, raw: NDArray[np.uint8], shape: tuple[int, ...], dtype: str
    ) -> NDArray[Any]:
        """Return a buffer as an array; its size must be that of the tensor."""
        if dtype not in _NUMPY_DTYPES:
            return raw
        kind = np.dtype(dtype).newbyteorder("<")
        need = math.prod(shape) * kind.itemsize
        if need != raw.size or min(shape, default=1) < 0:
            raise self.fail(
                f"tensor '{name}', {dtype} {list(shape)}, takes {need} bytes, its buffer has"
                f" {raw.size}"
            )
        return raw.view(kind).reshape(shape)

    def quantization(self, table: Any, name: str) -> Quantization | None:
        """Return scales, zero points and axis; None where there are no scales."""
        if table is None or table.ScaleLength() == 0:
            return None
        count = self.charge(table.ScaleLength(), f"quantisation of tensor '{name}'")
        scales = tuple(float(scale) for scale in table.ScaleAsNumpy()[:count])
        points = self.charge(table.ZeroPointLength(), f"quantisation of tensor '{name}'")
        zero_points = tuple(table.ZeroPointAsNumpy().tolist()) if points else ()
        return Quantization(scales, zero_points, table.QuantizedDimension())

    def node(self, graph: Any, index: int, codes: list[str], tensor_count: int) -> Node:
        table = graph.Operators(index)
        code = table.OpcodeIndex()
        if code >= len(codes):
            raise self.fail(f"operator {index} names operator code {code} of {len(codes)}")
        op = codes[code]
        what = f"operator {index} ({op})"
        inputs = self.indices(table, "Inputs", tensor_count, -1, what)
        outputs = self.indices(table, "Outputs", tensor_count, 0, what)
        return Node(index, op, inputs, outputs, self.options(table, op, what))

    def options(self, table: Any, op: str, what: str) -> Op:
        cls: type[Op] = OPS.get(op, UnknownOptions)
        if cls.OPTIONS is None:
            return cls.parse(None)
        union = table.BuiltinOptions()
        kind = table.BuiltinOptionsType()
        if union is None or kind != getattr(tflite.BuiltinOptions, cls.OPTIONS):
            if cls.OPTIONAL:
                return cls.parse(None)
            raise self.fail(f"{what} has no {cls.OPTIONS}")
        options = getattr(tflite, cls.OPTIONS)()
        options.Init(union.Bytes, union.Pos)
        parsed = cls.parse(options)
        if isinstance(parsed, VarHandleOptions):
            self.charge(parsed.text_bytes, "name of a variable")
        return parsed
