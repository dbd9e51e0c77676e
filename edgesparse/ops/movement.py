"""Operators that bring elements to other places and leave their values alone.

Source: pad.cc, concatenation.cc, split.cc, split_v.cc, strided_slice.cc, transpose.cc and
resize_nearest_neighbor.cc in tensorflow/lite/kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse.ops.base import ACTIVATIONS, Op, enum_name, operand
from edgesparse.ops.checks import (
    MAX_IMAGE_SIDE,
    check_activation,
    check_constant,
    check_equal_quantization,
    check_recorded,
    check_same_quantization,
    integers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgesparse.model import Model, Node, Tensor

MAX_OPERANDS = 1024
"""Most inputs of a CONCATENATION."""
MAX_SLICED_RANK = 5
"""Most dimensions of a STRIDED_SLICE, added ones included."""


def _ends(model: Model, node: Node) -> list[str]:
    """Reasons against the first input and the first output by themselves."""
    source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
    return check_activation("input", source) + check_activation("output", result)


@dataclass(frozen=True, slots=True)
class PadOptions(Op):
    """PAD with zero points by constant amounts."""

    MAX_INPUTS: ClassVar[int] = 2

    def paddings(self, model: Model, node: Node) -> list[tuple[int, int]]:
        """Return (before, after) of each dimension."""
        flat = integers(model.tensors[node.inputs[1]])
        return list(zip(flat[::2], flat[1::2], strict=True))

    def fill_value(self, model: Model, node: Node) -> int:
        """Return the code that the padding has."""
        return model.tensors[node.outputs[0]].affine()[1]

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        amounts = operand(model, node, 1)
        reasons = _ends(model, node)
        if reasons or source is None:
            return reasons
        reasons = check_constant("paddings", amounts, [(len(source.shape), 2)])
        reasons += self._check_value(model, node)
        if reasons:
            return reasons
        paddings = self.paddings(model, node)
        if min(min(pair) for pair in paddings) < 0:
            return [f"paddings {paddings} are not all 0 or more"]
        sides = zip(source.shape, paddings, strict=True)
        shape = tuple(side + before + after for side, (before, after) in sides)
        return check_recorded(result, shape) + check_same_quantization(source, result)

    def _check_value(self, model: Model, node: Node) -> list[str]:
        del model, node
        return []


@dataclass(frozen=True, slots=True)
class PadV2Options(PadOptions):
    """PADV2: PAD with a constant third operand as value."""

    MAX_INPUTS: ClassVar[int] = 3

    def fill_value(self, model: Model, node: Node) -> int:
        """Return the code that the padding has."""
        value = operand(model, node, 2)
        if value is None or value.data is None:
            return PadOptions.fill_value(self, model, node)
        return int(value.data.reshape(-1)[0])

    def _check_value(self, model: Model, node: Node) -> list[str]:
        value = operand(model, node, 2)
        if value is None:
            return ["the padding value is absent"]
        if value.dtype != "int8" or value.data is None or value.elements != 1:
            kind = "constant" if value.data is not None else "computed"
            return [f"padding value is {kind} {value.dtype}, only one constant int8 is supported"]
        if value.quantization is None:
            return ["the padding value has no scale and zero point"]
        return check_equal_quantization(value, model.tensors[node.outputs[0]])


def resolved_axis(axis: int, rank: int) -> int | None:
    """Return an axis counted from the front, or None where it lies outside."""
    place = axis + rank if axis < 0 else axis
    return place if 0 <= place < rank else None


@dataclass(frozen=True, slots=True)
class ConcatenationOptions(Op):
    """CONCATENATION of computed tensors that are all quantised like the output."""

    axis: int
    activation: str

    OPTIONS: ClassVar[str | None] = "ConcatenationOptions"
    MAX_INPUTS: ClassVar[int] = MAX_OPERANDS

    @classmethod
    def parse(cls, table: Any) -> ConcatenationOptions:
        """Return the options held by a ConcatenationOptions table."""
        activation = enum_name(ACTIVATIONS, "activation", table.FusedActivationFunction())
        return cls(table.Axis(), activation)

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        result = model.tensors[node.outputs[0]]
        sources = [operand(model, node, i) for i in range(len(node.inputs))]
        reasons = check_activation("output", result)
        for i, tensor in enumerate(sources):
            reasons += check_activation(f"input {i + 1}", tensor)
        if self.activation != "NONE":
            reasons.append(f"fused activation {self.activation} is not supported")
        given = [tensor for tensor in sources if tensor is not None]
        if reasons or not given:
            return reasons or ["there are no inputs"]
        axis = resolved_axis(self.axis, len(result.shape))
        if axis is None or any(len(t.shape) != len(result.shape) for t in given):
            shapes = [list(tensor.shape) for tensor in given]
            return [f"{shapes} cannot be joined along axis {self.axis}"]
        for tensor in given:
            shape = (*tensor.shape[:axis], result.shape[axis], *tensor.shape[axis + 1 :])
            reasons += check_recorded(result, shape) + check_equal_quantization(tensor, result)
        if sum(tensor.shape[axis] for tensor in given) != result.shape[axis]:
            reasons.append(f"output is recorded as {list(result.shape)}, its inputs differ")
        return reasons


@dataclass(frozen=True, slots=True)
class SplitOptions(Op):
    """SPLIT into equal parts along a constant axis; inputs are the axis and the tensor."""

    OPTIONS: ClassVar[str | None] = "SplitOptions"
    MAX_INPUTS: ClassVar[int] = 2
    OUTPUTS: ClassVar[int | None] = None
    SOURCE: ClassVar[int] = 1
    """Position of the tensor that is split."""
    AXIS: ClassVar[int] = 0
    """Position of the axis."""

    def axis(self, model: Model, node: Node) -> int | None:
        """Return the axis counted from the front, or None where it lies outside."""
        rank = len(model.tensors[node.inputs[self.SOURCE]].shape)
        return resolved_axis(integers(model.tensors[node.inputs[self.AXIS]])[0], rank)

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source = operand(model, node, self.SOURCE)
        results = [model.tensors[index] for index in node.outputs]
        reasons = check_activation("input", source)
        reasons += check_constant("axis", operand(model, node, self.AXIS), [1])
        for result in results:
            reasons += check_activation("output", result)
        if reasons or source is None:
            return reasons
        axis = self.axis(model, node)
        if axis is None:
            return [f"the axis lies outside {list(source.shape)}"]
        sizes = self._sizes(model, node, source.shape[axis])
        if sizes is None or len(sizes) != len(results) or sum(sizes) != source.shape[axis]:
            return [f"{source.shape[axis]} elements do not make {len(results)} such parts"]
        for result, size in zip(results, sizes, strict=True):
            shape = (*source.shape[:axis], size, *source.shape[axis + 1 :])
            reasons += check_recorded(result, shape) + check_same_quantization(source, result)
        return reasons

    def _sizes(self, model: Model, node: Node, whole: int) -> list[int] | None:
        """Return the parts' sizes along the axis, or None where there are none."""
        del model
        parts = len(node.outputs)
        return None if whole % parts else [whole // parts] * parts


@dataclass(frozen=True, slots=True)
class SplitVOptions(SplitOptions):
    """SPLIT_V into parts of constant sizes; inputs are the tensor, the sizes and the axis."""

    OPTIONS: ClassVar[str | None] = "SplitVOptions"
    MAX_INPUTS: ClassVar[int] = 3
    SOURCE: ClassVar[int] = 0
    AXIS: ClassVar[int] = 2

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        reasons = check_constant("sizes", operand(model, node, 1), [(len(node.outputs),)])
        return reasons or SplitOptions.check(self, model, node)

    def _sizes(self, model: Model, node: Node, whole: int) -> list[int] | None:
        sizes = integers(model.tensors[node.inputs[1]])
        if sizes.count(-1) == 1:  # what the others leave
            sizes[sizes.index(-1)] = whole - sum(sizes) - 1
        return sizes if min(sizes) > 0 else None


@dataclass(frozen=True, slots=True)
class AxisSlice:
    """What of one dimension is taken: `count` elements from `start` on, every `step`-th.

    axis: of the input, None for a dimension that is added.  kept: whether the output has it.
    """

    axis: int | None
    start: int
    step: int
    count: int
    kept: bool


@dataclass(frozen=True, slots=True)
class StridedSliceOptions(Op):
    """STRIDED_SLICE with constant begin, end and strides; all masks, any direction."""

    begin_mask: int
    end_mask: int
    ellipsis_mask: int
    new_axis_mask: int
    shrink_axis_mask: int
    offset: bool

    OPTIONS: ClassVar[str | None] = "StridedSliceOptions"
    MAX_INPUTS: ClassVar[int] = 4

    @classmethod
    def parse(cls, table: Any) -> StridedSliceOptions:
        """Return the options held by a StridedSliceOptions table."""
        return cls(
            table.BeginMask(),
            table.EndMask(),
            table.EllipsisMask(),
            table.NewAxisMask(),
            table.ShrinkAxisMask(),
            bool(table.Offset()),
        )

    def slices(self, model: Model, node: Node) -> list[AxisSlice] | None:
        """Return what is taken, in the order of the output's dimensions; None: too many indices."""
        shape = model.tensors[node.inputs[0]].shape
        begin, end, strides = (integers(model.tensors[i]) for i in node.inputs[1:4])
        places = range(len(begin))
        added = sum(1 for i in places if self._is_new(i))
        # An ellipsis stands for the dimensions that no other index takes, at least for one.
        span = max(1, len(shape) + added + 1 - len(begin))
        taken: list[AxisSlice] = []
        axis = 0
        for i in places:
            if self._is_new(i):
                taken.append(AxisSlice(None, 0, 1, 1, True))
                continue
            width = span if self.ellipsis_mask >> i & 1 else 1
            if axis + width > len(shape):
                return None
            if self.ellipsis_mask >> i & 1:
                taken += [AxisSlice(axis + n, 0, 1, shape[axis + n], True) for n in range(width)]
            else:
                taken.append(self._slice(axis, shape[axis], i, (begin[i], end[i], strides[i])))
            axis += width
        taken += [AxisSlice(n, 0, 1, shape[n], True) for n in range(axis, len(shape))]
        return taken

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        given = [operand(model, node, i) for i in (1, 2, 3)]
        reasons = _ends(model, node)
        count = 0 if given[0] is None else given[0].elements
        for role, tensor in zip(("begin", "end", "strides"), given, strict=True):
            reasons += check_constant(role, tensor, [(count,)])
        if reasons or source is None:
            return reasons
        if self.ellipsis_mask.bit_count() > 1:
            return ["more than one ellipsis is not supported"]
        strides = integers(model.tensors[node.inputs[3]])
        if 0 in strides or any(
            s < 0 and self.shrink_axis_mask >> i & 1 for i, s in enumerate(strides)
        ):
            return [f"strides {strides} are not supported"]
        taken = self.slices(model, node)
        if taken is None or len(taken) > MAX_SLICED_RANK:
            return [f"{count} indices and the masks do not fit {list(source.shape)}"]
        if any(part.count < 1 for part in taken):
            return ["the slice is empty"]
        shape = tuple(part.count for part in taken if part.kept)
        return check_recorded(result, shape) + check_same_quantization(source, result)

    def _is_new(self, place: int) -> bool:
        return bool(self.new_axis_mask >> place & 1 and not self.ellipsis_mask >> place & 1)

    def _slice(self, axis: int, size: int, place: int, given: Sequence[int]) -> AxisSlice:
        """Return what the index at `place` takes of a dimension: (begin, end, stride)."""
        begin, end, step = given
        low, high = (0, size) if step > 0 else (-1, size - 1)
        start = min(max(begin + size if begin < 0 else begin, low), high)
        if self.begin_mask >> place & 1:
            start = 0 if step > 0 else size - 1
        if self.shrink_axis_mask >> place & 1:
            return AxisSlice(axis, start, 1, 1 if 0 <= start < size else 0, False)
        stop = end + start if self.offset else end
        stop = min(max(stop + size if stop < 0 else stop, low), high)
        if self.end_mask >> place & 1:
            stop = size if step > 0 else -1
        return AxisSlice(axis, start, step, max(0, -((start - stop) // step)), True)


@dataclass(frozen=True, slots=True)
class TransposeOptions(Op):
    """TRANSPOSE by a constant permutation."""

    MAX_INPUTS: ClassVar[int] = 2

    def permutation(self, model: Model, node: Node) -> list[int]:
        """Return the input dimension of each output dimension."""
        rank = len(model.tensors[node.inputs[0]].shape)
        given = integers(model.tensors[node.inputs[1]])
        return [axis + rank if axis < 0 else axis for axis in given]

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        reasons = _ends(model, node)
        if reasons or source is None:
            return reasons
        reasons = check_constant("permutation", operand(model, node, 1), [(len(source.shape),)])
        if reasons:
            return reasons
        order = self.permutation(model, node)
        if sorted(order) != list(range(len(source.shape))):
            return [f"{order} is no permutation of {len(source.shape)} dimensions"]
        shape = tuple(source.shape[axis] for axis in order)
        return check_recorded(result, shape) + check_same_quantization(source, result)


@dataclass(frozen=True, slots=True)
class ResizeNearestNeighborOptions(Op):
    """RESIZE_NEAREST_NEIGHBOR of [N, H, W, C] to a constant height and width."""

    align_corners: bool
    half_pixel_centers: bool

    OPTIONS: ClassVar[str | None] = "ResizeNearestNeighborOptions"
    MAX_INPUTS: ClassVar[int] = 2

    @classmethod
    def parse(cls, table: Any) -> ResizeNearestNeighborOptions:
        """Return the options held by a ResizeNearestNeighborOptions table."""
        return cls(bool(table.AlignCorners()), bool(table.HalfPixelCenters()))

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
        size = operand(model, node, 1)
        reasons = _ends(model, node) + check_constant("size", size, [(2,)])
        if reasons or source is None or size is None:
            return reasons
        if len(source.shape) != 4:
            return [f"input has shape {list(source.shape)}, 4 dimensions are needed"]
        sides = (*source.shape[1:3], *integers(size))
        if max(sides) > MAX_IMAGE_SIDE:
            return [f"input or output is larger than {MAX_IMAGE_SIDE} in height or width"]
        shape = (source.shape[0], *integers(size), source.shape[3])
        return check_recorded(result, shape) + check_same_quantization(source, result)


def is_padding_of_image(source: Tensor, paddings: Sequence[tuple[int, int]]) -> bool:
    """Whether a padding adds to height and width of [N, H, W, C] only."""
    return len(source.shape) == 4 and paddings[0] == (0, 0) and paddings[3] == (0, 0)
