"""Operators that bring elements to other places: lists of moves, and the tables of a resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import (
    ConcatenationOptions,
    PadOptions,
    ResizeNearestNeighborOptions,
    SplitOptions,
    StridedSliceOptions,
    TransposeOptions,
)

_LOOPS = 6
_MAX_COUNT = 1 << 24


@dataclass(frozen=True, slots=True)
class _Loop:
    """`count` places, `read_step` elements apart in the input and `write_step` in the output."""

    count: int
    read_step: int
    write_step: int


def _pitches(shape: Sequence[int]) -> list[int]:
    """Elements between neighbours along each dimension."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _joined(loops: Sequence[_Loop]) -> list[_Loop]:
    """The same places in the same order with as few loops as possible."""
    done: list[_Loop] = []
    for loop in (each for each in loops if each.count > 1):
        outer = done[-1] if done else None
        if (
            outer is not None
            and outer.read_step == loop.count * loop.read_step
            and outer.write_step == loop.count * loop.write_step
            and outer.count * loop.count <= _MAX_COUNT
        ):
            done[-1] = _Loop(outer.count * loop.count, loop.read_step, loop.write_step)
        else:
            done.append(loop)
    return done


@dataclass(frozen=True, slots=True)
class _Move:
    """What a row of struct move says: which tensors, the first places, the loops around them."""

    loops: Sequence[_Loop]
    source: int = 0
    result: int = 0
    read_from: int = 0
    write_to: int = 0

    def row(self) -> tuple[bytes, int, int]:
        """The row's bytes, its runs and the bytes it moves."""
        loops = _joined(self.loops)
        run = 1
        if loops and loops[-1].read_step == 1 and loops[-1].write_step == 1:
            run = loops.pop().count
        runs = math.prod(loop.count for loop in loops)
        padded = [_Loop(1, 0, 0)] * (_LOOPS - len(loops)) + loops
        row = native.layout("move").pack(
            input=self.source,
            output=self.result,
            run_bytes=run,
            to=self.write_to,
            counts=tuple(loop.count for loop in padded),
            from_steps=tuple(loop.read_step for loop in padded),
            to_steps=tuple(loop.write_step for loop in padded),
            **{"from": self.read_from},
        )
        return row, runs, runs * run


def _candidate(
    moves: Sequence[_Move], inputs: tuple[int, ...], *, fill: int | None = None, filled: int = 0
) -> list[Candidate]:
    """The one candidate that does all moves, perhaps after `filled` outputs were set to `fill`."""
    rows = [move.row() for move in moves]
    sizes = {
        "moves": len(rows),
        "runs": sum(runs for _, runs, moved in rows if runs != moved),
        "run_bytes": sum(moved for _, runs, moved in rows if runs != moved),
        "single_bytes": sum(moved for _, runs, moved in rows if runs == moved),
        "filled": filled,
    }
    params = {
        "moves_count": len(rows),
        "fill": int(fill is not None),
        "fill_value": fill or 0,
    }
    table = b"".join(row for row, _, _ in rows)
    constants = {"moves_off": table}
    return [Candidate("move_s8", params, inputs=inputs, constants=constants, sizes=sizes)]


def _box(shape: Sequence[int], whole_in: Sequence[int], whole_out: Sequence[int]) -> list[_Loop]:
    """Loops over a box that lies in an input and in an output of these shapes."""
    steps = zip(shape, _pitches(whole_in), _pitches(whole_out), strict=True)
    return [_Loop(*step) for step in steps]


def pad(model: Model, node: Node) -> list[Candidate]:
    """PAD and PADV2: the padding's value everywhere, then the input in its place."""
    options = node.options
    assert isinstance(options, PadOptions)
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    places = zip(options.paddings(model, node), _pitches(result.shape), strict=True)
    first = sum(before * pitch for (before, _), pitch in places)
    move = _Move(_box(source.shape, source.shape, result.shape), write_to=first)
    fill = options.fill_value(model, node)
    return _candidate([move], node.inputs[:1], fill=fill, filled=result.elements)


