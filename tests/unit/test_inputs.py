"""Input rows: the arrays of an .npz file, and the int8 values that the device is given."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesparse.errors import FormatError, UsageError
from edgesparse.inputs import (
    Inputs,
    batch_bytes,
    check_golden,
    feeds_for,
    load_inputs,
    row_bytes,
    rows_for,
)
from edgesparse.meta import InputMeta, OutputMeta

INT8 = InputMeta(name="a", shape=(1, 2, 2, 1), dtype="int8", scale=0.5, zero_point=3, bytes=4)
FLOAT = InputMeta(name="b", shape=(1, 4), dtype="float32", scale=0.1, zero_point=-128, bytes=4)
OUT8 = OutputMeta(name="p", shape=(1, 3), dtype="int8", scale=1.0, zero_point=0)
OUTF = OutputMeta(name="q", shape=(1, 3), dtype="float32", scale=1.0, zero_point=0)


def saved(tmp_path: Path, **arrays: Any) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    return path


def test_reads_all_that_is_known_and_nothing_else(tmp_path: Path) -> None:
    path = saved(
        tmp_path,
        x=np.arange(8, dtype=np.uint8).reshape(2, 4),
        x1=np.zeros((2, 5), np.int8),
        y=np.array([[7], [1]], np.uint8),
        golden=np.ones((2, 3), np.int8),
        golden1=np.ones((2, 1), np.float32),
        golden3=np.ones((9, 9)),  # not next in line
        x_scale=np.float64(0.5),
        x_mean=np.float32(1.25),
        other=np.ones(3),
    )
    inputs = load_inputs(path)
    assert inputs.rows == 2
    assert [x.shape for x in inputs.x] == [(2, 4), (2, 5)]
    assert inputs.y is not None
    assert inputs.y.tolist() == [7, 1]
    assert [g.dtype.name for g in inputs.golden] == ["int8", "float32"]
    assert inputs.x_scale == np.float32(0.5)
    assert inputs.x_scale is not None
    assert inputs.x_scale.dtype == np.float32
    assert inputs.x_mean == np.float32(1.25)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": np.zeros(3, np.int8)}, "no array 'x'"),
        ({"x": np.int8(3)}, "'x' has no rows"),
        ({"x": np.zeros((0, 4), np.int8)}, "'x' has no rows"),
        ({"x": np.zeros((2, 4)), "y": np.zeros(2)}, "'y' is float64 .2., labels are one integer"),
        ({"x": np.zeros((2, 4)), "y": np.zeros((2, 2), int)}, "labels are one integer a row"),
        ({"x": np.zeros((2, 4)), "y": np.zeros(3, int)}, "'y' has 3 rows, 'x' has 2"),
        ({"x": np.zeros((2, 4)), "golden": np.zeros((3, 1))}, "'golden' has 3 rows, 'x' has 2"),
        ({"x": np.zeros((2, 4)), "x1": np.zeros((1, 1))}, "'x1' has 1 rows, 'x' has 2"),
        ({"x": np.zeros((2, 4)), "x_scale": np.zeros(3)}, r"'x_scale' is float64 \[3\]"),
        ({"x": np.zeros((2, 4)), "x_mean": np.zeros((5, 2, 4))}, "'x_mean' is float64"),
        ({"x": np.zeros((2, 4)), "x_mean": np.array("a")}, "'x_mean' is str"),
    ],
)
def test_arrays_that_do_not_fit_each_other(
    tmp_path: Path, arrays: dict[str, Any], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        load_inputs(saved(tmp_path, **arrays))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        load_inputs(tmp_path / "none.npz")


def test_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="allow_pickle"):
        load_inputs(saved(tmp_path, x=np.array([{}], dtype=object)))


def test_a_single_array_is_no_npz(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(FormatError, match=r"not an \.npz file"):
        load_inputs(tmp_path / "x.npy")


def test_a_header_that_lies_about_its_size(tmp_path: Path) -> None:
    head = io.BytesIO()
    shape = {"descr": "|i1", "fortran_order": False, "shape": (2**50,)}
    np.lib.format.write_array_header_1_0(head, shape)
    with zipfile.ZipFile(tmp_path / "big.npz", "w") as archive:
        archive.writestr("x.npy", head.getvalue())
    with pytest.raises(FormatError):
        load_inputs(tmp_path / "big.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.data())
def test_damaged_files_are_format_errors_of_one_line(tmp_path: Path, data: st.DataObject) -> None:
    compressed = data.draw(st.booleans())
    path = tmp_path / "data.npz"
    save = np.savez_compressed if compressed else np.savez
    save(path, x=np.arange(64, dtype=np.int8).reshape(4, 16), y=np.arange(4))
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.sampled_from([len(raw), len(raw) - 1, len(raw) // 2])) :]
    path.write_bytes(raw)
    problem = "none"
    try:
        assert load_inputs(path).rows > 0
    except FormatError as error:
        problem = str(error)
    assert "\n" not in problem


# --- Rows --------------------------------------------------------------------------------------


def test_int8_rows_are_passed_on_and_wrap_around() -> None:
    x = np.arange(12, dtype=np.int8).reshape(3, 2, 2)
    (rows,) = rows_for([INT8], Inputs(x=(x,)), range(1, 5))
    assert rows.tolist() == [[4, 5, 6, 7], [8, 9, 10, 11], [0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_scale_does_not_touch_int8_rows_of_an_int8_model() -> None:
    x = np.array([[1, 2, 3, 4]], np.int8)
    (rows,) = rows_for([INT8], Inputs(x=(x,), x_scale=np.float32(9)), [0])  # type: ignore[arg-type]
    assert rows.tolist() == x.tolist()


def test_float_rows_take_one_multiplication_and_one_subtraction_in_float32() -> None:
    """With a fused or a double operation some of these values would fall into another step."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (500, 2, 2)).astype(np.uint8)
    scale, mean = rng.random(2, np.float32) / 50, rng.random(2, np.float32)
    inputs = Inputs(x=(x,), x_scale=scale, x_mean=mean)
    model_input = FLOAT.model_copy(update={"scale": float(np.float32(1 / 3e5))})
    (feed,) = feeds_for([model_input], inputs, range(500))
    expected = [
        np.float32(np.float32(np.float32(v) * scale[i % 2]) - mean[i % 2])
        for row in x.reshape(500, 4)
        for i, v in enumerate(row)
    ]
    assert feed.dtype == np.float32
    assert feed.reshape(-1).tolist() == expected
    doubles = x.astype(np.float64) * scale.astype(np.float64) - mean
    assert feed.reshape(-1).tolist() != doubles.astype(np.float32).reshape(-1).tolist()


