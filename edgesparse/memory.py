"""Encoded model -> memory plan: lifetimes of tensors and scratch, outputs in their input's place.

A kernel of in_place.def may write its output over an input that nobody reads afterwards; both are
then one buffer, which lives from the writer of the one to the last reader of the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgesparse import native
from edgesparse.encode.encoded import Encoded, EncodedNode
from edgesparse.plan import Buffer, Plan, live_bytes, plan

__all__ = ["MemoryPlan", "plan_memory", "tensors_live"]


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Where in the arena things lie.

    tensors: offset by index of a tensor that is no alias.  scratch: offset by node.
    """

    tensors: dict[int, int]
    scratch: tuple[int, ...]
    arena_bytes: int


@dataclass(frozen=True, slots=True)
class _Lifetimes:
    """First and last node by tensor, and the tensor in whose place a tensor lies."""

    first: dict[int, int]
    last: dict[int, int]
    place: dict[int, int]


def _lifetimes(encoded: Encoded) -> _Lifetimes:
    """Inputs live from the start, outputs to the end, the others from writer to last reader.

    Persistent tensors live all the time.
    """
    count = len(encoded.nodes)
    first = {encoded.root(i): -1 for i in encoded.device_inputs()}
    last = dict.fromkeys(first, -1)
    for at, node in enumerate(encoded.nodes):
        for i in (*node.inputs, *node.outputs):
            if encoded.tensor(i).is_constant:
                continue
            first.setdefault(encoded.root(i), at)
            last[encoded.root(i)] = at
    for i in encoded.device_outputs():
        last[encoded.root(i)] = count
    first |= dict.fromkeys(encoded.persistent, -1)
    last |= dict.fromkeys(encoded.persistent, count)
    place = {index: index for index in first}
    for at, node in enumerate(encoded.nodes):
        shared = _shared(encoded, node, at, last)
        if shared is not None:
            place[encoded.root(node.outputs[0])] = place[shared]
    return _Lifetimes(first, last, place)


def _shared(encoded: Encoded, node: EncodedNode, at: int, last: dict[int, int]) -> int | None:
    """The input in whose place a node's only output may lie: one that is read here for good."""
    moves = any(node.choice.params.get(name, 1) != 1 for name in ("stride_h", "stride_w"))
    if node.choice.kernel not in native.table("in_place") or len(node.outputs) != 1 or moves:
        return None
    output = encoded.root(node.outputs[0])
    shape = encoded.tensor(node.outputs[0]).shape
    for index in node.inputs:
        source = encoded.root(index)
        if (
            last.get(source) == at
            and encoded.persistent.keys().isdisjoint((source, output))
            and encoded.tensor(index).shape == shape
        ):
            return source
    return None


def _tensor_buffers(encoded: Encoded, lives: _Lifetimes) -> list[Buffer]:
    buffers: dict[int, Buffer] = {}
    for index, place in lives.place.items():
        first, last = lives.first[index], lives.last[index]
        if place in buffers:
            first, last = min(first, buffers[place].first), max(last, buffers[place].last)
        buffers[place] = Buffer(f"tensor {place}", encoded.tensor(place).elements, first, last)
    return list(buffers.values())


def plan_memory(encoded: Encoded, scratch: Sequence[int]) -> MemoryPlan:
    """Place all tensors, and `scratch` bytes for each node while it runs."""
    lives = _lifetimes(encoded)
    buffers = _tensor_buffers(encoded, lives)
    buffers += [Buffer(f"scratch {i}", size, i, i) for i, size in enumerate(scratch)]
    found: Plan = plan(buffers)
    return MemoryPlan(
        tensors={i: found.offsets[f"tensor {place}"] for i, place in lives.place.items()},
        scratch=tuple(found.offsets[f"scratch {i}"] for i in range(len(scratch))),
        arena_bytes=found.arena_bytes,
    )


def tensors_live(encoded: Encoded) -> list[int]:
    """Bytes of the tensors that live while each node runs, without its scratch."""
    buffers = _tensor_buffers(encoded, _lifetimes(encoded))
    return [live_bytes(buffers, at) for at in range(len(encoded.nodes))]
