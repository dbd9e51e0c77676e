"""Single layers of every operator, many to a model, for host/fit_cost.py to measure.

A layer takes its input from a slice of the model's one input, whose zeros are known.  Sizes are
drawn from those of real networks, by a generator with a seed of its own: the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode.cost import Price
from edgesparse.encode.encoded import Variant
from edgesparse.encode.job import Zeros
from edgesparse.encode.lower import LOWER, Candidate
from edgesparse.encode.narrow.classes import Classes
from edgesparse.encode.variants import variants_of
from edgesparse.encode.work import WORK
from edgesparse.model import Model, parse_model
from tests.tflite_builder import Builder

__all__ = ["ZERO_SHARES", "Place", "Stack", "input_row", "layers", "stacks", "with_classes"]

ZERO_SHARES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9)
"""Of the regions of the input."""
REGION = 16384
_ZERO_POINT = -128
_SCALE = 0.05
_WEIGHT_ZEROS = (0.0, 0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
_WEIGHT_SPREADS = (15.0, 30.0, 60.0, 120.0)
"""Standard deviations: whether lanes hold a row's products depends on the sizes of its weights."""
_OUT_ZERO_POINTS = (-128, 0)
"""Zeros at the end of int8 are counted in one pass with the saturated values, others apart."""
_MAX_SCRATCH_BYTES = 40000
_CLASSED = 50
_SIGNALS = 30
_MAX_NODES = 240
_MAX_WEIGHTS_BYTES = 700_000
_MAX_MACS = 600_000

_SIDES = (
    *((1, 1), (2, 3), (3, 3), (6, 6), (7, 7), (8, 8), (9, 9), (12, 12), (16, 16), (20, 20)),
    *((24, 24), (32, 32), (1, 48), (5, 25), (25, 5), (49, 10)),
)

Take = Callable[..., int]
Layer = Callable[[Builder, Take], int]


def input_row() -> NDArray[np.int8]:
    """The model's input, int8 [1, elements]: one region for each share of zeros."""
    rng = np.random.default_rng(1)
    regions = []
    for share in ZERO_SHARES:
        values = rng.integers(-127, 128, REGION)
        values[rng.random(REGION) < share] = _ZERO_POINT
        regions.append(values.astype(np.int8))
    return np.concatenate(regions).reshape(1, -1)


# --- Layers ----------------------------------------------------------------------------------


def _weights(rng: random.Random, shape: tuple[int, ...]) -> NDArray[np.int8]:
    draw = np.random.default_rng(rng.getrandbits(32))
    spread = draw.choice(_WEIGHT_SPREADS)
    values = np.clip(np.rint(draw.normal(0.0, spread, shape)), -127, 127)
    values[values == 0] = 1
    values[draw.random(shape) < rng.choice(_WEIGHT_ZEROS)] = 0
    return values.astype(np.int8)


def _out_scale(columns: int, rng: random.Random) -> float:
    """A scale of the output; now and then one whose rows need the exact rescaling."""
    usual = _SCALE * 0.01 * 100 * columns**0.5 * 0.5
    return usual * (0.0005 if rng.random() < 0.05 else 1.0)


