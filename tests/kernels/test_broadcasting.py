"""Operators of two operands: constants, ranks, and the shapes that broadcast."""

from __future__ import annotations

import numpy as np
import pytest

from edgesparse import native, oracle
from edgesparse.encode import encode
from edgesparse.errors import UnsupportedModelError
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from edgesparse.ops import check_supported
from tests.devices import run_native
from tests.tflite_builder import Builder

RANKS = {"ADD": 6, "SUB": 5, "MUL": 4, "MAXIMUM": 5, "MINIMUM": 5}


def model_of(name: str, first: tuple[int, ...], second: tuple[int, ...]) -> Model:
    """One operator of two inputs that are quantised alike."""
    b = Builder()
    x, y = b.input(first, 0.5, 3), b.input(second, 0.5, 3)
    activation = None if name in ("MAXIMUM", "MINIMUM") else "NONE"
    b.output(b.binary(name, x, y, scale=0.5, zero_point=3, activation=activation))
    return parse_model(b.finish(), name="two")


TOO_MANY = "at most {most} dimensions are supported|dimensions, more than 6"


@pytest.mark.parametrize("name", RANKS)
def test_broadcasts_up_to_the_rank_of_the_reference(name: str) -> None:
    most = RANKS[name]
    rng = np.random.default_rng(5)
    shapes = (2, 1, 3, 1, 2, 2)[-most:], (1, 2, 3, 4, 1, 2)[-most:]
    model = model_of(name, *shapes)
    rows = [rng.integers(-128, 128, (2, *shape)).astype(np.int8) for shape in shapes]
    expected = oracle.run(model, rows)
    for (reference,), got in zip(
        expected, run_native(build_image(encode(model)), rows), strict=True
    ):
        assert got.outputs[0] == reference.tobytes()
    one, other = (2, *shapes[0]), (1, *shapes[1])
    with pytest.raises(UnsupportedModelError, match=TOO_MANY.format(most=most)):
        check_supported(model_of(name, one, other))


@pytest.mark.parametrize("name", RANKS)
def test_equal_shapes_may_have_six_dimensions(name: str) -> None:
    check_supported(model_of(name, (2,) * 6, (2,) * 6))
    with pytest.raises(UnsupportedModelError, match=TOO_MANY.format(most=6)):
        check_supported(model_of(name, (1,) * 7, (1,) * 7))


def test_refusals_say_why() -> None:
    b = Builder()
    x = b.input((2, 3), 0.5, 3)
    y = b.tensor((2, 3), 0.5, 3)
    b.op("MUL", [x, b.input((2, 2), 0.5, 3)], [y], "MulOptions")
    steep = b.binary("MUL", x, x, scale=2.0**-16)
    unlike = b.binary("MAXIMUM", x, b.input((2, 3), 0.25, 3), scale=0.5, zero_point=3)
    b.output(y, steep, unlike)
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(parse_model(b.finish(), name="m"))
    assert [text for _, _, text in caught.value.offenders] == [
        "inputs have shapes [2, 3] and [2, 2], which do not broadcast",
        "the rescaling factor 16384.0 is not below 2**14",
        "input and output must be quantised alike (scale 0.25, zero point 3 to scale 0.5, 3)",
    ]


def test_constant_operands_lie_in_the_image_once() -> None:
    rng = np.random.default_rng(6)
    values = rng.integers(-128, 128, (1, 4, 5)).astype(np.int8)
    b = Builder()
    x = b.input((3, 4, 5), 0.1, -4)
    scale = b.constant(values, 0.02, zero_points=7)
    y = b.binary("MUL", x, scale, scale=0.05, zero_point=1, activation="RELU")
    y = b.binary("SUB", b.constant(values, 0.5, zero_points=-9), y, scale=0.6, zero_point=2)
    b.output(y)
    model = parse_model(b.finish(), name="constants")
    image = build_image(encode(model))
    constants = [t for t in image.tensors if t["place"] == native.number("place", "constant")]
    assert [t["zero_point"] for t in constants] == [7, -9]
    assert constants[0]["offset"] == constants[1]["offset"]
    assert image.arena_bytes == 2 * 64 + 0
    rows = [rng.integers(-128, 128, (2, 3, 4, 5)).astype(np.int8)]
    for (reference,), got in zip(oracle.run(model, rows), run_native(image, rows), strict=True):
        assert got.outputs[0] == reference.tobytes()


@pytest.mark.parametrize("first", [True, False])
def test_a_constant_may_have_no_dimensions(first: bool) -> None:
    """Converters write numbers so."""
    b = Builder()
    x, half = b.input((2, 5), 0.1, -4), b.constant(np.array(50, np.int8), 0.01)
    operands = (half, x) if first else (x, half)
    b.output(b.binary("SUB", *operands, scale=0.1, zero_point=2, activation="NONE"))
    model = parse_model(b.finish(), name="number")
    rows = [np.arange(-128, 122, 25, dtype=np.int8).reshape(1, 2, 5)]
    ((reference,),) = oracle.run(model, rows)
    (got,) = run_native(build_image(encode(model)), rows)
    assert got.outputs[0] == reference.tobytes()