def test_floats_are_quantised_as_the_model_does() -> None:
    x = np.array([[0.0, 0.05, 0.25, 1e9]], np.float32)
    (rows,) = rows_for([FLOAT], Inputs(x=(x,)), [0])
    assert rows.tolist() == [[-128, -127, -125, 127]]  # halves away from zero, then clamped
    (rows,) = rows_for([INT8], Inputs(x=(x,)), [0])
    assert rows.tolist() == [[3, 3, 4, 127]]


def test_the_scale_is_that_of_the_first_input_alone() -> None:
    x = np.array([[1, 2, 3, 4]], np.uint8), np.array([[1, 2, 3, 4]], np.float32)
    feeds = feeds_for([FLOAT, FLOAT], Inputs(x=x, x_scale=np.full(4, 2, np.float32)), [0])
    assert [feed.tolist() for feed in feeds] == [[[2, 4, 6, 8]], [[1, 2, 3, 4]]]


@pytest.mark.parametrize(
    ("model_inputs", "x", "message"),
    [
        (
            [INT8],
            [np.zeros((1, 5), np.int8)],
            r"'x' is int8 \[1, 5\], input 'a'.*int8 \[1, 2, 2, 1\]",
        ),
        ([INT8], [np.zeros((1, 4), np.uint8)], "'x' is uint8 .*scale it"),
        ([FLOAT], [np.zeros((1, 4), np.int8)], "'x' is int8 .* is float32 .*scale it"),
        ([FLOAT], [np.zeros((1, 4), np.float64)], "'x' is float64 .*give float32$"),
        ([INT8], [np.zeros((1, 4), np.complex64)], "'x' is complex64 .*give float32 or int8$"),
        ([INT8, FLOAT], [np.zeros((1, 4), np.int8)], r"1 arrays 'x', the model has 2 .*\(x, x1\)"),
        ([INT8], [np.zeros((1, 4), np.int8)] * 2, r"2 arrays 'x', the model has 1 inputs \(x\)"),
        ([FLOAT], [np.full((1, 4), np.nan, np.float32)], "input 'b': .*NaN"),
    ],
)
def test_rows_that_do_not_fit_the_model(
    model_inputs: list[InputMeta], x: list[Any], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        rows_for(model_inputs, Inputs(x=tuple(x)), [0])


def test_made_up_rows_are_the_same_everywhere() -> None:
    big = INT8.model_copy(update={"bytes": 4096})
    rows, other = rows_for([big, big], None, [0, 5])
    expected = hashlib.shake_128(b"edgesparse input 1 run 5").digest(4096)
    assert other[1].tobytes() == expected
    assert rows.shape == (2, 4096)
    assert len({rows[0].tobytes(), rows[1].tobytes(), other[0].tobytes(), other[1].tobytes()}) == 4
    assert len(np.unique(rows)) == 256


def test_made_up_floats_reach_every_int8_value() -> None:
    big = FLOAT.model_copy(update={"bytes": 4096})
    (feed,) = feeds_for([big], None, [0])
    (rows,) = rows_for([big], None, [0])
    assert feed.dtype == np.float32
    assert rows[0].tobytes() == hashlib.shake_128(b"edgesparse input 0 run 0").digest(4096)


def test_a_batch_holds_row_after_row_with_all_inputs() -> None:
    rows = np.array([[1, 2], [3, 4]], np.int8), np.array([[-1], [-2]], np.int8)
    assert batch_bytes(rows) == bytes([1, 2, 255, 3, 4, 254])
    assert row_bytes(rows, 1) == (bytes([3, 4]), bytes([254]))


@pytest.mark.parametrize(
    ("golden", "message"),
    [
        ([np.zeros((2, 3), np.int8)] * 3, "3 arrays 'golden', the model has 2 outputs"),
        ([np.zeros((2, 4), np.int8)], r"'golden' is int8 \[2, 4\], output 'p'.*int8 \[1, 3\]"),
        ([np.zeros((2, 3), np.float32)], "'golden' is float32 .*output 'p'.* is int8"),
        ([np.zeros((2, 3), np.int8)] * 2, "'golden1' is int8 .*output 'q'.* is float32"),
    ],
)
def test_expected_outputs_that_do_not_fit_the_model(golden: list[Any], message: str) -> None:
    x = (np.zeros((2, 4), np.int8),)
    with pytest.raises(FormatError, match=message):
        check_golden([OUT8, OUTF], Inputs(x=x, golden=tuple(golden)))


def test_fewer_expected_outputs_than_the_model_has_are_fine() -> None:
    x = (np.zeros((2, 4), np.int8),)
    check_golden([OUT8, OUTF], Inputs(x=x, golden=(np.zeros((2, 3), np.int8),)))
    check_golden([OUT8, OUTF], Inputs(x=x))
