"""Operators that only move or rename elements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_same_quantization

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


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
