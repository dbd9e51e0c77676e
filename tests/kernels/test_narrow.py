"""Models without their dead channels equal the reference in every tensor and every zero count."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from edgesparse import oracle
from edgesparse.deploy.session import FLAG_DUMP
from edgesparse.encode import encode
from edgesparse.encode.narrow import narrow
from edgesparse.image import build_image
from edgesparse.validate import compare_run
from tests.devices import run_native
from tests.drawing import ZERO_POINT, Example, finished
from tests.tflite_builder import Builder

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
ACTIVATION = st.sampled_from(["NONE", "RELU", "RELU6"])
STEPS = st.sampled_from(
    [
        *("conv", "conv", "conv 1x1", "depthwise", "depthwise x2", "average", "max"),
        *("relu", "logistic", "add", "pad", "resize"),
    ]
)


@dataclass
class Chain:
    """A model that grows operator by operator."""

    draw: st.DrawFn
    rng: np.random.Generator
    b: Builder
    x: int

    def shape(self, x: int) -> tuple[int, ...]:
        return self.b.tensors[x].shape

    def weights(self, shape: tuple[int, ...], row_axis: int, column_axis: int) -> np.ndarray:
        """Weights with rows and, where it is another one, columns of zeros."""
        values = self.rng.integers(-60, 61, shape)
        for axis in {row_axis, column_axis}:
            gone = self.rng.random(shape[axis]) < self.draw(st.sampled_from([0, 0.4, 0.7, 1.0]))
            np.moveaxis(values, axis, 0)[gone] = 0
        return values.astype(np.int8)

    def quantised(self, columns: int) -> dict[str, object]:
        scale = float(np.float32(0.05 * columns**0.5 * self.draw(st.floats(0.3, 2))))
        zero_point = self.draw(st.one_of(st.just(-128), ZERO_POINT))
        return {"scale": scale, "zero_point": zero_point, "activation": self.draw(ACTIVATION)}

    def bias(self, rows: int, x: int, w: int) -> int:
        size = self.draw(st.sampled_from([0, 300, 6000]))
        return self.b.bias(self.rng.integers(-size, size + 1, rows), x, w)

    def conv(self, side: int) -> int:
        in_c, out_c = self.shape(self.x)[3], self.draw(st.sampled_from([1, 3, 4, 8, 12]))
        kernel = min(side, self.shape(self.x)[1]), min(side, self.shape(self.x)[2])
        values = self.weights((out_c, *kernel, in_c), 0, 3)
        scales = (0.01 + 0.02 * self.rng.random(out_c)).tolist()
        w = self.b.constant(values, scales if self.draw(st.booleans()) else scales[0])
        options = self.quantised(in_c * kernel[0] * kernel[1])
        padding = self.draw(st.sampled_from(["SAME", "SAME", "VALID"]))
        stride = self.draw(st.sampled_from([(1, 1), (2, 1)]))
        bias = self.bias(out_c, self.x, w)
        return self.b.conv_2d(self.x, w, bias, padding=padding, stride=stride, **options)

    def depthwise(self, multiplier: int) -> int:
        channels = self.shape(self.x)[3] * multiplier
        w = self.b.constant(self.weights((1, 3, 3, channels), 3, 3), 0.02, axis=3)
        bias = self.bias(channels, self.x, w) if self.draw(st.booleans()) else None
        return self.b.depthwise_conv_2d(self.x, w, bias, padding="SAME", **self.quantised(9))

    def add(self, earlier: list[int]) -> int:
        others = [x for x in earlier if self.shape(x) == self.shape(self.x)]
        return self.b.add(self.x, self.draw(st.sampled_from(others)), scale=0.4, zero_point=3)

    def step(self, name: str, earlier: list[int]) -> int:
        b, x = self.b, self.x
        if name == "conv":
            return self.conv(3)
        if name == "conv 1x1":
            return self.conv(1)
        if name.startswith("depthwise"):
            return self.depthwise(2 if name.endswith("x2") else 1)
        if name == "average":
            return b.average_pool_2d(x, (2, 2), padding="SAME")
        if name == "max":
            return b.max_pool_2d(x, (2, 2), padding="SAME", activation=self.draw(ACTIVATION))
        if name == "relu":
            return b.unary("RELU", x, scale=0.3, zero_point=self.draw(ZERO_POINT))
        if name == "logistic":
            return b.unary("LOGISTIC", x, scale=1 / 256, zero_point=-128)
        if name == "pad":
            return b.pad(x, [(0, 0), (1, 0), (0, 1), (0, 0)])
        if name == "resize":
            return b.resize_nearest_neighbor(x, (self.shape(x)[1] + 1, self.shape(x)[2]))
        return self.add(earlier)

    def matrix(self, units: int) -> int:
        columns = self.shape(self.x)[-1]
        w = self.b.constant(self.weights((units, columns), 0, 1), 0.02)
        bias = self.bias(units, self.x, w) if self.draw(st.booleans()) else None
        return self.b.fully_connected(self.x, w, bias, **self.quantised(columns))


@st.composite
def chains(draw: st.DrawFn) -> Example | None:
    """Two to seven operators on a map, then perhaps a RESHAPE and one or two FULLY_CONNECTED."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder()
    sides = [draw(st.integers(1, 5)) for _ in range(2)]
    start = b.input((1, *sides, draw(st.sampled_from([1, 3, 4, 8]))), 0.05, draw(ZERO_POINT))
    chain = Chain(draw, rng, b, start)
    earlier = [start]
    for name in ["conv", *draw(st.lists(STEPS, min_size=1, max_size=6))]:
        chain.x = chain.step(name, earlier)
        earlier.append(chain.x)
    if draw(st.booleans()):
        b.output(chain.x)
        chain.x = chain.conv(1)  # the output before it has a reader as well
    if draw(st.booleans()):
        chain.x = b.reshape(chain.x, (1, int(np.prod(chain.shape(chain.x)))))
        for units in draw(st.sampled_from([(3,), (8, 4)])):
            chain.x = chain.matrix(units)
    b.output(chain.x)
    return finished(b, rng)


@settings(
    max_examples=5 * EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
)
@given(chains(), st.booleans())
def test_chains_equal_the_reference(example: Example | None, keep_dead: bool) -> None:
    assume(example is not None)
    assert example is not None
    image = build_image(encode(example.model, keep_dead=keep_dead))
    runs = run_native(image, example.rows, flags=FLAG_DUMP)
    for row, run in enumerate(runs):
        reference = oracle.run_layers(example.model, [values[row] for values in example.rows])
        assert compare_run(image, example.model, reference, run, row) is None
        for values, index in zip(run.outputs, example.model.outputs, strict=True):
            expected = reference[index].reshape(-1)
            np.testing.assert_array_equal(np.frombuffer(values, np.int8), expected)


def test_chains_have_something_to_drop() -> None:
    """Many of the models above lose channels, known ones and unread ones."""
    narrowed, constants = 0, 0

    @settings(
        max_examples=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(chains())
    def draw(example: Example | None) -> None:
        nonlocal narrowed, constants
        if example is not None:
            found = narrow(example.model).narrowings.values()
            narrowed += bool(found)
            constants += any(each.constants for each in found)

    draw()
    assert narrowed >= 15
    assert constants >= 8
