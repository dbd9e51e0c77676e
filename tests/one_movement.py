"""Random models of one operator that moves elements or reduces over them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.drawing import (
    ACTIVATIONS,
    PADDING,
    ZERO_POINT,
    Example,
    draw_bias,
    draw_scales,
    draw_weights,
    finished,
    rng_of,
)
from tests.tflite_builder import Builder

_SCALE = st.sampled_from([0.5, 1 / 3, 1e-4, 7.25])


def _shape(draw: st.DrawFn, most: int, *, least: int = 1) -> list[int]:
    """Up to `most` dimensions; a last one of several words now and then."""
    rank = draw(st.integers(least, most))
    shape = [draw(st.integers(1, 5)) for _ in range(rank)]
    shape[-1] = draw(st.sampled_from([shape[-1], 4, 7, 16]))
    return shape


@st.composite
def pads(draw: st.DrawFn, *, with_value: bool) -> Example | None:
    """PAD, or PADV2."""
    rng = rng_of(draw)
    shape = _shape(draw, 4)
    paddings = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in shape]
    b = Builder()
    x = b.input(shape, draw(_SCALE), draw(ZERO_POINT))
    b.output(b.pad(x, paddings, value=draw(ZERO_POINT) if with_value else None))
    return finished(b, rng)


@st.composite
def concatenations(draw: st.DrawFn) -> Example | None:
    """CONCATENATION of up to four inputs along any axis; the first one perhaps twice."""
    rng = rng_of(draw)
    shape = _shape(draw, 4)
    axis = draw(st.integers(0, len(shape) - 1))
    scale, zero_point = draw(_SCALE), draw(ZERO_POINT)
    b = Builder()
    xs = []
    for _ in range(draw(st.integers(1, 4))):
        shape[axis] = draw(st.integers(1, 5))
        xs.append(b.input(shape, scale, zero_point))
    if draw(st.booleans()):
        xs.append(xs[0])
    b.output(b.concatenation(xs, axis - draw(st.sampled_from([0, len(shape)]))))
    return finished(b, rng)


@st.composite
def splits(draw: st.DrawFn, *, by_size: bool) -> Example | None:
    """SPLIT, or SPLIT_V, of which one size may be left open; not every part is an output."""
    rng = rng_of(draw)
    shape = _shape(draw, 4)
    axis = draw(st.integers(0, len(shape) - 1))
    sizes = [draw(st.integers(1, 3)) for _ in range(draw(st.integers(1, 4)))]
    if not by_size:
        sizes = [sizes[0]] * len(sizes)
    shape[axis] = sum(sizes)
    b = Builder()
    x = b.input(shape, draw(_SCALE), draw(ZERO_POINT))
    place = axis - draw(st.sampled_from([0, len(shape)]))
    if by_size and draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    ys = b.split(x, place, sizes if by_size else len(sizes))
    b.output(*ys[: draw(st.integers(1, len(ys)))])
    return finished(b, rng)


def _index(draw: st.DrawFn, side: int) -> tuple[int, int, int]:
    """Begin, end and stride along a dimension; ends beyond it now and then."""
    place = st.integers(-side - 2, side + 2)
    return draw(place), draw(place), draw(st.sampled_from([1, 1, 2, 3, -1, -2]))


def _slice_masks(draw: st.DrawFn, count: int) -> dict[str, int]:
    bits = st.integers(0, 2**count - 1)
    few = st.one_of(st.just(0), st.sampled_from([1 << i for i in range(count)]))
    return {
        "BeginMask": draw(bits),
        "EndMask": draw(bits),
        "ShrinkAxisMask": draw(few),
        "NewAxisMask": draw(few),
        "EllipsisMask": draw(few),
    }


def sliced_shape(
    shape: list[int], given: list[tuple[int, int, int]], masks: dict[str, int]
) -> tuple[int, ...] | None:
    """The shape that numpy gives to the same slice; None where numpy refuses it."""
    indices: list[object] = []
    for i, (begin, end, stride) in enumerate(given):
        if masks["EllipsisMask"] >> i & 1:
            indices.append(Ellipsis)
        elif masks["NewAxisMask"] >> i & 1:
            indices.append(None)
        elif masks["ShrinkAxisMask"] >> i & 1:
            indices.append(0 if masks["BeginMask"] >> i & 1 else begin)
        else:
            first = None if masks["BeginMask"] >> i & 1 else begin
            last = None if masks["EndMask"] >> i & 1 else end
            indices.append(slice(first, last, stride))
    try:
        return np.zeros(shape)[tuple(indices)].shape  # type: ignore[index]
    except IndexError:
        return None


@st.composite
def strided_slices(draw: st.DrawFn) -> Example | None:
    """STRIDED_SLICE with any masks, strides of both signs and fewer indices than dimensions."""
    rng = rng_of(draw)
    shape = _shape(draw, 4)
    count = draw(st.integers(1, len(shape) + 1))
    given = [_index(draw, shape[min(i, len(shape) - 1)]) for i in range(count)]
    masks = _slice_masks(draw, count)
    result = sliced_shape(shape, given, masks)
    if result is None or 0 in result:
        return None
    b = Builder()
    x = b.input(shape, draw(_SCALE), draw(ZERO_POINT))
    begin, end, strides = zip(*given, strict=True)
    b.output(b.strided_slice(x, begin, end, strides, result, **masks))
    return finished(b, rng)


@st.composite
def transposes(draw: st.DrawFn) -> Example | None:
    """TRANSPOSE by any permutation."""
    rng = rng_of(draw)
    shape = _shape(draw, 5)
    b = Builder()
    x = b.input(shape, draw(_SCALE), draw(ZERO_POINT))
    b.output(b.transpose(x, draw(st.permutations(range(len(shape))))))
    return finished(b, rng)


@st.composite
def resizings(draw: st.DrawFn) -> Example | None:
    """RESIZE_NEAREST_NEIGHBOR to larger and smaller sizes."""
    rng = rng_of(draw)
    sides = [draw(st.integers(1, 12)) for _ in range(2)]
    size = (draw(st.integers(1, 25)), draw(st.integers(1, 25)))
    b = Builder()
    shape = (draw(st.integers(1, 2)), *sides, draw(st.integers(1, 9)))
    x = b.input(shape, draw(_SCALE), draw(ZERO_POINT))
    corners, centers = draw(st.booleans()), draw(st.booleans())
    b.output(b.resize_nearest_neighbor(x, size, align_corners=corners, half_pixel_centers=centers))
    return finished(b, rng)


@st.composite
def means(draw: st.DrawFn) -> Example | None:
    """MEAN over any axes; the scales' quotient spans shifts from beyond -31 to the left."""
    rng = rng_of(draw)
    shape = _shape(draw, 5)
    if draw(st.booleans()):  # long sums
        shape[draw(st.integers(0, len(shape) - 1))] = draw(st.integers(40, 300))
    some = st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True)
    axes = [axis - draw(st.sampled_from([0, len(shape)])) for axis in draw(some)]
    scale = float(np.float32(10.0 ** draw(st.floats(-4, 0))))
    factor = 10.0 ** draw(st.sampled_from([0.0, 0.1, -0.7, 1.3, 4.0, -9.5, -12.0]))
    out_scale = scale if draw(st.booleans()) else float(np.float32(scale / factor))
    b = Builder()
    x = b.input(shape, scale, draw(ZERO_POINT))
    keep_dims = draw(st.booleans()) or len(axes) == len(shape)
    point = draw(ZERO_POINT)
    b.output(b.mean(x, axes, keep_dims=keep_dims, scale=out_scale, zero_point=point))
    return finished(b, rng)


