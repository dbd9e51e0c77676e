"""Kernels that skip zero activations: candidates of CONV_2D and FULLY_CONNECTED."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode import dense_sums, squares
from edgesparse.encode.lower.candidate import Candidate

ROW_INPUTS = 16384
"""Inputs of a row of the image, at most: ES_SKIP_ROW_INPUTS."""


def conv_2d_skipping(
    params: dict[str, int], rows: NDArray[np.int8], channels: bytes
) -> list[Candidate]:
    """Candidates for CONV_2D; none where a word cannot hold two weights or a row is too long."""
    if not dense_sums.fits(rows) or params["in_w"] * params["in_c"] > ROW_INPUTS:
        return []
    sums = dense_sums.encode(rows)
    return [Candidate("conv_2d_lists_s8", params, sums, channels, matrix=rows)]


def fully_connected_skipping(
    params: dict[str, int], rows: NDArray[np.int8], plain_channels: bytes
) -> list[Candidate]:
    """Candidates for FULLY_CONNECTED, with the biases themselves."""
    packed = squares.encode(rows)
    return [Candidate("fully_connected_squares_s8", params, packed, plain_channels, matrix=rows)]
