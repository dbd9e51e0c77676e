"""The reference: TFLite's own interpreter with its reference kernels.

Where a model has activation thresholds it runs in pieces, each up to an output with a threshold,
which goes into the next one as the device would have written it.

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
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesparse import ops
from edgesparse.errors import MissingToolError, ModelError, TargetError, UsageError
from edgesparse.excerpt import excerpt, with_outputs, with_sound_axes
from edgesparse.thresholds import apply_threshold

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from edgesparse.model import Model, Node

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
    each = _in_pieces if model.thresholds else _as_a_whole
    yield from each(model, feeds, reset_state=reset_state)


def _as_a_whole(
    model: Model, feeds: Sequence[NDArray[Any]], *, reset_state: bool
) -> Iterator[dict[int, NDArray[Any]]]:
    computed = [
        index
        for node in model.nodes
        for index in node.outputs
        if model.tensors[index].dtype != "resource"
    ]
    source = with_outputs(with_sound_axes(model), computed)
    interpreter = _interpreter(source, model.name)
    for row in range(len(feeds[0])):
        if reset_state and row > 0:
            # TFLite's reset_all_variables leaves the variables behind VAR_HANDLE as they are.
            interpreter = _interpreter(source, model.name)
        _invoke(model, interpreter, model.inputs, [feed[row] for feed in feeds])
        seen = (*model.inputs, *computed, *model.outputs)
        yield {index: interpreter.get_tensor(index) for index in seen}


class _Piece:
    """Some neighbouring operators of a model, none of which works on a variable."""

    def __init__(self, model: Model, source: bytearray, nodes: Sequence[Node]) -> None:
        self._model = model
        self._outputs = [index for node in nodes for index in node.outputs]
        read = dict.fromkeys(index for node in nodes for index in node.inputs if index >= 0)
        self._inputs = [
            index
            for index in read
            if index not in self._outputs and not model.tensors[index].is_constant
        ]
        part = excerpt(source, nodes[0].index, len(nodes), self._inputs, self._outputs)
        self._interpreter = _interpreter(part, model.name)

    def run(self, values: dict[int, NDArray[Any]]) -> None:
        """Take what it reads from the values, and put there what it computes."""
        feeds = [values[index] for index in self._inputs]
        _invoke(self._model, self._interpreter, self._inputs, feeds)
        for index in self._outputs:
            found = self._interpreter.get_tensor(index)
            codes = self._model.thresholds.get(index)
            if codes is not None:
                found = apply_threshold(found, self._model.tensors[index].affine()[1], codes)
            values[index] = found


class _State:
    """A READ_VARIABLE or ASSIGN_VARIABLE, done here: pieces do not share variables."""

    def __init__(self, model: Model, node: Node) -> None:
        self._node = node
        self._variable = ops.variable_at(model, node.inputs[0])

    def run(self, values: dict[int, NDArray[Any]]) -> None:
        """Read or assign; the handle's place among the values holds the variable's."""
        handle = self._variable.handle
        if self._node.op == "ASSIGN_VARIABLE":
            values[handle] = values[self._node.inputs[1]]
            return
        if handle not in values:
            assert self._variable.initial is not None  # else it would be refused
            values[handle] = self._variable.initial
        values[self._node.outputs[0]] = values[handle]


def _steps(model: Model) -> list[_Piece | _State]:
    """The model in pieces, each up to an output with a threshold or to a variable."""
    source = with_sound_axes(model)
    steps: list[_Piece | _State] = []
    pending: list[Node] = []

    def finish() -> None:
        if pending:
            steps.append(_Piece(model, source, pending))
            pending.clear()

    for node in model.nodes:
        works_on_state = node.op in ("READ_VARIABLE", "ASSIGN_VARIABLE")
        if works_on_state or node.op in ops.DECLARATIONS:
            finish()
            if works_on_state:
                steps.append(_State(model, node))
            continue
        pending.append(node)
        if not model.thresholds.keys().isdisjoint(node.outputs):
            finish()
    finish()
    return steps


def _in_pieces(
    model: Model, feeds: Sequence[NDArray[Any]], *, reset_state: bool
) -> Iterator[dict[int, NDArray[Any]]]:
    """As _as_a_whole, but outputs with a threshold go on as the device writes them."""
    steps = _steps(model)
    handles = [i for i, tensor in enumerate(model.tensors) if tensor.dtype == "resource"]
    state: dict[int, NDArray[Any]] = {}
    for row in range(len(feeds[0])):
        given = zip(model.inputs, (feed[row] for feed in feeds), strict=True)
        values = dict(given) | ({} if reset_state else state)
        for step in steps:
            step.run(values)
        state = {index: values.pop(index) for index in handles if index in values}
        yield values


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


def _invoke(
    model: Model, interpreter: Any, inputs: Sequence[int], feeds: Sequence[NDArray[Any]]
) -> None:
    for index, feed in zip(inputs, feeds, strict=True):
        interpreter.set_tensor(index, feed)
    try:
        interpreter.invoke()
    except RuntimeError as error:
        raise ModelError(f"{model.name}: the interpreter fails: {error}") from error
