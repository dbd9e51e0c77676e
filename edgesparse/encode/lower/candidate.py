"""What a node may become: one candidate a kernel that could run it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

NEVER = 0xFFFFFFFF
"""A kernel's `list_zeros` that no count of zeros reaches."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to run a node: a kernel, its parameters without offsets, its constant data."""

    kernel: str
    params: Mapping[str, int | tuple[int, ...]]
    weights: bytes = b""
    channels: bytes = b""
    inputs: tuple[int, ...] = field(default=())
    """Indices of the activation tensors it reads; empty: the node's first input."""
    constants: Mapping[str, bytes] = field(default_factory=dict)
    """Other constant data, by the parameter that becomes its offset."""
    outputs: tuple[int, ...] = field(default=())
    """Indices of the tensors it writes; empty: the node's outputs."""
    matrix: NDArray[np.int8] | None = field(default=None, compare=False)
    """What `weights` encodes, int8 [rows, columns]."""
    sizes: Mapping[str, int] = field(default_factory=dict)
    """What its cost depends on beside parameters and weights; see encode.work."""