@st.composite
def transposed_convolutions(draw: st.DrawFn) -> Example | None:
    """TRANSPOSE_CONV; outputs of the usual sizes and of any other."""
    rng = rng_of(draw)
    kernel = (draw(st.integers(1, 4)), draw(st.integers(1, 4)))
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    in_c, out_c = draw(st.sampled_from([1, 2, 3, 4, 8])), draw(st.integers(1, 6))
    sides = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    padding = draw(PADDING)
    size = (sides[0] * stride[0], sides[1] * stride[1])
    if padding == "VALID":
        size = (size[0] + kernel[0] - stride[0], size[1] + kernel[1] - stride[1])
    if min(size) < 1 or draw(st.integers(0, 4)) == 0:
        size = (draw(st.integers(1, 12)), draw(st.integers(1, 12)))
    in_scale, scales, out_scale = draw_scales(draw, rng, out_c, per_row=draw(st.booleans()))
    b = Builder()
    x = b.input((draw(st.sampled_from([1, 1, 2])), *sides, in_c), in_scale, draw(ZERO_POINT))
    w = b.constant(draw_weights(draw, rng, (out_c, *kernel, in_c)), scales)
    values = draw_bias(draw, rng, out_c)
    y = b.transpose_conv(
        x,
        w,
        None if values is None else b.bias(values, x, w),
        size,
        scale=out_scale,
        zero_point=draw(ZERO_POINT),
        padding=padding,
        stride=stride,
        activation=draw(ACTIVATIONS),
    )
    b.output(y)
    return finished(b, rng)


MOVEMENT: dict[str, st.SearchStrategy[Example | None]] = {
    "PAD": pads(with_value=False),
    "PADV2": pads(with_value=True),
    "CONCATENATION": concatenations(),
    "SPLIT": splits(by_size=False),
    "SPLIT_V": splits(by_size=True),
    "STRIDED_SLICE": strided_slices(),
    "TRANSPOSE": transposes(),
    "RESIZE_NEAREST_NEIGHBOR": resizings(),
    "MEAN": means(),
    "TRANSPOSE_CONV": transposed_convolutions(),
}
"""What a test draws from, by operator; None stands for a model that is refused."""
