"""Variables: tensors that keep their values from one run to the next.

VAR_HANDLE gives a variable's handle, a tensor of type resource; READ_VARIABLE and ASSIGN_VARIABLE
move its bytes; CALL_ONCE runs a subgraph before the first inference, which assigns constants to
variables.  The device has a persistent tensor for each variable instead.

Source: tensorflow/lite/kernels/{call_once,var_handle,read_variable,assign_variable}.cc.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from edgesparse.model import InitGraph, Model, Node, Tensor

DECLARATIONS = ("CALL_ONCE", "VAR_HANDLE")
"""Operators that need nothing done when the model runs."""


@dataclass(frozen=True, slots=True)
class CallOnceOptions(Op):
    """CALL_ONCE of a subgraph that assigns constants to variables."""

    graph: int

    OPTIONS: ClassVar[str | None] = "CallOnceOptions"
    MAX_INPUTS: ClassVar[int] = 0
    OUTPUTS: ClassVar[int] = 0

    @classmethod
    def parse(cls, table: Any) -> CallOnceOptions:
        """Return the options held by a CallOnceOptions table."""
        return cls(table.InitSubgraphIndex())

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        before = model.nodes[: node.index]
        reasons = [
            f"runs after operator {other.index} uses a variable"
            for other in before
            if isinstance(other.options, (ReadVariableOptions, AssignVariableOptions))
        ]
        graph = model.init_graph(self.graph)
        if graph.inputs or graph.outputs:
            reasons.append("its subgraph has inputs or outputs")
        return reasons[:1] + [
            reason for step in graph.nodes for reason in _check_initial(graph, step)
        ]


@dataclass(frozen=True, slots=True)
class VarHandleOptions(Op):
    """VAR_HANDLE of the variable with a container and a shared name."""

    variable: tuple[str, str]

    OPTIONS: ClassVar[str | None] = "VarHandleOptions"
    MAX_INPUTS: ClassVar[int] = 0

    @classmethod
    def parse(cls, table: Any) -> VarHandleOptions:
        """Return the options held by a VarHandleOptions table."""
        container, name = (
            (raw or b"").decode("utf-8", "backslashreplace")
            for raw in (table.Container(), table.SharedName())
        )
        return cls((container, name))

    @property
    def text_bytes(self) -> int:
        """Return the length of what was copied out of the file, about in bytes."""
        return sum(map(len, self.variable))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        result = model.tensors[node.outputs[0]]
        if result.dtype != "resource":
            return [f"output is {result.dtype}, only resource is supported"]
        return []


@dataclass(frozen=True, slots=True)
class ReadVariableOptions(Op):
    """READ_VARIABLE of a variable that has a value already."""

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        return _check_use(model, node, model.tensors[node.outputs[0]], "output")


@dataclass(frozen=True, slots=True)
class AssignVariableOptions(Op):
    """ASSIGN_VARIABLE of a computed tensor."""

    MAX_INPUTS: ClassVar[int] = 2
    OUTPUTS: ClassVar[int] = 0

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        return _check_use(model, node, operand(model, node, 1), "value")


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable of a model.

    handle: index of the first tensor that is its handle.  example: a tensor with the shape and the
    quantisation of its values.  initial: its value after reset, None if the model reads none
    before it has assigned one.
    """

    handle: int
    example: Tensor
    initial: NDArray[Any] | None


def variable_at(model: Model, handle: int) -> Variable:
    """Return the variable behind a handle of a supported model."""
    handles = _handles(model)
    name = handles[handle]
    uses = [node for node in model.nodes if _is_use(node) and handles[node.inputs[0]] == name]
    # What is read says how the values are meant; the bytes that are assigned are the same.
    uses.sort(key=lambda node: node.op != "READ_VARIABLE")
    value = uses[0].outputs[0] if uses[0].op == "READ_VARIABLE" else uses[0].inputs[1]
    first = next(index for index, each in handles.items() if each == name)
    initial = _initial_values(model).get(name)
    return Variable(first, model.tensors[value], None if initial is None else initial.data)


def _is_use(node: Node) -> bool:
    return isinstance(node.options, (ReadVariableOptions, AssignVariableOptions))


def _handles(graph: Model | InitGraph) -> dict[int, tuple[str, str]]:
    """The variables' names by the tensors that are their handles, in running order."""
    return {
        index: node.options.variable
        for node in graph.nodes
        if isinstance(node.options, VarHandleOptions)
        for index in node.outputs
    }


def _name_of(handles: dict[int, tuple[str, str]], node: Node) -> tuple[str, str] | None:
    """The name of the variable that a READ_VARIABLE or ASSIGN_VARIABLE works on."""
    return handles.get(node.inputs[0]) if node.inputs else None


def _initial_values(model: Model) -> dict[tuple[str, str], Tensor]:
    """The constants that CALL_ONCE assigns, by the variables' names; the last one counts."""
    values: dict[tuple[str, str], Tensor] = {}
    for node in model.nodes:
        if isinstance(node.options, CallOnceOptions):
            values.update(_assigned(model.init_graph(node.options.graph)))
    return values


def _assigned(graph: InitGraph) -> Iterator[tuple[tuple[str, str], Tensor]]:
    handles = _handles(graph)
    for step in graph.nodes:
        name = _name_of(handles, step)
        if step.op == "ASSIGN_VARIABLE" and name is not None and len(step.inputs) == 2:
            yield name, graph.tensors[step.inputs[1]]


def _check_initial(graph: InitGraph, step: Node) -> list[str]:
    """Reasons against an operator of a subgraph that CALL_ONCE runs."""
    if step.op == "VAR_HANDLE":
        return []
    if step.op != "ASSIGN_VARIABLE":
        return [f"its subgraph runs {step.op}, only ASSIGN_VARIABLE of constants is supported"]
    if len(step.inputs) != 2 or step.outputs or min(step.inputs) < 0:
        return ["an ASSIGN_VARIABLE of its subgraph has not exactly a variable and a value"]
    value = graph.tensors[step.inputs[1]]
    if _name_of(_handles(graph), step) is None:
        return [f"its subgraph assigns '{value.label}' to what is no variable"]
    if value.data is None:
        return [f"its subgraph assigns '{value.label}', which is not constant"]
    if value.dtype != "int8":
        return [f"its subgraph assigns '{value.label}', {value.dtype}, only int8 is supported"]
    return []


def _check_use(model: Model, node: Node, value: Tensor | None, role: str) -> list[str]:
    """Reasons against reading or assigning a variable; the value is what is moved."""
    reasons = check_activation(role, value)
    handles = _handles(model)
    name = _name_of(handles, node)
    if name is None:
        return [*reasons, "what it works on is not the output of a VAR_HANDLE"]
    if reasons or value is None:
        return reasons
    initial = _initial_values(model).get(name)
    earlier = [
        model.tensors[other.inputs[1]]
        for other in model.nodes[: node.index]
        if other.op == "ASSIGN_VARIABLE"
        and len(other.inputs) == 2
        and other.inputs[1] >= 0
        and _name_of(handles, other) == name
    ]
    known = ([] if initial is None else [initial]) + earlier
    if not known:
        return [f"reads '{name[1]}' before it has a value"] if node.op == "READ_VARIABLE" else []
    if known[0].shape != value.shape:
        shapes = f"{list(value.shape)}, '{name[1]}' is {list(known[0].shape)}"
        return [f"{role} is {shapes}; a variable keeps its shape"]
    return []
