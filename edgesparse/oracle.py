"""The reference: TFLite's own interpreter with its reference kernels.

tflite-runtime 2.14 (numpy < 2) or ai-edge-litert below 1.4 (same interface); both give the same
values with OpResolverType.BUILTIN_REF.  From 1.4 on ai-edge-litert rounds the rescaling of
FULLY_CONNECTED once instead of twice and is refused; tflite-micro is not asked, since it multiplies
the scales of FULLY_CONNECTED in double precision.  So there is none for Python 3.13.  Neither is
needed to make or run an image, so they are imported on first use.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import shlex
import struct
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tflite

from edgesparse.errors import MissingToolError, ModelError, TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgesparse.model import Model

_CANDIDATES = (
    ("tflite-runtime", "tflite_runtime.interpreter"),
    ("ai-edge-litert", "ai_edge_litert.interpreter"),
)
_FIRST_SINGLE_ROUNDING = (1, 4)
_REFERENCE = "reference interpreter"


@dataclass(frozen=True, slots=True)
class _Runtime:
    package: str
    version: str
    module: Any


def oracle_name() -> str:
    """Return the reference's package and version, such as "tflite-runtime 2.14.0".

    Raises MissingToolError where none is installed that can serve, TargetError where there is none
    for this Python.
    """
    runtime = _runtime()
    return f"{runtime.package} {runtime.version}"


def run(
    model: Model, rows: NDArray[Any] | Sequence[NDArray[Any]], *, reset_state: bool = False
) -> list[tuple[NDArray[Any], ...]]:
    """Run a model on every row, in order; variables start at their initial values.

    Every tensor is kept, as in run_layers: else TFLite's ADD may overwrite an operand in place that
    is still to be read, where a RESHAPE lets two tensors share their bytes.

    Args:
        model: any model that TFLite runs.
        rows: the inputs, of shape [rows, ...] and the input's dtype, each row with as many elements
            as the model's input; for several inputs one such array each, in the model's order.
        reset_state: give variables their initial values before each row.

    Returns:
        Per row the model's outputs, in the model's order and shapes.

    Raises UsageError where the rows do not fit the model's inputs, ModelError where the interpreter
    refuses the model, MissingToolError without an interpreter.
    """
    layers = each_with_layers(model, rows, reset_state=reset_state)
    return [tuple(tensors[index] for index in model.outputs) for tensors in layers]


def run_layers(model: Model, row: NDArray[Any] | Sequence[NDArray[Any]]) -> dict[int, NDArray[Any]]:
    """Run a model on one row and return every computed tensor by its index, inputs included.

    Takes one row of what run takes (without the leading axis); raises the same.
    """
    one = [row] if isinstance(row, np.ndarray) else list(row)
    return next(each_with_layers(model, [array[np.newaxis] for array in one]))


def each_with_layers(
    model: Model, rows: NDArray[Any] | Sequence[NDArray[Any]], *, reset_state: bool = False
) -> Iterator[dict[int, NDArray[Any]]]:
    """Run a model on every row, in order, and yield what run_layers returns for each.

    Takes what run takes; raises the same.  Handles of variables have no values and are left out.
    """
    feeds = _feeds(model, rows)
    computed = [
        index
        for node in model.nodes
        for index in node.outputs
        if model.tensors[index].dtype != "resource"
    ]
    source = _with_outputs(_with_sound_axes(model), computed)
    interpreter = _interpreter(source, model.name)
    for row in range(len(feeds[0])):
        if reset_state and row > 0:
            # TFLite's reset_all_variables leaves the variables behind VAR_HANDLE as they are.
            interpreter = _interpreter(source, model.name)
        _invoke(model, interpreter, [feed[row] for feed in feeds])
        seen = (*model.inputs, *computed, *model.outputs)
        yield {index: interpreter.get_tensor(index) for index in seen}


def _runtime() -> _Runtime:
    refused = ""
    for package, module_name in _CANDIDATES:
        try:
            module = importlib.import_module(module_name)
            version = importlib.metadata.version(package)
        except ImportError:
            continue
        numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
        if package == "ai-edge-litert" and numbers >= _FIRST_SINGLE_ROUNDING:
            refused = f" ({package} {version} rounds differently)"
            continue
        return _Runtime(package, version, module)
    wanted = wanted_packages()
    if not wanted:
        hint = "validate needs Python 3.10, 3.11 or 3.12; everything else works without it"
        raise TargetError(f"no {_REFERENCE}{refused} is released for this Python", hint=hint)
    raise MissingToolError(f"the {_REFERENCE}{refused}", f"pip install {shlex.join(wanted)}")


def wanted_packages() -> tuple[str, ...]:
    """What pip has to install for a reference on this Python; empty if none is released for it.

    pyproject.toml asks for the same.
    """
    if sys.version_info < (3, 12):
        return ("tflite-runtime==2.14.0", "numpy<2")
    if sys.version_info < (3, 13):
        return ("ai-edge-litert==1.2.0",)
    return ()


def _feeds(model: Model, rows: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return one array per input, of shape [rows, *input shape]."""
    arrays = [rows] if isinstance(rows, np.ndarray) else list(rows)
    if len(arrays) != len(model.inputs):
        raise UsageError(f"{len(arrays)} inputs given, the model has {len(model.inputs)}")
    feeds = []
    for array, index in zip(arrays, model.inputs, strict=True):
        tensor = model.tensors[index]
        count = len(array) if array.ndim else 0
        if array.dtype != tensor.dtype or array.size != count * tensor.elements:
            raise UsageError(
                f"input '{tensor.label}' takes rows of {tensor.dtype} {list(tensor.shape)},"
                f" given {array.dtype} {list(array.shape)}"
            )
        feeds.append(array.reshape((count, *tensor.shape)))
    if len({len(feed) for feed in feeds}) != 1:
        raise UsageError("the inputs have different numbers of rows")
    return feeds


