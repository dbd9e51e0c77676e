"""Encoding group4: its bytes, and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesparse.encode import group4


def test_bytes_of_a_small_matrix() -> None:
    weights = np.zeros((3, 20), np.int8)
    weights[0, 5], weights[0, 16:] = -1, [1, 2, 3, 4]
    weights[2, 0] = 7
    expected = bytes([1, 0, 0, 0, 1, 0, 0, 0])
    expected += bytes([1, 3, 0, 0]) + bytes([0, 255, 0, 0, 1, 2, 3, 4]) + bytes(8)
    expected += bytes([0, 0, 0, 0]) + bytes([7, 0, 0, 0]) + bytes(12)
    assert group4.encode(weights) == expected
    assert group4.kept_groups(weights) == 3


def test_a_long_gap_takes_fillers() -> None:
    weights = np.zeros((1, 4 * 600), np.int8)
    weights[0, -1] = 9
    data = group4.encode(weights)
    assert data[:4] == bytes([1, 0, 0, 0])
    assert data[4:8] == bytes([255, 255, 89, 0])
    np.testing.assert_array_equal(group4.decode(data, 1, 2400), weights)


@given(st.integers(1, 5), st.integers(1, 700), st.sampled_from([0, 0.01, 0.5, 1]), st.integers(0))
def test_decoding_undoes_encoding(rows: int, groups: int, share: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(-128, 128, (rows, groups, 4)).astype(np.int8)
    weights[rng.random((rows, groups)) >= share] = 0
    flat = weights.reshape(rows, -1)
    np.testing.assert_array_equal(group4.decode(group4.encode(flat), rows, 4 * groups), flat)


def test_columns_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ValueError, match="6 columns"):
        group4.encode(np.ones((1, 6), np.int8))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no table"),
        (bytes([1, 0, 0, 0]), "the table counts 1 blocks"),
        (bytes([1, 0, 0, 0, 5]) + bytes(19), "group 5 of 5"),
    ],
)
def test_damaged_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        group4.decode(data, 1, 20)