def _convolution(rng: random.Random, *, depthwise: bool, clamped: bool = False) -> Layer | None:
    kernel = rng.choice([(1, 1)] * 4 + [(3, 3)] * 4 + [(5, 5), (10, 4), (7, 1), (1, 5), (2, 2)])
    if depthwise:
        kernel = rng.choice([(3, 3)] * 7 + [(5, 5), (7, 7), (10, 8), (4, 1), (1, 3)])
    in_c = rng.choice([1, 2, 3, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256])
    out_c = rng.choice([2, 4, 5, 8, 10, 16, 24, 32, 48, 64, 128, 256])
    out_c = in_c * rng.choice([1] * 8 + [2, 8]) if depthwise else out_c
    sides = rng.choice(_SIDES)
    stride = rng.choice([(1, 1), (1, 1), (2, 2)])
    padding = rng.choice(["SAME", "SAME", "VALID"])
    columns = kernel[0] * kernel[1] * (1 if depthwise else in_c)
    outputs = -(-sides[0] // stride[0]) * -(-sides[1] // stride[1]) * out_c
    inside = kernel[0] <= sides[0] and kernel[1] <= sides[1]
    sizes = sides[0] * sides[1] * in_c <= REGION and outputs <= REGION
    if not (inside and sizes and 3000 <= outputs * columns <= _MAX_MACS):
        return None
    if columns * out_c > 40_000:
        return None
    shape = (1, *kernel, out_c) if depthwise else (out_c, *kernel, in_c)
    weights = _weights(rng, shape)
    bias = np.asarray([rng.randrange(-900, 900) for _ in range(out_c)], np.int32)
    scale = _out_scale(columns, rng)
    zero_point = 0 if clamped else rng.choice(_OUT_ZERO_POINTS)

    def add(b: Builder, take: Take) -> int:
        x = take((1, *sides, in_c))
        w = b.constant(weights, [0.01] * out_c, axis=3 if depthwise else 0)
        operator = b.depthwise_conv_2d if depthwise else b.conv_2d
        activation = "RELU" if clamped else "NONE"  # at zero point 0 it clamps
        return operator(
            x,
            w,
            b.bias(bias, x, w),
            scale=scale,
            padding=padding,
            stride=stride,
            activation=activation,
            zero_point=zero_point,
        )

    return add


def _stream(rng: random.Random, *, depthwise: bool) -> Layer | None:
    """A convolution of the last few steps of a signal, with one position."""
    steps = rng.choice([3, 5, 8, 9, 13, 21] if depthwise else [1, 1, 1, 3, 5])
    in_c = rng.choice([10, 16, 30, 32, 40, 48, 64, 96])
    out_c = in_c if depthwise else rng.choice([4, 12, 24, 32, 48, 64, 128])
    if steps * in_c * (1 if depthwise else out_c) > 40_000:
        return None
    weights = _weights(rng, (1, steps, 1, out_c) if depthwise else (out_c, steps, 1, in_c))
    bias = np.asarray([rng.randrange(-900, 900) for _ in range(out_c)], np.int32)
    scale = _out_scale(steps * (1 if depthwise else in_c), rng)
    zero_point = rng.choice(_OUT_ZERO_POINTS)

    def add(b: Builder, take: Take) -> int:
        x = take((1, steps, 1, in_c))
        w = b.constant(weights, [0.01] * out_c, axis=3 if depthwise else 0)
        operator = b.depthwise_conv_2d if depthwise else b.conv_2d
        bias_of = b.bias(bias, x, w)
        return operator(x, w, bias_of, scale=scale, zero_point=zero_point, padding="VALID")

    return add


def _signal(rng: random.Random) -> Layer:
    """A depthwise convolution along a signal."""
    steps, channels = rng.choice([15, 24, 28, 49, 98]), rng.choice([8, 16, 32, 40, 64, 128])
    taps, stride = rng.choice([3, 5, 9, 10, 15]), rng.choice([1, 1, 2])
    padding = rng.choice(["SAME", "VALID"])
    weights = _weights(rng, (1, taps, 1, channels))
    bias = np.asarray([rng.randrange(-900, 900) for _ in range(channels)], np.int32)
    scale, zero_point = _out_scale(taps, rng), rng.choice(_OUT_ZERO_POINTS)

    def add(b: Builder, take: Take) -> int:
        x = take((1, steps, 1, channels))
        w = b.constant(weights, [0.01] * channels, axis=3)
        return b.depthwise_conv_2d(
            x,
            w,
            b.bias(bias, x, w),
            scale=scale,
            padding=padding,
            stride=(stride, 1),
            zero_point=zero_point,
        )

    return add


def _border_kinds(length: int, kinds: int) -> NDArray[np.int64]:
    """Kinds of places along a side: 0 inside, others at the ends, as padding makes them."""
    found = np.zeros(length, np.int64)
    for kind, place in zip(range(1, kinds), (-1, 0, -2), strict=False):
        found[place] = kind
    return found


def _classed(rng: random.Random) -> tuple[Layer, Classes] | None:
    """A convolution whose biases differ by class of position."""
    size = rng.choice([1, 1, 1, 3])
    in_c, out_c = rng.choice([4, 8, 16, 20, 28, 48, 64]), rng.choice([8, 12, 16, 30, 48, 64])
    sides = rng.choice([side for side in _SIDES if min(side) >= 5])
    columns, positions = size * size * in_c, sides[0] * sides[1]
    if positions * max(in_c, out_c) > REGION or positions * columns * out_c > _MAX_MACS:
        return None
    weights = _weights(rng, (out_c, size, size, in_c))
    scale = _out_scale(columns, rng)
    high, wide = rng.choice([(1, 2), (2, 1), (2, 2), (3, 3), (3, 3), (4, 4)])
    kinds = _border_kinds(sides[0], high)[:, None] * wide + _border_kinds(sides[1], wide)
    draw = np.random.default_rng(rng.getrandbits(32))
    amounts = draw.integers(-300, 300, (high * wide, out_c))
    amounts[0] = 0
    amounts[:, draw.random(out_c) < rng.choice([0.0, 0.0, 0.5])] = 0
    zero_point = rng.choice(_OUT_ZERO_POINTS)

    def add(b: Builder, take: Take) -> int:
        x = take((1, *sides, in_c))
        w = b.constant(weights, [0.01] * out_c)
        bias = b.bias(np.zeros(out_c, np.int32), x, w)
        return b.conv_2d(x, w, bias, scale=scale, zero_point=zero_point)

    return add, Classes(amounts, kinds.reshape(-1).astype(np.uint8))


def _fully_connected(rng: random.Random) -> Layer:
    columns = rng.choice([1, 8, 16, 30, 64, 100, 128, 256, 300, 640, 784, 1024])
    rows = min(rng.choice([1, 2, 4, 5, 10, 12, 32, 64, 100, 128, 300]), 40_000 // columns)
    batches = rng.choice([1, 1, 1, 1, 2, 3, 4, 9])
    weights = _weights(rng, (rows, columns))
    bias = np.asarray([rng.randrange(-900, 900) for _ in range(rows)], np.int32)
    scale = _out_scale(columns, rng)
    zero_point = rng.choice(_OUT_ZERO_POINTS)

    def add(b: Builder, take: Take) -> int:
        x = take((batches, columns))
        w = b.constant(weights, 0.01)
        return b.fully_connected(x, w, b.bias(bias, x, w), scale=scale, zero_point=zero_point)

    return add


def _transpose_conv(rng: random.Random) -> Layer:
    side, in_c, out_c = rng.choice([2, 4, 6]), rng.choice([1, 4, 8, 16]), rng.choice([1, 4, 8])
    stride, size = rng.choice([1, 2]), rng.choice([2, 3])
    weights = _weights(rng, (out_c, size, size, in_c))

    def add(b: Builder, take: Take) -> int:
        x = take((1, side, side, in_c))
        w = b.constant(weights, [0.01] * out_c)
        bias = b.bias(np.zeros(out_c, np.int32), x, w)
        out = (side * stride, side * stride)
        return b.transpose_conv(x, w, bias, out, scale=2.0, stride=(stride, stride))

    return add


def _binary(rng: random.Random, name: str) -> Layer:
    shape = (1, rng.choice([1, 4, 8, 16]), rng.choice([3, 8, 16]), rng.choice([4, 10, 16, 32]))
    other = rng.choice([shape, shape, (1, 1, 1, shape[3])])
    alike = name in ("MAXIMUM", "MINIMUM")  # both operands and the output have one scale
    scale = _SCALE if alike else rng.choice([0.08, 0.11])
    zero_point = _ZERO_POINT if alike else 3
    activation = None if alike else "NONE"
    rescaled = not alike and rng.random() < 0.7

    def add(b: Builder, take: Take) -> int:
        first, second = take(shape), take(other, 1)
        if rescaled:
            second = b.unary("RELU", second, scale=0.033, zero_point=-100)
        return b.binary(
            name, first, second, scale=scale, zero_point=zero_point, activation=activation
        )

    return add


def _unary(rng: random.Random) -> Layer:
    count = rng.choice([1, 7, 64, 300, 1000, 4000, 9001])
    return lambda b, take: b.unary("RELU", take((1, count)), scale=0.06, zero_point=-100)


def _pool(rng: random.Random, name: str) -> Layer:
    side, channels = rng.choice([4, 6, 8, 12]), rng.choice([1, 3, 4, 16, 32, 64])
    window = rng.choice([2, 3, side])
    stride = rng.choice([1, 2]) if window < side else 1

    def add(b: Builder, take: Take) -> int:
        x = take((1, side, side, channels))
        padding = rng.choice(["VALID", "SAME"]) if window < side else "VALID"
        return b.pool_2d(name, x, (window, window), stride=(stride, stride), padding=padding)

    return add


def _softmax(rng: random.Random) -> Layer:
    shape = (rng.choice([1, 1, 4, 20]), rng.choice([2, 3, 10, 12, 35, 100]))
    return lambda b, take: b.softmax(take(shape))


def _move(rng: random.Random) -> Layer:
    side, channels = rng.choice([3, 5, 8, 16]), rng.choice([1, 3, 4, 8, 16, 30])
    shape = (1, side, side, channels)
    kinds: list[Layer] = [
        lambda b, take: b.pad(take(shape), [(0, 0), (1, 1), (1, 1), (0, 0)]),
        lambda b, take: b.transpose(take(shape), rng.choice([(0, 2, 1, 3), (0, 3, 1, 2)])),
        lambda b, take: b.concatenation([take(shape), take(shape, 1)], 3),
        lambda b, take: b.concatenation([take(shape), take(shape, 1)], 1),
    ]
    return rng.choice(kinds)


def _resize(rng: random.Random) -> Layer:
    side, channels = rng.choice([3, 5, 8]), rng.choice([1, 3, 4, 8, 16, 30])
    return lambda b, take: b.resize_nearest_neighbor(
        take((1, side, side, channels)), (2 * side, 2 * side)
    )


def _mean(rng: random.Random) -> Layer:
    side, channels = rng.choice([3, 5, 8, 12]), rng.choice([1, 3, 4, 16, 64])
    axes = rng.choice([[1, 2], [3], [1, 2, 3]])

    def add(b: Builder, take: Take) -> int:
        return b.mean(take((1, side, side, channels)), axes, keep_dims=True, scale=0.04)

    return add


def _assign(name: str, count: int) -> Layer:
    def add(b: Builder, take: Take) -> int:
        value = take((1, count))
        init = b.init or b.call_once()
        initial = init.constant(np.zeros((1, count), np.int8), _SCALE, zero_points=_ZERO_POINT)
        init.assign_variable(init.var_handle(name), initial)
        handle = b.var_handle(name)
        b.assign_variable(handle, value)
        return handle

    return add


def layers() -> Iterator[tuple[Layer, Classes | None]]:
    """All layers, kinds mixed, the same ones in every run."""
    rng = random.Random(5)  # noqa: S311
    kinds: list[tuple[int, Callable[[], Layer | None]]] = [
        (170, lambda: _convolution(rng, depthwise=False)),
        (140, lambda: _convolution(rng, depthwise=True)),
        (70, lambda: _fully_connected(rng)),
        (12, lambda: _transpose_conv(rng)),
        (14, lambda: _binary(rng, "ADD")),
        (24, lambda: _binary(rng, "SUB")),
        (24, lambda: _binary(rng, "MUL")),
        (24, lambda: _binary(rng, "MAXIMUM")),
        (8, lambda: _unary(rng)),
        (16, lambda: _pool(rng, "AVERAGE_POOL_2D")),
        (16, lambda: _pool(rng, "MAX_POOL_2D")),
        (12, lambda: _softmax(rng)),
        (24, lambda: _move(rng)),
        (8, lambda: _resize(rng)),
        (14, lambda: _mean(rng)),
        (40, lambda: _stream(rng, depthwise=False)),
        (20, lambda: _stream(rng, depthwise=True)),
        (20, lambda: _convolution(rng, depthwise=False, clamped=True)),
        (20, lambda: _convolution(rng, depthwise=True, clamped=True)),
    ]
    for count, make in kinds:
        left = count
        while left:
            layer = make()
            if layer is not None:
                left -= 1
                yield layer, None
    for count in (1, 10, 100, 301, 1000, 3000):
        yield _assign(f"variable {count}", count), None
    left = _CLASSED
    while left:
        classed = _classed(rng)
        if classed is not None:
            left -= 1
            yield classed
    for _ in range(_SIGNALS):
        yield _signal(rng), None


# --- Models of many layers ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Place:
    """What an operator of a stack is to be measured as.

    kernel, band: which of encode's variants, 0 for a kernel without bands.  skip: whether all zero
    activations are skipped, or none.  zeros: of its first input.  classes: of its positions.
    """

    kernel: str
    band: int
    skip: bool
    zeros: Zeros
    classes: Classes | None = None


NOWHERE = Place("", 0, False, Zeros())
"""Of an operator that only hands a layer its input."""


def way_of(variant: Variant) -> tuple[str, int]:
    """Kernel and band of a variant."""
    band = variant.candidate.params.get("band", 0)
    assert isinstance(band, int)
    return variant.kernel, band


def with_classes(candidate: Candidate, classes: Classes | None) -> Candidate:
    """A CONV_2D with classes of positions, or as it is."""
    if classes is None:
        return candidate
    params = {**candidate.params, "classes": len(classes.amounts)}
    return replace(candidate, params=params, channels=candidate.channels + classes.to_bytes())


@dataclass(slots=True)
class Stack:
    """A model of many layers, and what each operator of interest is measured as."""

    model: Model
    places: Mapping[int, Place] = field(default_factory=dict)


def _zeros(first: int, count: int) -> Zeros:
    values = input_row()[0, first : first + count]
    return Zeros(float(np.mean(values == _ZERO_POINT)))


class _Building:
    """A model that layers are added to, each with its input from the same region."""

    def __init__(self) -> None:
        self.b = Builder()
        self.x = self.b.input((1, len(ZERO_SHARES) * REGION), _SCALE, _ZERO_POINT)
        self.places: dict[int, Place] = {}
        self.weights_bytes = 0

    def taker(self, region: int) -> tuple[Take, dict[int, Zeros]]:
        """What hands a layer its inputs, and the zeros in them."""
        known: dict[tuple[tuple[int, ...], int], int] = {}
        zeros: dict[int, Zeros] = {}

        def take(shape: tuple[int, ...], nth: int = 0) -> int:
            if (shape, nth) not in known:
                count = int(np.prod(shape))
                first = region * REGION + nth % max(REGION - count, 1)
                part = self.b.strided_slice(
                    self.x, [0, first], [1, first + count], [1, 1], (1, count)
                )
                known[shape, nth] = self.b.reshape(part, shape)
                if nth == 0:
                    zeros[0] = _zeros(first, count)
            return known[shape, nth]

        return take, zeros

    def add(
        self,
        layer: Layer,
        classes: Classes | None,
        ways: list[tuple[Variant, bool]],
        region: int,
    ) -> None:
        """Add a layer once for each way to run it."""
        take, zeros = self.taker(region)
        for variant, skip in ways:
            layer(self.b, take)
            place = Place(*way_of(variant), skip, zeros.get(0, Zeros()), classes)
            self.places[len(self.b.operators) - 1] = place

    def finish(self) -> Stack:
        self.b.output(self.b.unary("RELU", self.x, scale=_SCALE, zero_point=_ZERO_POINT))
        return Stack(parse_model(self.b.finish(), name="layers"), self.places)


def _probe(layer: Layer, classes: Classes | None) -> list[Variant]:
    """The variants of a layer by itself."""
    probe = _Building()
    layer(probe.b, probe.taker(0)[0])
    model = probe.finish().model
    node = model.nodes[-2]
    candidates = [with_classes(each, classes) for each in LOWER[node.op](model, node)]
    return variants_of(candidates, Price(), Zeros(), skip=True)


def _ways(variants: list[Variant], rng: random.Random) -> list[tuple[Variant, bool]]:
    """Which variants to measure: each kernel in up to three bands, with and without skipping."""
    by_kernel: dict[str, dict[tuple[str, int], Variant]] = {}
    for variant in variants:
        if variant.scratch_bytes <= _MAX_SCRATCH_BYTES:
            by_kernel.setdefault(variant.kernel, {})[way_of(variant)] = variant
    ways: list[tuple[Variant, bool]] = []
    for kernel, in_bands in by_kernel.items():
        some = rng.sample(list(in_bands.values()), min(3, len(in_bands)))
        ways += [(each, False) for each in some]
        ways += [(each, True) for each in some if WORK[kernel].skipping is not None]
    return ways


def stacks() -> Iterator[Stack]:
    """Models that hold all layers."""
    rng = random.Random(7)  # noqa: S311
    building, used_bytes = _Building(), 0
    for number, (layer, classes) in enumerate(layers()):
        variants = _probe(layer, classes)
        ways = _ways(variants, rng)
        by_kernel = {each.kernel: each.flash_bytes for each, _ in ways}
        flash_bytes = sum(by_kernel.values())
        if (
            len(building.b.operators) + len(ways) + 4 > _MAX_NODES
            or used_bytes + flash_bytes > _MAX_WEIGHTS_BYTES
        ):
            yield building.finish()
            building, used_bytes = _Building(), 0
        building.add(layer, classes, ways, number % len(ZERO_SHARES))
        used_bytes += flash_bytes
    yield building.finish()