def _interpreter(source: bytearray, name: str) -> Any:
    module = _runtime().module
    try:
        interpreter = module.Interpreter(
            model_content=bytes(source),
            experimental_op_resolver_type=module.OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{name}: the interpreter refuses it: {error}") from error
    return interpreter


def _invoke(model: Model, interpreter: Any, feeds: list[NDArray[Any]]) -> None:
    for index, feed in zip(model.inputs, feeds, strict=True):
        interpreter.set_tensor(index, feed)
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise ModelError(f"{model.name}: the interpreter fails: {error}") from error


def _with_sound_axes(model: Model) -> bytearray:
    """Return the file with a quantisation axis of 0 on one-dimensional tensors that name another.

    The desktop interpreters refuse such files, TFLite Micro runs them (person_detect has them).
    """
    source = bytearray(model.source)
    graph = tflite.Model.GetRootAs(source, 0).Subgraphs(0)
    for tensor in model.tensors:
        quantization = tensor.quantization
        if len(tensor.shape) != 1 or quantization is None or quantization.axis == 0:
            continue
        table = graph.Tensors(tensor.index).Quantization()._tab
        # Slot 6 of the table's vtable; a field that is not 0 is always stored.
        offset = table.Pos + table.Offset(4 + 2 * 6)
        source[offset : offset + 4] = bytes(4)
    return source


def _with_outputs(source: bytearray, indices: list[int]) -> bytearray:
    """Return the file with these tensors as the subgraph's outputs.

    Keeping all tensors is not enough to read them: ADD writes its result over an input that nobody
    else needs.  An output of the subgraph is needed.  The list goes behind the file and the
    subgraph's offset to its list of outputs is turned there.
    """
    table = tflite.Model.GetRootAs(source, 0).Subgraphs(0)._tab
    field = table.Pos + table.Offset(4 + 2 * 2)
    source = source + bytes(-len(source) % 4)
    struct.pack_into("<I", source, field, len(source) - field)
    return source + struct.pack(f"<{len(indices) + 1}I", len(indices), *indices)
