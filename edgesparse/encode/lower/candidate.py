"""What a node may become: one candidate a kernel that could run it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

NEVER = 0xFFFFFFFF
"""A kernel's `list_zeros` that no count of zeros reaches."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a node: a kernel, its parameters without offsets, its constant data."""

    kernel: str
    params: Mapping[str, int | tuple[int, ...]]
    cost: int
    weights: bytes = b""
    channels: bytes = b""
    inputs: tuple[int, ...] = field(default=())
    """Indices of the activation tensors it reads; empty: the node's first input."""
    constants: Mapping[str, bytes] = field(default_factory=dict)
    """Other constant data, by the parameter that becomes its offset."""
    cost_at: Callable[[float], int] | None = None
    """Of a kernel that skips zero activations, its cost at a share of them; `cost` is that at 0."""
    outputs: tuple[int, ...] = field(default=())
    """Indices of the tensors it writes; empty: the node's outputs."""
