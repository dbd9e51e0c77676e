"""QUANTIZE between integers at a model's edges, from input rows to outputs, and what is refused."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgesparse import oracle
from edgesparse.encode import encode
from edgesparse.errors import FormatError, UnsupportedModelError
from edgesparse.image import build_image
from edgesparse.inputs import Inputs, feeds_for, rows_for
from edgesparse.meta import Meta
from edgesparse.model import Model, parse_model
from edgesparse.ops import check_supported
from edgesparse.outputs import finish_outputs
from edgesparse.quantize import requantize
from tests.devices import run_native
from tests.tflite_builder import Builder

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
_SCALE = st.floats(-6, 3).map(lambda power: float(np.float32(10.0**power)))


def quantized(
    source: str, result: str, scales: tuple[float, float], points: tuple[int, int]
) -> Model:
    """QUANTIZE of an input to an output, with a RESHAPE on the device behind the way to int8."""
    b = Builder()
    x = b.input((1, 256), scales[0], points[0], dtype=source)
    y = b.quantize(x, scales[1], points[1], dtype=result)
    b.output(b.reshape(y, (256, 1)) if result == "int8" else y)
    return parse_model(b.finish(), name="edge")


def is_supported(model: Model) -> bool:
    try:
        check_supported(model)
    except UnsupportedModelError:
        return False
    return True


@pytest.mark.parametrize("types", [("int8", "uint8"), ("uint8", "int8"), ("int16", "int8")])
def test_equals_reference(types: tuple[str, str]) -> None:
    source, result = types
    info = np.iinfo(source)
    in_point = st.one_of(st.sampled_from([info.min, 0, info.max]), st.integers(info.min, info.max))
    out = np.iinfo(result)
    out_point = st.one_of(st.sampled_from([out.min, 0, out.max]), st.integers(out.min, out.max))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_SCALE, _SCALE, st.booleans(), in_point, out_point, st.integers(0, 2**32 - 1))
    def check(
        in_scale: float, out_scale: float, same: bool, in_zero: int, out_zero: int, seed: int
    ) -> None:
        out_scale = in_scale if same else out_scale
        model = quantized(source, result, (in_scale, out_scale), (in_zero, out_zero))
        assume(is_supported(model))
        rng = np.random.default_rng(seed)
        rows = rng.integers(info.min, info.max + 1, (2, 256)).astype(source)
        if source != "int16":
            rows[0] = np.arange(info.min, info.max + 1)
        meta = build_image(encode(model)).meta
        device = rows_for(meta.inputs, Inputs(x=(rows,)), range(2))[0]
        for row, (expected,) in zip(device, oracle.run(model, rows), strict=True):
            (got,) = finish_outputs(meta, [row.tobytes()])
            assert got.dtype == expected.dtype
            np.testing.assert_array_equal(got, expected)

    check()


def test_int16_outputs_are_rescaled_by_the_same_function() -> None:
    """The desktop interpreter refuses them.  3 / 2 becomes 2, but -3 / 2 becomes -1."""
    codes = np.array([-128, -3, -2, 2, 3, 127], np.int8)
    values = requantize(codes, (0.5, 0), (1.0, 100), "int16")
    assert values.dtype == np.int16
    assert (values - 100).tolist() == [-64, -1, -1, 1, 2, 64]
    wide = requantize(codes, (400.0, -128), (1.0, 0), "int16")
    assert wide.tolist() == [0, 32767, 32767, 32767, 32767, 32767]


def test_the_whole_way() -> None:
    """uint8 in, a layer on the device, uint8 out."""
    rng = np.random.default_rng(4)
    b = Builder()
    x = b.input((1, 8), 0.03, 120, dtype="uint8")
    y = b.quantize(x, 0.05, -7)
    w = b.constant(rng.integers(-127, 128, (5, 8)).astype(np.int8), [0.02])
    y = b.fully_connected(y, w, b.bias(rng.integers(-99, 99, 5), y, w), scale=0.04, zero_point=3)
    b.output(b.quantize(y, 0.06, 99, dtype="uint8"), y)
    model = parse_model(b.finish(), name="edges")
    image = build_image(encode(model))
    rows = rng.integers(0, 256, (7, 8)).astype(np.uint8)
    device = rows_for(image.meta.inputs, Inputs(x=(rows,)), range(7))
    for expected, got in zip(oracle.run(model, rows), run_native(image, device), strict=True):
        for one, other in zip(expected, finish_outputs(image.meta, got.outputs), strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def edge_meta(dtype: str) -> Meta:
    return build_image(encode(quantized(dtype, "int8", (0.5, 0.5), (0, 0)))).meta


@pytest.mark.parametrize("dtype", ["uint8", "int16"])
def test_rows_of_other_types(dtype: str) -> None:
    inputs = edge_meta(dtype).inputs
    codes = np.arange(256).reshape(1, 256).astype(dtype)
    (from_codes,) = rows_for(inputs, Inputs(x=(codes,)), [0])
    (from_floats,) = rows_for(inputs, Inputs(x=((codes * 0.5).astype(np.float32),)), [0])
    np.testing.assert_array_equal(from_codes, np.minimum(codes, 127))
    np.testing.assert_array_equal(from_codes, from_floats)
    (made_up,) = feeds_for(inputs, None, range(3))
    assert made_up.dtype.name == dtype
    assert len(np.unique(made_up)) > 100
    with pytest.raises(FormatError, match=f"the model is {dtype}"):
        rows_for(inputs, Inputs(x=(codes.astype(np.int8),)), [0])
    with pytest.raises(FormatError, match=f"NaN, which has no {dtype} value"):
        rows_for(inputs, Inputs(x=(np.full((1, 256), np.nan, np.float32),)), [0])


def test_integer_rows_of_the_models_type_are_not_scaled() -> None:
    inputs = edge_meta("uint8").inputs
    data = Inputs(x=(np.full((1, 256), 9, np.uint8),), x_scale=np.array(3.0, np.float32))
    assert rows_for(inputs, data, [0])[0].tolist() == [[9] * 256]


def test_a_damaged_scale_is_a_format_error() -> None:
    inputs = [edge_meta("uint8").inputs[0].model_copy(update={"source_scale": 0.0})]
    data = Inputs(x=(np.zeros((1, 256), np.uint8),))
    with pytest.raises(FormatError, match="scale that is not above 0"):
        rows_for(inputs, data, [0])
    inputs = [inputs[0].model_copy(update={"dtype": "float64"})]
    for given_rows in (data, None):
        with pytest.raises(FormatError, match="is float64"):
            rows_for(inputs, given_rows, [0])


def test_a_damaged_output_step_is_a_format_error() -> None:
    meta = build_image(encode(quantized("int8", "uint8", (0.5, 0.5), (0, 0)))).meta
    (output,) = meta.outputs
    for change in ({"dtype": "int32"}, {"out_scale": 0.0}):
        step = output.steps[0].model_copy(update=change)
        broken = meta.model_copy(
            update={"outputs": (output.model_copy(update={"steps": (step,)}),)}
        )
        with pytest.raises(FormatError, match="cannot become"):
            finish_outputs(broken, [bytes(256)])


def reasons(b: Builder) -> list[str]:
    with pytest.raises(UnsupportedModelError) as caught:
        encode(parse_model(b.finish(), name="m"))
    return [reason for _, _, reason in caught.value.offenders]


def test_refusals() -> None:
    b = Builder()
    x = b.input((1, 4), 0.5, 0)
    y = b.quantize(x, 0.5, 0, dtype="uint8")
    b.output(b.quantize(y, 0.5, 0))
    assert reasons(b) == [
        "uint8 output is not an output of the model",
        "uint8 input is not an input of the model",
    ]
    b = Builder()
    b.output(b.quantize(b.input((1, 4), 0.5, 300, dtype="uint8"), 0.5, 0))
    assert reasons(b) == ["input has zero point 300, outside uint8"]
    b = Builder()
    b.output(b.quantize(b.input((1, 4), 0.5, 3), 0.5, -1, dtype="uint8"))
    assert reasons(b) == ["output has zero point -1, outside uint8"]
    b = Builder()
    b.output(b.quantize(b.input((1, 4), None, dtype="int16"), 0.5, 0))
    assert reasons(b) == ["input needs exactly one scale and one zero point"]
    b = Builder()
    b.output(b.quantize(b.input((1, 4), 1e6, dtype="int16"), 1e-6, 0))
    assert reasons(b) == ["output scale is too small beside the input's: TFLite's int32 overflows"]


def test_an_input_of_another_type_that_does_not_go_through_one_quantize() -> None:
    b = Builder()
    x = b.input((1, 4), 0.5, dtype="uint8")
    b.output(b.quantize(x, 0.5, 0), b.quantize(x, 0.25, 0))
    assert reasons(b) == ["a uint8 input must go into one QUANTIZE and nowhere else"]
    b = Builder()
    b.input((1, 4), 0.5, dtype="int16")
    b.output(b.softmax(b.input((1, 4), 0.5)))
    assert reasons(b) == ["an int16 input must go into one QUANTIZE and nowhere else"]
