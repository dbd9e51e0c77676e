"""Kernels that skip zero activations: candidates of CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode import columns, dense_sums, pairs
from edgesparse.encode.lower.candidate import Candidate

ROW_INPUTS = 16384
"""Inputs of a row of the image, at most: ES_SKIP_ROW_INPUTS."""


def conv_2d_skipping(
    params: dict[str, int],
    rows: NDArray[np.int8],
    channels: bytes,
    *,
    plain_channels: bytes,
) -> list[Candidate]:
    """Candidates for CONV_2D; none where a word cannot hold two weights or a row is too long.

    plain_channels: with the biases themselves.
    """
    if not pairs.fits(rows) or params["in_w"] * params["in_c"] > ROW_INPUTS:
        return []
    sums, words = dense_sums.encode(rows), pairs.encode(rows)
    return [
        Candidate("conv_2d_lists_s8", params, sums, channels, matrix=rows),
        Candidate("conv_2d_pairs_s8", params, words, plain_channels, matrix=rows),
    ]


def fully_connected_skipping(
    params: dict[str, int], rows: NDArray[np.int8], plain_channels: bytes
) -> list[Candidate]:
    """Candidates for FULLY_CONNECTED, as of CONV_2D; bytes hold all weights."""
    if params["in_c"] > ROW_INPUTS:
        return []
    packed = columns.encode(rows)
    found = [Candidate("fully_connected_columns_s8", params, packed, plain_channels, matrix=rows)]
    if pairs.fits(rows):
        words = pairs.encode(rows)
        found.append(
            Candidate("fully_connected_pairs_s8", params, words, plain_channels, matrix=rows)
        )
    return found
