"""Amounts by class of position: biases of a CONV_2D that differ from place to place.

Where the constant input channels of a convolution add another sum at the border than inside, output
positions with the same sums are one class, and the device adds the class's amounts to the biases
(SPEC.md, conv_params).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode.narrow.constants import Sums
from edgesparse.model import Model, Node
from edgesparse.ops import Conv2DOptions

MOST_CLASSES = 25
LEAST_POSITIONS = 4
MOST_COLUMNS = 16384
"""What the loader allows: kernels with sparse weights then never make positions one by one."""


@dataclass(frozen=True, slots=True)
class Classes:
    """amounts: int32 [classes, rows], on top of the biases.  positions: uint8 [height * width]."""

    amounts: NDArray[np.int32]
    positions: NDArray[np.uint8]


def may_have_classes(model: Model, node: Node, sums: Sums) -> bool:
    """Whether a node can be given amounts by class at all."""
    if not isinstance(node.options, Conv2DOptions):
        return False
    shape = model.tensors[node.outputs[0]].shape
    columns = math.prod(model.tensors[node.inputs[1]].shape[1:])
    positions = math.prod(shape[1:3])
    fits = positions >= LEAST_POSITIONS and columns <= MOST_COLUMNS
    return shape[0] == 1 and fits and len(sums.amount) <= MOST_CLASSES


def pays(sums: Sums, channels: int) -> bool:
    """Whether so many channels are worth the classes that they need."""
    return channels >= len(sums.amount)


def split(kinds: NDArray[np.int64], amount: NDArray[np.int64]) -> tuple[NDArray[np.int64], Classes]:
    """Return the amounts [rows] of most places, and the classes of all of them on top of those.

    kinds: see Sums.  amount: [kinds, rows].
    """
    most = int(np.argmax(np.bincount(kinds.reshape(-1), minlength=len(amount))))
    found, inverse = np.unique(amount - amount[most], axis=0, return_inverse=True)
    positions = inverse.reshape(-1)[kinds].reshape(-1).astype(np.uint8)
    wrapped = (found & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
    return amount[most], Classes(wrapped, positions)
