"""A node as its kernel sees it: what the amounts of encode.work are counted from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.encode.group4 import kept_groups
from edgesparse.encode.lower.candidate import Candidate

__all__ = ["Amounts", "Job", "job_of", "parts"]

Amounts = dict[str, float]


@dataclass(frozen=True, slots=True)
class Job:
    """A node as its kernel sees it.

    params: the parameter struct by field.  sizes: see Candidate.  rows, columns: of the weights.
    entries: non-zero weights of each row, [rows].  groups: groups of four columns with any.
    exact: share of rows that are rescaled the long way.  encoded_bytes: of the weights.  zeros:
    share of zeros to expect in the input.
    """

    params: Mapping[str, Any]
    sizes: Mapping[str, int]
    rows: int
    columns: int
    entries: NDArray[np.int64]
    groups: int
    exact: float
    encoded_bytes: int
    zeros: float = 0.0

    @property
    def positions(self) -> int:
        """Places at which a convolution's filters or a matrix are applied."""
        return math.prod(self.params.get(name, 1) for name in ("batches", "out_h", "out_w"))

    @property
    def is_pixel(self) -> bool:
        """Whether a window is one pixel, so that nothing has to be gathered."""
        p = self.params
        if "kernel_h" not in p:
            return True
        ones = ("kernel_h", "kernel_w", "stride_h", "stride_w")
        return all(p[name] == 1 for name in ones) and p["pad_top"] == p["pad_left"] == 0

    @property
    def bands(self) -> int:
        """How many times a kernel that works in bands begins anew."""
        return parts(self.positions, self.params.get("band", 1))


def _exact_share(candidate: Candidate) -> float:
    layout = native.layout("channel")
    rows = candidate.params["out_c"] if candidate.channels else 0
    if not isinstance(rows, int) or rows == 0:
        return 0.0
    at = next(field.offset for field in layout.fields if field.name == "exact")
    channels = np.frombuffer(candidate.channels, np.uint8, rows * layout.size_bytes)
    exact = channels.reshape(rows, -1)[:, at]
    return float(np.count_nonzero(exact)) / rows


def job_of(candidate: Candidate, zeros: float = 0.0) -> Job:
    """The job that a candidate does where this share of its input is zero."""
    matrix = candidate.matrix
    shape = (0, 0) if matrix is None else matrix.shape
    entries = np.zeros(0, np.int64) if matrix is None else np.count_nonzero(matrix, axis=1)
    return Job(
        params=candidate.params,
        sizes=candidate.sizes,
        rows=shape[0],
        columns=shape[1],
        entries=np.asarray(entries, np.int64),
        groups=0 if matrix is None else kept_groups(matrix),
        exact=_exact_share(candidate),
        encoded_bytes=len(candidate.weights),
        zeros=zeros,
    )


def parts(amount: int, size: int) -> int:
    """How many parts of a size an amount takes."""
    return -(-amount // max(size, 1))
