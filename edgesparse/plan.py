"""Memory plan: where each tensor and each scratch buffer lies in the arena.

Best fit over lifetimes: buffers are placed from the largest to the smallest, each into the tightest
gap among the buffers that are alive at the same time; where none fits, above them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

ALIGN_BYTES = 16


@dataclass(frozen=True, slots=True)
class Buffer:
    """`bytes` of memory needed from node `first` to node `last`, both included."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Offset of each buffer by name, and the RAM they need together, in bytes."""

    offsets: Mapping[str, int]
    arena_bytes: int


def _aligned(size_bytes: int) -> int:
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES


def _best_gap(size_bytes: int, taken: Sequence[tuple[int, int]]) -> int:
    """Offset of the tightest gap of `size_bytes` between sorted (start, end) ranges, or behind."""
    best: tuple[int, int] | None = None
    end = 0
    for start, stop in taken:
        gap = start - end
        if gap >= size_bytes and (best is None or gap < best[0]):
            best = (gap, end)
        end = max(end, stop)
    return end if best is None else best[1]


def plan(buffers: Sequence[Buffer]) -> Plan:
    """Place all buffers.  Buffers of 0 bytes lie at 0.  Names are unique."""
    placed: list[tuple[Buffer, int]] = []
    offsets: dict[str, int] = {}
    for buffer in sorted(buffers, key=lambda b: (-b.bytes, b.first, b.name)):
        alive = [
            (offset, offset + _aligned(other.bytes))
            for other, offset in placed
            if other.first <= buffer.last and buffer.first <= other.last
        ]
        offset = _best_gap(_aligned(buffer.bytes), sorted(alive)) if buffer.bytes else 0
        offsets[buffer.name] = offset
        if buffer.bytes:
            placed.append((buffer, offset))
    arena_bytes = max((offset + _aligned(b.bytes) for b, offset in placed), default=0)
    return Plan(offsets, arena_bytes)
