"""Edits of a .tflite's first subgraph, for the reference interpreter: which operators, which edges.

Only lists are rewritten.  A flatbuffer's offsets point forward, so new lists go behind the file,
and the fields that name them are turned there.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import tflite

if TYPE_CHECKING:
    from edgesparse.model import Model

# Fields of table SubGraph.
_INPUTS, _OUTPUTS, _OPERATORS = 1, 2, 3


def with_sound_axes(model: Model) -> bytearray:
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


def with_outputs(source: bytearray, indices: Sequence[int]) -> bytearray:
    """Return the file with these tensors as the subgraph's outputs.

    Keeping all tensors is not enough to read them: ADD writes its result over an input that nobody
    else needs.  An output of the subgraph is needed.
    """
    return _with_list(source, _OUTPUTS, indices)


def excerpt(
    source: bytearray, first: int, count: int, inputs: Sequence[int], outputs: Sequence[int]
) -> bytearray:
    """Return the file with only `count` operators of the subgraph, from `first` on.

    inputs, outputs: tensors that become the subgraph's.
    """
    part = bytearray(source)
    table = _graph(part)
    start = table.Vector(table.Offset(4 + 2 * _OPERATORS))
    for i in range(count):
        old, new = start + 4 * (first + i), start + 4 * i
        (step,) = struct.unpack_from("<I", part, old)
        struct.pack_into("<I", part, new, old + step - new)
    struct.pack_into("<I", part, start - 4, count)
    return with_outputs(_with_list(part, _INPUTS, inputs), outputs)


def _graph(source: bytearray) -> Any:
    """The table of the first subgraph."""
    return tflite.Model.GetRootAs(source, 0).Subgraphs(0)._tab


def _with_list(source: bytearray, slot: int, indices: Sequence[int]) -> bytearray:
    """Return the file with another list of tensors in a field of the subgraph."""
    table = _graph(source)
    field = table.Pos + table.Offset(4 + 2 * slot)
    source = source + bytes(-len(source) % 4)
    struct.pack_into("<I", source, field, len(source) - field)
    return source + struct.pack(f"<{len(indices) + 1}I", len(indices), *indices)
