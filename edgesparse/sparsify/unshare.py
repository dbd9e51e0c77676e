"""Give a constant bytes of its own in the file, so that it can change alone.

Converters write equal constants once: two tensors then name one buffer.  A further buffer needs a
longer list of buffers.  Every offset of a flatbuffer points forward, so the new list, a new root
table and the new buffers go in front of the old file, which follows unchanged but for the number of
a tensor's buffer.

Source: FlatBuffers internals (offsets, tables, vtables); schema.fbs: Model.buffers, Tensor.buffer.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from edgesparse.errors import ModelError
from edgesparse.model import Model, byte_range, parse_model, with_weights

_ALIGNMENT_BYTES = 64
"""Of the old file in the new one; TFLite asks for 16 in buffers."""
_MODEL_SLOTS = 8
"""Fields of the root table; all but the version are offsets."""
_VERSION_SLOT, _BUFFERS_SLOT = 0, 4
_TENSOR_BUFFER_SLOT = 2


def replace_weights(model: Model, arrays: Mapping[int, NDArray[Any]]) -> Model:
    """Return a copy of the model with other values in some constants, and in no other tensor.

    As model.with_weights, but tensors whose bytes others use too get bytes of their own first; only
    then does the file grow.  Raises ModelError as with_weights does.
    """
    if not arrays:
        return model
    shared = [index for index, array in arrays.items() if _is_shared(model, index, array, arrays)]
    return with_weights(own_bytes(model, shared), arrays)


def _is_shared(
    model: Model, index: int, array: NDArray[Any], arrays: Mapping[int, NDArray[Any]]
) -> bool:
    """Whether some tensor that is to keep or get other values lies in the same bytes."""
    tensor = model.tensors[index]
    if any(
        other.index not in arrays or arrays[other.index].tobytes() != array.tobytes()
        for other in model.sharers(index)
    ):
        return True
    first, last = byte_range(model, tensor)
    initial = [each for graph in model.init_graphs for each in graph.tensors if each.is_constant]
    ranges = [byte_range(model, each) for each in initial]
    return any(start < last and first < stop for start, stop in ranges)


def own_bytes(model: Model, indices: Sequence[int]) -> Model:
    """Return a copy of the model in which these constants have buffers that nobody else names.

    Values, names and indices of tensors stay.  Raises ModelError for a tensor that is no constant,
    or where the file is too odd to be changed so.
    """
    if not indices:
        return model
    source = bytearray(model.source)
    root = tflite.Model.GetRootAs(model.source, 0)
    count = root.BuffersLength()
    contents = []
    for number, index in enumerate(indices, start=count):
        tensor = model.tensors[index]
        if tensor.data is None:
            raise ModelError(f"tensor '{tensor.label}' is not a constant")
        contents.append(np.ascontiguousarray(tensor.data).tobytes())
        table = root.Subgraphs(0).Tensors(index)._tab
        field = table.Offset(4 + 2 * _TENSOR_BUFFER_SLOT)
        if field == 0:
            raise ModelError(f"tensor '{tensor.label}' has its values in buffer 0")
        struct.pack_into("<I", source, table.Pos + field, number)
    try:
        front = _front(root, contents)
    except struct.error as error:  # an offset that nothing has followed yet leads nowhere
        raise ModelError(f"{model.name}: damaged flatbuffer ({error})") from error
    changed = parse_model(front + bytes(source), name=model.name)
    for before, after in zip(model.tensors, changed.tensors, strict=True):
        # Tables of a hostile file may overlap, so that one number is another's too.
        if before.buffer_index != after.buffer_index and before.index not in indices:
            raise ModelError(f"tensor '{before.label}' shares its table with another one")
    return changed


def _front(root: tflite.Model, contents: Sequence[bytes]) -> bytes:
    """Header, root table, list of buffers and new buffers, to stand before the old file."""
    table = root._tab
    slots = [slot for slot in range(_MODEL_SLOTS) if table.Offset(4 + 2 * slot)]
    if any(table.Offset(4 + 2 * slot) for slot in range(_MODEL_SLOTS, 2 * _MODEL_SLOTS)):
        raise ModelError("the file has parts that this version of edgesparse does not know")
    vtable_at = 8
    table_at = vtable_at + 4 + 2 * _MODEL_SLOTS
    table_bytes = 4 + 4 * _MODEL_SLOTS
    list_at = table_at + table_bytes
    places = [root.Buffers(i)._tab.Pos for i in range(root.BuffersLength())]
    buffers_at = list_at + 4 + 4 * (len(places) + len(contents))
    buffers, new_places = _buffers(contents, buffers_at)
    length = _up(buffers_at + len(buffers), _ALIGNMENT_BYTES)

    front = bytearray(length)
    struct.pack_into("<I4sHH", front, 0, table_at, b"TFL3", table_at - vtable_at, table_bytes)
    struct.pack_into("<i", front, table_at, table_at - vtable_at)
    for slot in slots:
        field = 4 + 4 * slot
        at, old = table_at + field, table.Pos + table.Offset(4 + 2 * slot)
        struct.pack_into("<H", front, vtable_at + 4 + 2 * slot, field)
        if slot == _VERSION_SLOT:
            front[at : at + 4] = table.Bytes[old : old + 4]
        else:
            target = list_at if slot == _BUFFERS_SLOT else length + table.Indirect(old)
            struct.pack_into("<I", front, at, target - at)
    everywhere = [length + place for place in places] + new_places
    struct.pack_into("<I", front, list_at, len(everywhere))
    for at, place in enumerate(everywhere, start=1):
        struct.pack_into("<I", front, list_at + 4 * at, place - (list_at + 4 * at))
    front[buffers_at : buffers_at + len(buffers)] = buffers
    return bytes(front)


def _buffers(contents: Sequence[bytes], start: int) -> tuple[bytes, list[int]]:
    """Buffer tables and their bytes, from byte `start` of a file on, and where the tables lie.

    A table has one field, the offset of a vector of bytes; its vtable stands before it.
    """
    out = bytearray()
    places = []
    for content in contents:
        out += bytes(-(start + len(out)) % 4)
        out += struct.pack("<HHHH", 6, 8, 4, 0)
        place = start + len(out)
        data_at = _up(place + 8 + 4, 16)  # the bytes, behind their count
        out += struct.pack("<iI", 8, data_at - 4 - (place + 4))
        out += bytes(data_at - 4 - (start + len(out)))
        out += struct.pack("<I", len(content)) + content
        places.append(place)
    return bytes(out), places


def _up(number: int, step: int) -> int:
    return -(-number // step) * step
