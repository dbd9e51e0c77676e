"""A node as its kernel sees it: what the amounts of encode.work are counted from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.encode.dense_sums import NO_LIMIT
from edgesparse.encode.group4 import kept_groups
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.encode.narrow.classes import Classes

__all__ = ["Amounts", "Job", "Zeros", "job_of", "parts"]

Amounts = dict[str, float]

_NO_CLASSES = Classes(np.zeros((0, 0), np.int64), np.zeros(0, np.uint8))
_NO_ROWS = np.zeros(0, np.int64)
_LIMITS, _INT8 = ("act_min", "act_max"), (-128, 127)


@dataclass(frozen=True, slots=True)
class Zeros:
    """Share of zeros in a tensor: mean over runs, and standard deviation.

    pairs: share of pairs of elements that are both zero, of which every four in a row have two, 0
    with 2 and 1 with 3; None where only the elements were counted.
    """

    mean: float = 0.0
    spread: float = 0.0
    pairs: float | None = None

    @property
    def both(self) -> float:
        """`pairs`; as if zeros were independent where it is not known."""
        return self.mean**2 if self.pairs is None else self.pairs


NO_ZEROS = Zeros()


@dataclass(frozen=True, slots=True)
class Job:
    """A node as its kernel sees it.

    params: the parameter struct by field.  sizes: see Candidate.  rows, columns: of the weights.
    entries: non-zero weights of each row, [rows].  magnitudes: the sum of their sizes, [rows].
    groups: groups of four columns with any.  exact: share of rows whose channels ask for the exact
    rescaling.  classes: amounts by class of position; of no classes where there are none.  lane:
    products that a lane holds, see encode.dense_sums.  zeros: those to expect in the input.
    """

    params: Mapping[str, Any]
    sizes: Mapping[str, int]
    rows: int
    columns: int
    entries: NDArray[np.int64]
    magnitudes: NDArray[np.int64]
    groups: int
    exact: float
    classes: Classes
    lane: int
    zeros: Zeros

    @property
    def narrow(self) -> bool:
        """Whether outputs are clamped to less than int8, which no short rescaling does."""
        limits = tuple(self.params.get(name, at) for name, at in zip(_LIMITS, _INT8, strict=True))
        return limits != _INT8

    @property
    def clamped(self) -> float:
        """Share of rows that are rescaled the short way and then clamped."""
        return 1.0 - self.exact if self.narrow else 0.0

    @property
    def long(self) -> float:
        """Share of rows that are exact or clamped."""
        return self.exact + self.clamped

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


def _exact_share(candidate: Candidate) -> float:
    layout = native.layout("channel")
    rows = candidate.params["out_c"] if candidate.channels else 0
    if not isinstance(rows, int) or rows == 0:
        return 0.0
    at = next(field.offset for field in layout.fields if field.name == "exact")
    channels = np.frombuffer(candidate.channels, np.uint8, rows * layout.size_bytes)
    exact = channels.reshape(rows, -1)[:, at]
    return float(np.count_nonzero(exact)) / rows


def _classes(candidate: Candidate) -> Classes:
    """The classes behind the channels, see SPEC.md, conv_params."""
    count, rows = (candidate.params.get(name, 0) for name in ("classes", "out_c"))
    assert isinstance(count, int)
    assert isinstance(rows, int)
    if count == 0:
        return _NO_CLASSES
    first = rows * native.layout("channel").size_bytes
    amounts = np.frombuffer(candidate.channels, "<i2", count * rows, first).reshape(count, rows)
    positions = np.frombuffer(candidate.channels, np.uint8, offset=first + 2 * amounts.size)
    return Classes(amounts.astype(np.int64), positions)


def _lane(candidate: Candidate) -> int:
    """Products that a lane holds, where the weights end with that."""
    has_limit = native.table("kernel")[candidate.kernel].columns[1] == "dense_sums"
    return int.from_bytes(candidate.weights[-4:], "little") if has_limit else NO_LIMIT


def job_of(candidate: Candidate, zeros: Zeros = NO_ZEROS) -> Job:
    """The job that a candidate does where its input has these zeros."""
    matrix = candidate.matrix
    shape = (0, 0) if matrix is None else matrix.shape
    entries = _NO_ROWS if matrix is None else np.count_nonzero(matrix, axis=1)
    magnitudes = _NO_ROWS if matrix is None else np.abs(matrix.astype(np.int64)).sum(axis=1)
    return Job(
        params=candidate.params,
        sizes=candidate.sizes,
        rows=shape[0],
        columns=shape[1],
        entries=np.asarray(entries, np.int64),
        groups=0 if matrix is None else kept_groups(matrix),
        exact=_exact_share(candidate),
        magnitudes=magnitudes,
        classes=_classes(candidate),
        lane=_lane(candidate),
        zeros=zeros,
    )


def parts(amount: int, size: int) -> int:
    """How many parts of a size an amount takes."""
    return -(-amount // max(size, 1))