def concatenation(model: Model, node: Node) -> list[Candidate]:
    """CONCATENATION: one move an input."""
    options = node.options
    assert isinstance(options, ConcatenationOptions)
    whole = model.tensors[node.outputs[0]].shape
    axis = options.axis % len(whole)
    moves, done = [], 0
    for place, index in enumerate(node.inputs):
        shape = model.tensors[index].shape
        first = done * _pitches(whole)[axis]
        moves.append(_Move(_box(shape, shape, whole), source=place, write_to=first))
        done += shape[axis]
    return _candidate(moves, node.inputs)


def split(model: Model, node: Node) -> list[Candidate]:
    """SPLIT and SPLIT_V: one move an output."""
    options = node.options
    assert isinstance(options, SplitOptions)
    source = node.inputs[options.SOURCE]
    whole, axis = model.tensors[source].shape, options.axis(model, node)
    assert axis is not None  # check_supported has seen to it
    moves, done = [], 0
    for place, index in enumerate(node.outputs):
        shape = model.tensors[index].shape
        first = done * _pitches(whole)[axis]
        moves.append(_Move(_box(shape, whole, shape), result=place, read_from=first))
        done += shape[axis]
    return _candidate(moves, (source,))


def strided_slice(model: Model, node: Node) -> list[Candidate]:
    """STRIDED_SLICE: one move with the strides as steps."""
    options = node.options
    assert isinstance(options, StridedSliceOptions)
    parts = options.slices(model, node)
    assert parts is not None  # check_supported has seen to it
    pitches = _pitches(model.tensors[node.inputs[0]].shape)
    taken = [part for part in parts if part.axis is not None]
    writes = _pitches([part.count for part in taken])
    loops, first = [], 0
    for part, pitch, write in zip(taken, pitches, writes, strict=True):
        first += part.start * pitch
        loops.append(_Loop(part.count, part.step * pitch, write))
    return _candidate([_Move(loops, read_from=first)], node.inputs[:1])


def transpose(model: Model, node: Node) -> list[Candidate]:
    """TRANSPOSE: one move in the order of the output."""
    options = node.options
    assert isinstance(options, TransposeOptions)
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    reads = [_pitches(source.shape)[axis] for axis in options.permutation(model, node)]
    steps = zip(result.shape, reads, _pitches(result.shape), strict=True)
    return _candidate([_Move([_Loop(*step) for step in steps])], node.inputs[:1])


def nearest(
    out_size: int, in_size: int, options: ResizeNearestNeighborOptions
) -> NDArray[np.int64]:
    """The input index of each output index, in float32 as the reference computes it."""
    corners = options.align_corners and out_size > 1
    ends = (in_size - 1, out_size - 1) if corners else (in_size, out_size)
    scale = np.float32(ends[0]) / np.float32(ends[1])
    offset = np.float32(0.5 if options.half_pixel_centers else 0.0)
    place = (np.arange(out_size).astype(np.float32) + offset) * scale
    # Halves go up, as they do away from zero: no place is negative.
    index = np.floor(place.astype(np.float64) + 0.5) if options.align_corners else np.floor(place)
    return np.asarray(np.minimum(index.astype(np.int64), in_size - 1), np.int64)


def resize_nearest_neighbor(model: Model, node: Node) -> list[Candidate]:
    """RESIZE_NEAREST_NEIGHBOR: a table of rows and one of columns."""
    options = node.options
    assert isinstance(options, ResizeNearestNeighborOptions)
    batches, in_h, in_w, channels = model.tensors[node.inputs[0]].shape
    _, out_h, out_w, _ = model.tensors[node.outputs[0]].shape
    sizes = {"batches": batches, "in_h": in_h, "in_w": in_w, "channels": channels}
    tables = {
        "rows_off": nearest(out_h, in_h, options).astype("<u2").tobytes(),
        "columns_off": nearest(out_w, in_w, options).astype("<u2").tobytes(),
    }
    params = {**sizes, "out_h": out_h, "out_w": out_w}
    return [Candidate("resize_nearest_neighbor_s8", params, constants=tables)]
