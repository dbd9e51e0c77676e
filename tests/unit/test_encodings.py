"""Weight encodings: what is encoded is decoded again, in nearly as few bytes as there can be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse.encode import bitmap, delta8, dense, run4

MODULES = {"dense": dense, "bitmap": bitmap, "run4": run4, "delta8": delta8}
SPARSE = {"bitmap": bitmap.encode, "run4": run4.encode, "delta8": delta8.encode}

FLOORS = {0.5: 0.625, 0.8: 0.290, 0.9: 0.159, 0.95: 0.086}
"""Entropy of uniformly random places and 8 bits a weight, in bytes per dense weight."""


def random_weights(
    rows: int, columns: int, zeros: float, seed: int, *, low: int = -128
) -> NDArray[np.int8]:
    rng = np.random.default_rng(seed)
    values = rng.integers(low, 128, (rows, columns))
    values[values == 0] = 1
    return np.where(rng.random((rows, columns)) < zeros, 0, values).astype(np.int8)


@pytest.mark.parametrize("name", MODULES)
@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7),
    st.one_of(st.integers(1, 70), st.sampled_from([255, 256, 257, 700])),
    st.sampled_from([0.0, 0.5, 0.9, 0.99, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_decode_is_the_inverse(name: str, rows: int, columns: int, zeros: float, seed: int) -> None:
    weights = random_weights(rows, columns, zeros, seed)
    data = MODULES[name].encode(weights)
    np.testing.assert_array_equal(MODULES[name].decode(data, rows, columns), weights)
    with pytest.raises(ValueError, match="bytes|weights|groups"):
        MODULES[name].decode(data + b"\0\0\0\0\0\0\0\0", rows, columns)


@pytest.mark.parametrize("name", ["bitmap", "run4", "delta8"])
def test_decode_refuses_a_column_outside(name: str) -> None:
    data = MODULES[name].encode(np.array([[0, 0, 5]], np.int8))
    with pytest.raises(ValueError, match="column"):
        MODULES[name].decode(data, 1, 2)


def test_bytes() -> None:
    """By hand: bit 31 is column 0; runs of zeros, 15 of them without a weight."""
    weights = np.zeros((2, 34), np.int8)
    weights[0, [0, 31, 33]] = [1, -2, 3]
    weights[1, [2, 19]] = [4, 5]
    words = (0x80000001, 0x40000000, 0x20001000, 0)
    bits = b"".join(word.to_bytes(4, "little") for word in words)
    assert bitmap.encode(weights) == bits + bytes([1, 254, 3, 4, 5])
    # Row 0: none, 15 + 15 + 0, 1; row 1: 2, 15 + 1.
    nibbles = bytes([0xF0, 0x0F, 0x01, 0xF2, 0x01])
    assert run4.encode(weights) == bytes([5, 0, 3, 0]) + nibbles + bytes([1, 254, 3, 4, 5])


@pytest.mark.parametrize("zeros", FLOORS)
@pytest.mark.parametrize("columns", [144, 256, 576])
def test_the_shortest_is_near_the_entropy(zeros: float, columns: int) -> None:
    rows = 64
    weights = random_weights(rows, columns, zeros, seed=columns)
    shortest = min(len(encode(weights)) for encode in SPARSE.values())
    assert shortest <= 1.2 * FLOORS[zeros] * weights.size + 4 * rows


def test_a_row_too_long_for_the_table() -> None:
    weights = np.zeros((1, 2**20), np.int8)
    weights[0, -1] = 1
    with pytest.raises(ValueError, match="69906 nibbles"):
        run4.encode(weights)
    assert len(bitmap.encode(weights)) == 2**17 + 1
