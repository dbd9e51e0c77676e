"""Which weights become zero together: groups, and the norm by which groups compare.

Source: H. Mao et al., "Exploring the Regularity of Sparse Structure in Convolutional Neural
Networks", 2017: element (0-D), vector (1-D), kernel (2-D) and filter (3-D).

Every tensor of weights is seen as filters of [H, W, I]: CONV_2D as it is, FULLY_CONNECTED with
H = W = 1, DEPTHWISE_CONV_2D with I = 1.  A group never leaves its filter:

- element: one weight.
- vector: the W weights of one row of a kernel (one filter, one input channel).
- kernel: the H · W weights of one input channel of one filter.
- filter: all H · W · I weights that make one output channel.
- 1xN: N neighbouring input channels at one place of one filter; the last group of a place is
  shorter where N does not divide I.  They lie side by side in memory, so that a kernel can load
  their inputs a word at a time.

So for 1x1 kernels and FULLY_CONNECTED, vector and kernel are single weights, and for depthwise
filters 1xN is.
"""

from __future__ import annotations

import difflib
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UsageError
from edgesparse.model import Tensor

GRANULARITIES = ("element", "vector", "kernel", "filter")
"""Granularities by name; beside them there is 1xN for every N from 1 on."""

_NEIGHBOURS = re.compile(r"1x([1-9][0-9]{0,5})")


def check_granularity(name: str) -> None:
    """Raise UsageError, with a suggestion, for a name that is no granularity."""
    if name in GRANULARITIES or _NEIGHBOURS.fullmatch(name):
        return
    close = difflib.get_close_matches(name, (*GRANULARITIES, "1x4"), n=1)
    raise UsageError(
        f"unknown granularity '{name}', there are: {', '.join(GRANULARITIES)}, 1xN",
        hint=f"did you mean '{close[0]}'?" if close else None,
    )


def filters(op: str, values: NDArray[Any]) -> NDArray[Any]:
    """Return weights in the layout of their operator as a view [O, H, W, I]."""
    if op == "FULLY_CONNECTED":
        return values[:, np.newaxis, np.newaxis, :]
    if op == "DEPTHWISE_CONV_2D":
        return values.transpose(3, 1, 2, 0)
    return values


def group_shape(granularity: str, kernel: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return the weights of a group along H, W and I of a filter `kernel` = (H, W, I).

    Raises UsageError for an unknown granularity.
    """
    check_granularity(granularity)
    height, width, channels = kernel
    neighbours = _NEIGHBOURS.fullmatch(granularity)
    if neighbours:
        return 1, 1, min(int(neighbours[1]), channels)
    return {
        "element": (1, 1, 1),
        "vector": (1, width, 1),
        "kernel": (height, width, 1),
        "filter": (height, width, channels),
    }[granularity]


def group_ids(op: str, shape: tuple[int, ...], granularity: str) -> NDArray[np.int64]:
    """Return the number of the group that each weight of a tensor is in, in the tensor's shape.

    Groups count up from 0 by their first weight's position in the tensor, so that a lower number
    comes first where groups tie.  Raises UsageError for an unknown granularity.
    """
    positions = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
    if granularity == "element":
        return positions
    seen = filters(op, positions)
    _, *kernel = seen.shape
    steps = group_shape(granularity, (kernel[0], kernel[1], kernel[2]))
    index = np.ogrid[tuple(slice(side) for side in seen.shape)]
    number = index[0]
    for axis, (side, step) in enumerate(zip(kernel, steps, strict=True), start=1):
        number = number * -(-side // step) + index[axis] // step
    ids = np.empty(shape, np.int64)
    filters(op, ids)[...] = number
    _, first, which = np.unique(ids.reshape(-1), return_index=True, return_inverse=True)
    rank = np.empty(first.size, np.int64)
    rank[np.argsort(first)] = np.arange(first.size)
    return rank[which].reshape(shape)


def group_norms(op: str, tensor: Tensor, ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for every group sqrt(Σ w² / n) over its n real weights w: the L2 norm by size.

    Why L2: with inputs of equal power and no correlation, setting a group to zero changes the
    output by Σ w² times that power, so this order costs least (Mao et al. rank by Σ |w| instead).
    Why by size: groups of one tensor can differ in size, and the value stays a magnitude, so that a
    threshold means the same for every granularity; of one weight it is |w|.

    A filter has one scale, so codes are summed as integers and groups of one scale tie exactly.
    """
    assert tensor.data is not None
    assert tensor.quantization is not None
    flat = ids.reshape(-1)
    sizes = np.bincount(flat)
    # Sums of squared int8 codes stay far below 2^53: exact.
    squares = np.bincount(flat, weights=np.square(tensor.data.astype(np.float64)).reshape(-1))
    scales = np.array(tensor.quantization.scales, np.float64)
    if scales.size == 1:
        return np.asarray(scales[0] * np.sqrt(squares / sizes))
    channel = np.empty(tensor.data.shape, np.int64)
    view = filters(op, channel)
    view[...] = np.arange(len(view)).reshape(-1, 1, 1, 1)
    of_group = np.bincount(flat, weights=channel.reshape(-1)).astype(np.int64) // sizes
    return np.asarray(scales[of_group] * np.sqrt(squares / sizes))
