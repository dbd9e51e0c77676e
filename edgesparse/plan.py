"""Memory plan: where each tensor and each scratch buffer lies in the arena.

Best fit over lifetimes: buffers are placed one after another, each into the tightest gap among the
buffers that are alive at the same time; where none fits, above them.  The order decides how good
that is: some are tried, and then the buffer that ends highest is placed earlier, until the result
is what the buffers that live at one time need, or no better one was found for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

ALIGN_BYTES = 16
_TRIES = 12


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


def aligned(size_bytes: int) -> int:
    """A size as the plan reckons with it."""
    return -(-size_bytes // ALIGN_BYTES) * ALIGN_BYTES


def live_bytes(buffers: Sequence[Buffer], at: int) -> int:
    """Bytes of the buffers that are needed at node `at`."""
    return sum(aligned(each.bytes) for each in buffers if each.first <= at <= each.last)


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


def _place(buffers: Sequence[Buffer]) -> Plan:
    """Place buffers in the order given."""
    placed: list[tuple[Buffer, int]] = []
    for buffer in buffers:
        alive = [
            (offset, offset + aligned(other.bytes))
            for other, offset in placed
            if other.first <= buffer.last and buffer.first <= other.last
        ]
        placed.append((buffer, _best_gap(aligned(buffer.bytes), sorted(alive))))
    arena_bytes = max((offset + aligned(b.bytes) for b, offset in placed), default=0)
    return Plan({buffer.name: offset for buffer, offset in placed}, arena_bytes)


_ORDERS: tuple[Callable[[Buffer], tuple[int, int]], ...] = (
    lambda b: (-b.bytes, b.first),
    lambda b: (b.first - b.last, -b.bytes),
    lambda b: (-b.bytes * (b.last - b.first + 1), b.first),
)


def _attempts(buffers: Sequence[Buffer]) -> Iterator[Plan]:
    for key in _ORDERS:
        order = sorted(buffers, key=lambda b: (*key(b), b.name))
        for _ in range(_TRIES):
            attempt = _place(order)
            yield attempt
            ends = {b.name: attempt.offsets[b.name] + aligned(b.bytes) for b in order}
            highest = max(range(len(order)), key=lambda i: ends[order[i].name])
            if highest == 0:
                break
            order.insert(highest // 2, order.pop(highest))


def plan(buffers: Sequence[Buffer]) -> Plan:
    """Place all buffers.  Buffers of 0 bytes lie at 0.  Names are unique."""
    offsets = {buffer.name: 0 for buffer in buffers}
    real = [buffer for buffer in buffers if buffer.bytes]
    if not real:
        return Plan(offsets, 0)
    least = max(live_bytes(real, buffer.first) for buffer in real)
    best: Plan | None = None
    for attempt in _attempts(real):
        if best is None or attempt.arena_bytes < best.arena_bytes:
            best = attempt
        if best.arena_bytes == least:
            break
    assert best is not None
    return Plan(offsets | dict(best.offsets), best.arena_bytes)
