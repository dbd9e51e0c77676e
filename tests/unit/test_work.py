"""Amounts of work: what zeros, the sizes of weights, clamping and classes of positions change."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesparse import native
from edgesparse.encode.dense_sums import NO_LIMIT
from edgesparse.encode.job import Job, Zeros, job_of
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.narrow.classes import Classes
from edgesparse.encode.work import WORK
from edgesparse.encode.work_classes import halves, neighbours, runs


def job(
    kernel: str, rows: int = 8, columns: int = 64, *, weight: int = 1, side: int = 8, **params: int
) -> Job:
    """Windows of one pixel; all weights are alike."""
    fields = dict.fromkeys(("in_h", "in_w", "out_h", "out_w"), side)
    ones = ("batches", "kernel_h", "kernel_w", "stride_h", "stride_w", "dilation_h", "dilation_w")
    fields |= dict.fromkeys(ones, 1) | {"in_c": columns, "out_c": rows, "band": 16}
    fields |= {"pad_top": 0, "pad_left": 0, "act_min": -128, "act_max": 127, "list_zeros": NEVER}
    matrix = np.full((rows, columns), weight, np.int8)
    limit = (0xFFFFFFFF).to_bytes(4, "little")
    return job_of(Candidate(kernel, fields | params, limit, b"", matrix=matrix))


def test_zeros_that_are_neighbours_leave_fewer_pairs() -> None:
    squares = WORK["fully_connected_squares_s8"].amounts
    matrix = job("fully_connected_squares_s8", side=1)
    apart = squares(replace(matrix, zeros=Zeros(0.5)))
    together = squares(replace(matrix, zeros=Zeros(0.5, pairs=0.5)))
    never = squares(replace(matrix, zeros=Zeros(0.5, pairs=0.0)))
    assert [each["listed"] for each in (apart, together, never)] == [24, 16, 32]
    assert [each["block_half_entries"] for each in (apart, together, never)] == [16, 0, 32]
    assert [each["block_entries"] for each in (apart, together, never)] == [8, 16, 0]


def test_lists_are_fast_where_lanes_hold_any_window() -> None:
    skipping = WORK["conv_2d_lists_s8"].skipping
    assert skipping is not None
    layer = replace(job("conv_2d_lists_s8"), zeros=Zeros(0.5))
    expected = {"fast": NO_LIMIT, "checked": 63, "pieces": 31}
    for kind, lane in expected.items():
        amounts = skipping(replace(layer, lane=lane))
        found = {k: amounts.get(f"{k} windows", 0.0) for k in expected}
        assert found == {k: 64.0 * (k == kind) for k in expected}
    clamped = replace(layer, params={**layer.params, "act_min": 0})
    assert skipping(clamped)["clamped entries"] == 64 * 32


def test_lists_unpack_weights_once_a_band_of_whole_rows() -> None:
    skipping = WORK["conv_2d_lists_s8"].skipping
    assert skipping is not None
    three = job("conv_2d_lists_s8", kernel_h=3, kernel_w=3, pad_top=1, pad_left=1, band=4)
    assert skipping(three)["bands"] == 8
    assert skipping(replace(three, params={**three.params, "band": 32}))["bands"] == 2


def test_rows_of_large_weights_are_several_lists() -> None:
    sparse = WORK["conv_2d_delta8_s8"].amounts
    light = sparse(job("conv_2d_delta8_s8", columns=300, weight=100))
    heavy = sparse(job("conv_2d_delta8_s8", columns=300, weight=110))
    assert (light["long_tile_rows"], light["long_tile_lists"]) == (0, 0)
    assert heavy["long_tile_rows"] == heavy["tile_rows"] > 0
    assert heavy["long_tile_lists"] == 2 * heavy["tile_rows"]
    assert sparse(job("conv_2d_delta8_s8", columns=256, weight=127))["weighed"] == 0
    # 300 * 128 - 32768 = 5632 too many, 28 an entry: 201.1 of them, in 4 bands of 8 rows.
    assert light["weighed"] == pytest.approx(4 * 8 * 5632 / 28)


def test_a_clamped_output_is_rescaled_the_long_way() -> None:
    assert job("conv_2d_dense_s8").long == 0.0
    assert job("conv_2d_dense_s8", act_min=0).clamped == 1.0
    depthwise = WORK["depthwise_conv_2d_dense_s8"].amounts
    three = job("depthwise_conv_2d_dense_s8", rows=9, columns=8, kernel_h=3, kernel_w=3, out_c=8)
    clamped = replace(three, params={**three.params, "act_max": 100})
    assert "clamped" not in depthwise(three)
    assert depthwise(clamped)["clamped"] == 64 * 8


def test_tiles_of_like_classes_are_one_run() -> None:
    row = np.asarray([1, 0, 0, 0, 0, 0, 0, 0, 0, 2], np.uint8)
    assert runs(neighbours(row, 2)) == 3
    assert runs(neighbours(np.zeros(10, np.uint8), 4)) == 1
    # 1 0 0 0 | 0 beside 0 0 0 0 | 2: the fifth position stands for the rest of its tile
    assert halves(row, 4).tolist() == [[1, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 2, 2, 2]]


@pytest.mark.parametrize("kernel", ["conv_2d_dense_s8", "conv_2d_bitmap_s8", "conv_2d_group4_s8"])
def test_classes_are_read_from_behind_the_channels(kernel: str) -> None:
    positions = np.zeros((8, 8), np.uint8)
    positions[0] = 1
    amounts = np.zeros((2, 8), np.int64)
    amounts[1, 2:6] = 7
    channels = bytes(8 * native.layout("channel").size_bytes)
    plain = job(kernel)
    candidate = Candidate(
        kernel,
        {**plain.params, "classes": 2},
        b"",
        channels + Classes(amounts, positions.reshape(-1)).to_bytes(),
        matrix=np.ones((8, 64), np.int8),
    )
    classed = job_of(candidate)
    assert np.array_equal(classed.classes.amounts, amounts)
    assert np.array_equal(classed.classes.positions, positions.reshape(-1))
    more = WORK[kernel].amounts(classed)
    assert not any(name.startswith("class_") for name in WORK[kernel].amounts(plain))
    rows = 2 if kernel == "conv_2d_dense_s8" else 4
    bands, lines = 64 // 16, 64 // 16
    assert more["class_starts"] == bands * rows * 2
    assert more["class_lines"] == lines * rows
    # The first of four lines begins in class 1.
    split = kernel == "conv_2d_group4_s8"
    assert more["class_runs"] == (lines + split) * rows
