"""Tables of int8 functions: all 256 inputs against the reference interpreter, on the device too."""

from __future__ import annotations

import numpy as np
import pytest

from edgesparse import lut, oracle
from edgesparse.encode import encode
from edgesparse.errors import ModelError, UnsupportedModelError
from edgesparse.image import build_image
from edgesparse.lut import Affine
from edgesparse.model import Model, parse_model
from edgesparse.ops import check_supported
from edgesparse.ops.lut import LutOptions
from tests.devices import run_native
from tests.one_operator import UNARIES
from tests.tflite_builder import Builder

CODES = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)
DRAWS = 40
# (input scale, zero point, output scale, zero point): as converters make them, and odd ones.
FIXED = [
    (0.1, -128, 0.1, -128),
    (0.05, 3, 0.023, -128),
    (0.05, 3, 0.0078125, 0),
    (0.0117, 127, 0.0391, -7),
    (1.0, 0, 1.0, 0),
    (0.25, -128, 0.5, 127),
    (0.5, 127, 0.25, -128),
    (3.9e-4, 12, 0.11, -30),
    (12.0, -60, 0.2, 60),
]


def unary_model(
    name: str, quantisation: tuple[float, int, float, int], *, alpha: float = 0.2
) -> Model:
    """One operator over all 256 inputs; LOGISTIC has the only output scale that TFLite takes."""
    in_scale, in_zero, out_scale, out_zero = quantisation
    b = Builder()
    x = b.input((1, 256), in_scale, in_zero)
    scale = 1 / 256 if name == "LOGISTIC" else out_scale
    given = alpha if name == "LEAKY_RELU" else None
    b.output(b.unary(name, x, scale=scale, zero_point=out_zero, alpha=given))
    return parse_model(b.finish(), name="one")


def drawn(seed: int) -> tuple[float, int, float, int]:
    """Random scales, far apart and near, and zero points."""
    rng = np.random.default_rng(seed)
    in_scale = 10 ** rng.uniform(-4, 1)
    out_scale = in_scale * 10 ** rng.uniform(-1, 1.5) if seed % 2 else 10 ** rng.uniform(-3, 0)
    return in_scale, int(rng.integers(-128, 128)), out_scale, int(rng.integers(-128, 128))


def supported(model: Model) -> bool:
    try:
        check_supported(model)
    except UnsupportedModelError:
        return False
    return True


@pytest.mark.parametrize("name", UNARIES)
def test_tables_equal_the_reference_for_every_input(name: str) -> None:
    compared = 0
    for quantisation in [*FIXED, *map(drawn, range(DRAWS))]:
        model = unary_model(name, quantisation)
        if not supported(model):
            continue
        options = model.nodes[0].options
        assert isinstance(options, LutOptions)
        table = options.table(model, model.nodes[0])
        expected = oracle.run(model, CODES)[0][0].reshape(-1)
        np.testing.assert_array_equal(table, expected, err_msg=f"{name} {quantisation}")
        compared += 1
    assert compared >= DRAWS


@pytest.mark.parametrize("name", UNARIES)
def test_device_equals_the_reference_for_every_input(name: str) -> None:
    for quantisation in FIXED[1:3]:
        model = unary_model(name, quantisation)
        expected = oracle.run(model, CODES)[0][0]
        (result,) = run_native(build_image(encode(model)), [CODES])
        assert result.outputs[0] == expected.tobytes()


def test_leaky_relu_takes_any_alpha_from_0_on() -> None:
    for alpha in (0.0, 0.01, 1.0, 7.5):
        model = unary_model("LEAKY_RELU", FIXED[1], alpha=alpha)
        options = model.nodes[0].options
        assert isinstance(options, LutOptions)
        table = options.table(model, model.nodes[0])
        np.testing.assert_array_equal(table, oracle.run(model, CODES)[0][0].reshape(-1))


def reason(name: str, quantisation: tuple[float, int, float, int], alpha: float = 0.2) -> str:
    """The only reason for which a model is refused."""
    with pytest.raises(UnsupportedModelError) as caught:
        check_supported(unary_model(name, quantisation, alpha=alpha))
    ((_, _, text),) = caught.value.offenders
    return text


def test_what_is_refused_says_why() -> None:
    steep = (float(2**22), 0, 1.0, 0)
    for name in ("RELU", "QUANTIZE", "LEAKY_RELU"):
        assert reason(name, steep) == "rescaling factor 4194304.0 is not below 2**22"
    assert supported(unary_model("QUANTIZE", (float(2**22 - 1), 0, 1.0, 0)))
    assert reason("LEAKY_RELU", FIXED[0], alpha=-0.5) == "alpha -0.5 is not 0 or above"
    small = float(np.float32(2.0**-31))
    assert reason("TANH", (1.0, 0, small, 0)) == f"output scale {small!r} is too small"
    clipped = f"output scale {small!r} is too small to clip at 6.0"
    assert reason("RELU6", (small, 0, small, 0)) == clipped
    assert reason("HARD_SWISH", (256.0, 0, 1.0, 0)) == (
        "output factor 2.0 is outside 2**-16 ... 2**0"
    )
    assert reason("HARD_SWISH", (1.0, 0, 2.0**12, 0)).startswith("output factor 1.9073")
    with pytest.raises(ModelError, match="TFLite fixes it at 1/256"):
        lut.logistic(Affine(0.1, 0), Affine(1 / 128, -128))
