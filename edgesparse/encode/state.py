"""Which tensors of an image keep the values of a model's variables."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from edgesparse import ops
from edgesparse.model import Model, Node, Tensor

__all__ = ["Persistent", "free_reads", "persistent_tensors"]


@dataclass(frozen=True, slots=True)
class Persistent:
    """A tensor that stays in the arena.

    tensor: as a variable's handle, but with the shape and the quantisation of its values.
    initial: its bytes after reset.
    """

    tensor: Tensor
    initial: bytes


def persistent_tensors(model: Model) -> dict[int, Persistent]:
    """Return the variables that a supported model uses, by the tensor index of their handle."""
    found: dict[int, Persistent] = {}
    for node in model.nodes:
        if node.op not in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
            continue
        variable = ops.variable_at(model, node.inputs[0])
        if variable.handle in found:
            continue
        handle, example = model.tensors[variable.handle], variable.example
        initial = variable.initial
        found[variable.handle] = Persistent(
            tensor=replace(example, index=handle.index, name=handle.name),
            initial=bytes(example.elements) if initial is None else initial.tobytes(),
        )
    return found


def free_reads(
    model: Model, nodes: Sequence[Node], aliases: Mapping[int, int], outputs: Collection[int]
) -> dict[int, int]:
    """Return the results of READ_VARIABLE that may lie where the variable does, and its handle.

    That is so unless the variable is assigned before, or by, the last operator that needs the old
    value.

    Args:
        model: a supported model.
        nodes: those that the device runs, were no reading free.
        aliases: index of a tensor that renames another -> index of that one.
        outputs: tensors that the device gives back.
    """
    free: dict[int, int] = {}
    kept = {aliases.get(index, index) for index in outputs}
    for node in nodes:
        if node.op != "READ_VARIABLE":
            continue
        (value,) = node.outputs
        handle = ops.variable_at(model, node.inputs[0]).handle
        users = [n.index for n in nodes if value in {aliases.get(i, i) for i in n.inputs}]
        last = model.nodes[-1].index if value in kept else max(users, default=node.index)
        if not any(
            other.op == "ASSIGN_VARIABLE"
            and node.index < other.index <= last
            and ops.variable_at(model, other.inputs[0]).handle == handle
            for other in nodes
        ):
            free[value] = handle
    return free
