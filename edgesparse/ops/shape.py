"""Operators that give the same elements another shape, which costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import (
    check_activation,
    check_constant,
    check_recorded,
    check_same_quantization,
    integers,
)

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class ReshapeOptions(Op):
    """RESHAPE to the constant second operand, or without one to new_shape."""

    new_shape: tuple[int, ...]

    OPTIONS: ClassVar[str | None] = "ReshapeOptions"
    OPTIONAL: ClassVar[bool] = True
    MAX_INPUTS: ClassVar[int] = 2
    IS_FREE: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Any) -> ReshapeOptions:
        """Return the options held by a ReshapeOptions table, or none for None."""
        length = 0 if table is None else table.NewShapeLength()
        # Longer ones fit no tensor; the bound keeps a damaged length from making work.
        return cls(tuple(table.NewShape(place) for place in range(min(length, 16))))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        shape = operand(model, node, 1)
        if shape is not None and shape.data is None:
            reasons.append("the new shape is not constant")
        if reasons or source is None:
            return reasons
        if source.elements != result.elements:
            return [f"{list(source.shape)} cannot become {list(result.shape)}"]
        given = None if shape is None or shape.data is None else shape.data.reshape(-1).tolist()
        wanted = list(self.new_shape) if given is None else given
        if len(wanted) != len(result.shape) or any(
            want not in (-1, have) for want, have in zip(wanted, result.shape, strict=True)
        ):
            reasons.append(f"output is recorded as {list(result.shape)}, not as {wanted}")
        return reasons + check_same_quantization(source, result)


@dataclass(frozen=True, slots=True)
class SqueezeOptions(Op):
    """SQUEEZE: takes the named dimensions of 1 away, or all of them where none is named."""

    dims: tuple[int, ...]

    OPTIONS: ClassVar[str | None] = "SqueezeOptions"
    IS_FREE: ClassVar[bool] = True

    @classmethod
    def parse(cls, table: Any) -> SqueezeOptions:
        """Return the options held by a SqueezeOptions table."""
        return cls(tuple(table.SqueezeDims(i) for i in range(min(table.SqueezeDimsLength(), 16))))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = check_activation("input", source) + check_activation("output", result)
        if reasons or source is None:
            return reasons
        rank = len(source.shape)
        named = [axis + rank if axis < 0 else axis for axis in self.dims]
        if any(not 0 <= axis < rank or source.shape[axis] != 1 for axis in named):
            return [f"dimensions {list(self.dims)} of {list(source.shape)} are not all 1"]
        gone = set(named) or {axis for axis in range(rank) if source.shape[axis] == 1}
        shape = tuple(side for axis, side in enumerate(source.shape) if axis not in gone)
        return check_recorded(result, shape) + check_same_quantization(source, result)


@dataclass(frozen=True, slots=True)
class ExpandDimsOptions(Op):
    """EXPAND_DIMS: a dimension of 1 at a constant place."""

    MAX_INPUTS: ClassVar[int] = 2
    IS_FREE: ClassVar[bool] = True

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        place = operand(model, node, 1)
        reasons = check_activation("input", source) + check_activation("output", result)
        reasons += check_constant("axis", place, [1])
        if reasons or source is None or place is None:
            return reasons
        rank = len(source.shape)
        axis = integers(place)[0] + (rank + 1 if integers(place)[0] < 0 else 0)
        if not 0 <= axis <= rank:
            return [f"axis {axis} lies outside {list(source.shape)}"]
        shape = (*source.shape[:axis], 1, *source.shape[axis:])
        return check_recorded(result, shape) + check_same_quantization(source, result)
