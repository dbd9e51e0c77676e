"""Kernels that skip zero activations: candidates of CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode import columns, cost, dense_sums, pairs
from edgesparse.encode.lower.candidate import NEVER, Candidate

ROW_INPUTS = 16384
"""Inputs of a row of the image, at most: ES_SKIP_ROW_INPUTS."""


def break_even(dense_cost: int, cost_at: Callable[[float], int], inputs: int) -> int:
    """The least count of zeros among `inputs` from which skipping them is cheaper, or NEVER.

    `cost_at` falls linearly with the share of zeros.
    """
    none, all_zero = cost_at(0.0), cost_at(1.0)
    if none <= dense_cost:
        return 0
    if all_zero >= dense_cost:
        return NEVER
    return math.ceil(inputs * (none - dense_cost) / (none - all_zero))


def conv_2d_skipping(
    params: dict[str, int],
    rows: NDArray[np.int8],
    channels: bytes,
    *,
    plain_channels: bytes,
    dense_cost: int,
) -> list[Candidate]:
    """Candidates for CONV_2D; none where a word cannot hold two weights or a row is too long.

    plain_channels: with the biases themselves.  dense_cost: of the same node with dense weights.
    """
    if not pairs.fits(rows) or params["in_w"] * params["in_c"] > ROW_INPUTS:
        return []
    inputs = params["batches"] * params["in_h"] * params["in_w"] * params["in_c"]
    at = partial(cost.conv_skipping, params, columns=rows.shape[1], unpacked=True)
    packed_at = partial(cost.conv_skipping, params, columns=rows.shape[1], unpacked=False)
    lists = Candidate(
        "conv_2d_lists_s8",
        params | {"list_zeros": break_even(dense_cost, at, inputs)},
        at(0.0),
        dense_sums.encode(rows),
        channels,
        cost_at=at,
    )
    packed = Candidate(
        "conv_2d_pairs_s8",
        params | {"list_zeros": 0},
        packed_at(0.0),
        pairs.encode(rows),
        plain_channels,
        cost_at=packed_at,
    )
    return [lists, packed]


def fully_connected_skipping(
    params: dict[str, int], rows: NDArray[np.int8], plain_channels: bytes
) -> list[Candidate]:
    """Candidates for FULLY_CONNECTED, as of CONV_2D; bytes hold all weights."""
    if params["in_c"] > ROW_INPUTS:
        return []
    size = params["batches"], len(rows), rows.shape[1]
    bytes_at = partial(cost.fully_connected_columns, *size)
    narrow = Candidate(
        "fully_connected_columns_s8",
        params | {"list_zeros": 0},
        bytes_at(0.0),
        columns.encode(rows),
        plain_channels,
        cost_at=bytes_at,
    )
    if not pairs.fits(rows):
        return [narrow]
    at = partial(cost.fully_connected_pairs, *size)
    return [
        narrow,
        Candidate(
            "fully_connected_pairs_s8",
            params | {"list_zeros": 0},
            at(0.0),
            pairs.encode(rows),
            plain_channels,
            cost_at=at,
        ),
    ]
