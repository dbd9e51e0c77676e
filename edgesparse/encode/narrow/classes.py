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

_AMOUNTS = np.iinfo(np.int16)

_A_ROW, _A_CHANNEL, _A_WEIGHT = 8, 50, 1
"""Instructions a position on Cortex-M4: what a row with amounts takes, what a channel that goes
saves with the depthwise output and the rescaling behind it, and what one of its weights saves."""


@dataclass(frozen=True, slots=True)
class Classes:
    """amounts: [classes, rows], on top of the biases.  positions: uint8 [height * width]."""

    amounts: NDArray[np.int64]
    positions: NDArray[np.uint8]

    @property
    def fits(self) -> bool:
        """Whether the image can hold the amounts, as int16."""
        return bool((self.amounts >= _AMOUNTS.min).all() and (self.amounts <= _AMOUNTS.max).all())

    def to_bytes(self) -> bytes:
        """As they lie behind the channels."""
        return self.amounts.astype("<i2").tobytes() + self.positions.tobytes()


def may_have_classes(model: Model, node: Node, sums: Sums) -> bool:
    """Whether a node can be given amounts by class at all."""
    if not isinstance(node.options, Conv2DOptions):
        return False
    shape = model.tensors[node.outputs[0]].shape
    columns = math.prod(model.tensors[node.inputs[1]].shape[1:])
    positions = math.prod(shape[1:3])
    fits = positions >= LEAST_POSITIONS and columns <= MOST_COLUMNS
    return shape[0] == 1 and fits and len(sums.amount) <= MOST_CLASSES


def split(sums: Sums, gone: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Classes]:
    """Return what channels add to rows at most places, [rows], and the classes on top of that.

    gone: the channels, [input channels].
    """
    amount = sums.amount[:, :, gone].sum(axis=2)
    most = int(np.argmax(np.bincount(sums.kinds.reshape(-1), minlength=len(amount))))
    found, inverse = np.unique(amount - amount[most], axis=0, return_inverse=True)
    positions = inverse.reshape(-1)[sums.kinds].reshape(-1).astype(np.uint8)
    return amount[most], Classes(found, positions)


def pays(classes: Classes, uneven: int, weights: int) -> bool:
    """Whether classes save more than they take, for the channels that go only with them.

    uneven: how many these are.  weights: how many weights other than 0 they have.
    """
    rows = int(np.count_nonzero(classes.amounts.any(axis=0)))
    return _A_CHANNEL * uneven + _A_WEIGHT * weights >= _A_ROW * rows
