"""Operators that reduce over dimensions.  Source: reduce.cc in tensorflow/lite/kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_constant, check_recorded, integers

if TYPE_CHECKING:
    from edgesparse.model import Model, Node

MAX_REDUCED = 1 << 22
"""Most elements in one mean: sums of them, 255 each at most, are far inside int32."""


@dataclass(frozen=True, slots=True)
class MeanOptions(Op):
    """MEAN over constant dimensions."""

    keep_dims: bool

    OPTIONS: ClassVar[str | None] = "ReducerOptions"
    MAX_INPUTS: ClassVar[int] = 2

    @classmethod
    def parse(cls, table: Any) -> MeanOptions:
        """Return the options held by a ReducerOptions table."""
        return cls(bool(table.KeepDims()))

    def axes(self, model: Model, node: Node) -> set[int]:
        """Return the dimensions that are reduced, counted from the front."""
        rank = len(model.tensors[node.inputs[0]].shape)
        given = integers(model.tensors[node.inputs[1]])
        return {axis + rank if axis < 0 else axis for axis in given}

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        given = operand(model, node, 1)
        reasons = check_activation("input", source) + check_activation("output", result)
        if reasons or source is None:
            return reasons
        rank = len(source.shape)
        count = 0 if given is None else given.elements
        reasons = check_constant("axes", given, [(count,), ()])
        if reasons:
            return reasons
        axes = self.axes(model, node)
        if not axes or min(axes) < 0 or max(axes) >= rank:
            return [f"axes {sorted(axes)} do not fit {list(source.shape)}"]
        shape = tuple(
            1 if axis in axes else side
            for axis, side in enumerate(source.shape)
            if self.keep_dims or axis not in axes
        )
        reasons = check_recorded(result, shape)
        if not reasons and source.elements // result.elements > MAX_REDUCED:
            reasons.append(f"a mean of more than {MAX_REDUCED} elements is not supported")
        if source.affine()[0] / result.affine()[0] >= 2.0**30:
            reasons.append("a rescaling factor is 2**30 or more")
        return reasons
