"""Operators that move or reduce elements: reasons to refuse, folding, free ones, the loader."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgesparse import native, oracle
from edgesparse.encode import encode
from edgesparse.errors import UnsupportedModelError
from edgesparse.image import Image, build_image
from edgesparse.model import Model, parse_model
from edgesparse.ops import check_supported
from tests.conformance.make_vectors import section_row, set_field, with_crc
from tests.devices import run_native
from tests.tflite_builder import Builder


def model_of(b: Builder, *outputs: int) -> Model:
    b.output(*outputs)
    return parse_model(b.finish(), name="m")


def reasons(b: Builder, *outputs: int) -> list[str]:
    """Why a model is refused, without the operator."""
    try:
        check_supported(model_of(b, *outputs))
    except UnsupportedModelError as error:
        return [reason for _, _, reason in error.offenders]
    return []


def weights(b: Builder, shape: tuple[int, ...], axis: int = 0) -> int:
    values = np.random.default_rng(3).integers(-9, 10, shape).astype(np.int8)
    return b.constant(values, [0.05], axis)


def padded_convolution(
    paddings: list[tuple[int, int]], *, value: int | None = None, depthwise: bool = False
) -> tuple[Builder, int, int]:
    """A PAD and the VALID convolution of stride 2 behind it: builder, the PAD's output, the end."""
    b = Builder()
    x = b.input((1, 6, 7, 4), 0.1, -5)
    padded = b.pad(x, paddings, value=value)
    shape = (1, 3, 3, 4) if depthwise else (5, 3, 3, 4)
    w = weights(b, shape, 3 if depthwise else 0)
    bias = b.bias(np.arange(shape[3] if depthwise else shape[0]), padded, w)
    operator = b.depthwise_conv_2d if depthwise else b.conv_2d
    y = operator(padded, w, bias, scale=0.3, zero_point=4, padding="VALID", stride=(2, 2))
    return b, padded, y


def equals_oracle(model: Model, image: Image) -> bool:
    shape = model.tensors[model.inputs[0]].shape
    rows = np.random.default_rng(1).integers(-128, 128, (4, *shape)).astype(np.int8)
    expected = oracle.run(model, rows)
    results = run_native(image, [rows])
    return all(
        values == wanted.tobytes()
        for reference, got in zip(expected, results, strict=True)
        for values, wanted in zip(got.outputs, reference, strict=True)
    )


IMAGE_ONLY = [(0, 0), (1, 1), (1, 1), (0, 0)]


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize(
    "paddings",
    [
        IMAGE_ONLY,
        [(0, 0), (0, 1), (0, 1), (0, 0)],
        [(0, 0), (2, 0), (1, 2), (0, 0)],
        [(0, 0), (2, 9), (2, 11), (0, 0)],
    ],
)
def test_pad_goes_into_the_convolution(depthwise: bool, paddings: list[tuple[int, int]]) -> None:
    b, _, y = padded_convolution(paddings, depthwise=depthwise)
    model = model_of(b, y)
    image = build_image(encode(model))
    pad, convolution = image.meta.layers
    assert len(image.nodes) == 1
    assert (pad.node, pad.encoding, pad.kernel, pad.macs, pad.activations) == (
        None,
        "none",
        "",
        0,
        0,
    )
    assert convolution.node == 0
    assert equals_oracle(model, image)


def _second_reader(b: Builder, padded: int, y: int) -> list[int]:
    return [y, b.max_pool_2d(padded, (1, 1))]


def _model_output(b: Builder, padded: int, y: int) -> list[int]:
    return [y, padded]


def _nothing_more(b: Builder, padded: int, y: int) -> list[int]:
    return [y]


@pytest.mark.parametrize(
    ("paddings", "value", "outputs"),
    [
        (IMAGE_ONLY, None, _second_reader),
        (IMAGE_ONLY, None, _model_output),
        (IMAGE_ONLY, 3, _nothing_more),
        ([(0, 0), (3, 0), (0, 0), (0, 0)], None, _nothing_more),
        ([(1, 0), (1, 1), (1, 1), (0, 0)], None, _nothing_more),
    ],
)
def test_pad_that_cannot_be_folded_runs(
    paddings: list[tuple[int, int]],
    value: int | None,
    outputs: Callable[[Builder, int, int], list[int]],
) -> None:
    b, padded, y = padded_convolution(paddings, value=value)
    model = model_of(b, *outputs(b, padded, y))
    image = build_image(encode(model))
    assert image.meta.layers[0].kernel == "move_s8"
    assert equals_oracle(model, image)


def test_pad_with_the_zero_point_as_value_is_folded() -> None:
    b, _, y = padded_convolution(IMAGE_ONLY, value=-5)
    model = model_of(b, y)
    image = build_image(encode(model))
    assert len(image.nodes) == 1
    assert equals_oracle(model, image)


def test_squeeze_and_expand_dims_cost_nothing() -> None:
    b = Builder()
    x = b.input((1, 4, 1, 3), 0.5, 2)
    y = b.expand_dims(b.squeeze(b.squeeze(x, [2]), []), -1)
    pooled = b.max_pool_2d(b.expand_dims(y, 0), (2, 1))
    model = model_of(b, pooled)
    image = build_image(encode(model))
    assert [layer.node for layer in image.meta.layers] == [None, None, None, None, 0]
    assert [layer.same_as_input for layer in image.meta.layers] == [0, 0, 0, 0, None]
    assert equals_oracle(model, image)


def test_parts_that_nobody_reads_are_written_and_counted() -> None:
    b = Builder()
    parts = b.split(b.input((1, 6, 5), 0.5, 2), 1, 3)
    b.output(parts[1])
    model = parse_model(b.finish(), name="m")
    image = build_image(encode(model))
    zeros = np.full((1, 1, 6, 5), 2, np.int8)
    (result,) = run_native(image, [zeros])
    assert (result.layers[0].activations, result.layers[0].activation_zeros) == (30, 30)


# --- Reasons to refuse


def test_pad_refuses() -> None:
    b = Builder()
    x = b.input((1, 2, 3), 0.5, 1)
    other = b.tensor((1, 3, 3), 0.25, 1)
    amounts = b.constant(np.array([[0, 0], [1, 0], [0, 0]], np.int32))
    negative = b.constant(np.array([[0, 0], [-1, 0], [0, 0]], np.int32))
    short = b.constant(np.array([[0, 0], [1, 0]], np.int32))
    value = b.constant(np.array([7], np.int8), [0.25], zero_points=1)
    good = b.tensor((1, 3, 3), 0.5, 1)
    ends = [b.tensor((1, 3, 3), 0.5, 1) for _ in range(3)]
    b.op("PAD", [x, amounts], [other])
    b.op("PAD", [x, negative], [ends[0]])
    b.op("PAD", [x, short], [ends[1]])
    b.op("PADV2", [x, amounts, value], [ends[2]])
    b.op("PADV2", [x, amounts], [good])
    told = reasons(b, other, good, *ends)
    assert told[0].startswith("input and output must be quantised alike")
    assert told[1:3] == [
        "paddings [(0, 0), (-1, 0), (0, 0)] are not all 0 or more",
        "paddings has shape [2, 2], which does not fit the operator",
    ]
    assert told[3].endswith("must be quantised alike (scale 0.25, zero point 1 to scale 0.5, 1)")
    assert told[4] == "the padding value is absent"


def test_concatenation_refuses() -> None:
    b = Builder()
    first, second = b.input((1, 2), 0.5, 1), b.input((1, 3), 0.25, 1)
    flat = b.input((2,), 0.5, 1)
    told = reasons(
        b,
        b.concatenation([first, second], 1),
        b.concatenation([first], 5 - 5, activation="RELU"),
    )
    assert told[0].endswith("must be quantised alike (scale 0.25, zero point 1 to scale 0.5, 1)")
    assert told[1] == "fused activation RELU is not supported"
    y = b.tensor((1, 4), 0.5, 1)
    b.op(
        "CONCATENATION", [first, flat], [y], "ConcatenationOptions", Axis=1,
        FusedActivationFunction=0,
    )  # fmt: skip
    b.outputs = []
    assert "[[1, 2], [2]] cannot be joined along axis 1" in reasons(b, y)


def test_split_refuses() -> None:
    b = Builder()
    x = b.input((1, 5), 0.5, 1)
    axis = b.constant(np.array(1, np.int32))
    parts = [b.tensor((1, 2), 0.5, 1) for _ in range(2)]
    b.op("SPLIT", [axis, x], parts, "SplitOptions", NumSplits=2)
    assert reasons(b, *parts) == ["5 elements do not make 2 such parts"]


def test_one_tensor_cannot_be_two_parts() -> None:
    b = Builder()
    x = b.input((1, 4), 0.5, 1)
    axis = b.constant(np.array(1, np.int32))
    part = b.tensor((1, 2), 0.5, 1)
    b.op("SPLIT", [axis, x], [part, part], "SplitOptions", NumSplits=2)
    assert reasons(b, part) == ["its output already has a value"]


@pytest.mark.parametrize(
    ("given", "masks", "told"),
    [
        (([0], [4], [0]), {}, "strides [0] are not supported"),
        (([0], [4], [-1]), {"ShrinkAxisMask": 1}, "strides [-1] are not supported"),
        (([3], [2], [1]), {}, "the slice is empty"),
        (([9], [0], [1]), {"ShrinkAxisMask": 1}, "the slice is empty"),
        (([0, 0], [1, 1], [1, 1]), {"EllipsisMask": 3}, "more than one ellipsis is not supported"),
        (([0, 0], [1, 1], [1, 1]), {}, "2 indices and the masks do not fit [4]"),
    ],
)
def test_strided_slice_refuses(
    given: tuple[list[int], list[int], list[int]], masks: dict[str, int], told: str
) -> None:
    b = Builder()
    y = b.strided_slice(b.input((4,), 0.5, 1), *given, (1,), **masks)
    assert reasons(b, y) == [told]


def test_transpose_resize_and_mean_refuse() -> None:
    b = Builder()
    x = b.input((1, 2, 3, 4), 0.5, 1)
    ends = [b.tensor((1, 2, 3, 4), 0.5, 1) for _ in range(3)]
    wrong_order = b.constant(np.array([0, 0, 1, 2], np.int32))
    b.op("TRANSPOSE", [x, wrong_order], [ends[0]])
    size = b.constant(np.array([40000, 3], np.int32))
    fields = {"AlignCorners": False, "HalfPixelCenters": False}
    b.op("RESIZE_NEAREST_NEIGHBOR", [x, size], [ends[1]], "ResizeNearestNeighborOptions", **fields)
    axes = b.constant(np.array([4], np.int32))
    b.op("MEAN", [x, axes], [ends[2]], "ReducerOptions", KeepDims=True)
    assert reasons(b, *ends) == [
        "[0, 0, 1, 2] is no permutation of 4 dimensions",
        "input or output is larger than 32767 in height or width",
        "axes [4] do not fit [1, 2, 3, 4]",
    ]


def test_transpose_conv_refuses() -> None:
    b = Builder()
    x = b.input((1, 2, 2, 4), 0.5, 1)
    y = b.transpose_conv(x, weights(b, (3, 2, 2, 5)), None, (4, 4), scale=0.5, stride=(2, 2))
    z = b.transpose_conv(x, weights(b, (3, 2, 2, 4)), None, (4, 4), scale=0.5, stride=(2, 2000))
    assert reasons(b, y, z) == [
        "weights [3, 2, 2, 5] do not lead from input to output",
        "kernel and stride [2, 2, 2, 2000] are not in 1 ... 1024",
    ]


def test_more_than_six_dimensions_are_refused() -> None:
    b = Builder()
    y = b.expand_dims(b.input((1, 1, 1, 1, 1, 2), 0.5, 1), 0)
    assert reasons(b, y) == ["output has 7 dimensions, more than 6"]


# --- The loader


def moving() -> Image:
    """A CONCATENATION of two inputs."""
    b = Builder()
    xs = [b.input((2, 3, 4), 0.5, 1), b.input((2, 2, 4), 0.5, 1)]
    return build_image(encode(model_of(b, b.concatenation(xs, 1))))


def resizing() -> Image:
    b = Builder()
    x = b.input((1, 2, 3, 4), 0.5, 1)
    return build_image(encode(model_of(b, b.resize_nearest_neighbor(x, (4, 6)))))


def pooling() -> Image:
    b = Builder()
    x = b.input((1, 4, 5, 4), 0.5, 1)
    return build_image(encode(model_of(b, b.max_pool_2d(x, (2, 2), stride=(2, 2)))))


def averaging() -> Image:
    b = Builder()
    x = b.input((1, 4, 5, 4), 0.5, 1)
    return build_image(encode(model_of(b, b.mean(x, [1, 2], keep_dims=True, scale=0.4))))


def transposing() -> Image:
    b = Builder()
    x = b.input((1, 3, 3, 4), 0.5, 1)
    y = b.transpose_conv(x, weights(b, (3, 3, 3, 4)), None, (6, 6), scale=0.5, stride=(2, 2))
    return build_image(encode(model_of(b, y)))


def edited(image: Image, layout: str, edits: dict[str, int], *, row: int = -1) -> str:
    """The loader's status for an image with other parameters, or other values in a row of DATA."""
    data = bytearray(image.device_bytes())
    kind = "params" if row < 0 else "data"
    start = section_row(bytes(data), kind)[1]["offset"]
    start += max(row, 0) * native.layout(layout).size_bytes
    for name, value in edits.items():
        set_field(layout, name, value, lambda _: start)(data)
    return native.name_of("status", native.check_image(with_crc(data)).status)


@pytest.mark.parametrize(
    ("make", "layout", "edits"),
    [
        (moving, "move_params", {"fill": 2}),
        (moving, "move_params", {"fill_value": 128}),
        (moving, "move_params", {"moves_count": 1}),
        (resizing, "resize_params", {"in_h": 3}),
        (resizing, "resize_params", {"out_w": 5}),
        (resizing, "resize_params", {"channels": 0}),
        (pooling, "pool_params", {"stride_h": 9}),
        (pooling, "pool_params", {"pad_left": 2}),
        (pooling, "pool_params", {"channels": 3}),
        (averaging, "mean_params", {"kept": 2}),
        (averaging, "mean_params", {"reduced": 0}),
        (averaging, "mean_params", {"multiplier": -1}),
        (averaging, "mean_params", {"shift": 32}),
        (averaging, "mean_params", {"in_zero_point": 2}),
        (transposing, "conv_params", {"dilation_h": 2}),
        (transposing, "conv_params", {"pad_top": 3}),
        (transposing, "conv_params", {"out_h": 7}),
        (transposing, "conv_params", {"stride_w": 0}),
    ],
)
def test_loader_refuses_parameters(
    make: Callable[[], Image], layout: str, edits: dict[str, int]
) -> None:
    image = make()
    assert edited(image, layout, {}) == "ok"
    assert edited(image, layout, edits) == "bad_params"


@pytest.mark.parametrize(
    ("edits", "status"),
    [
        ({"input": 2}, "bad_index"),
        ({"output": 1}, "bad_index"),
        ({"run_bytes": 0}, "bad_params"),
        ({"run_bytes": 0xFFFFFFFF}, "bad_params"),
        ({"run_bytes": 13}, "bad_params"),
        ({"run_bytes": 11}, "bad_params"),
        ({"from": 1}, "bad_params"),
        ({"from": 0xFFFFFFFF}, "bad_params"),
        ({"to": 0xFFFFFFF0}, "bad_params"),
        ({"counts": 0}, "bad_params"),
        ({"counts": 2}, "bad_params"),
        ({"counts": 1 << 25}, "bad_params"),
    ],
)
def test_loader_refuses_a_move(edits: dict[str, int], status: str) -> None:
    assert edited(moving(), "move", edits, row=0) == status


def test_loader_refuses_steps_out_of_a_tensor() -> None:
    image = moving()
    data = bytearray(image.device_bytes())
    start = section_row(bytes(data), "data")[1]["offset"]
    layout = native.layout("move")
    values = layout.unpack(bytes(data), start)
    for name in ("from_steps", "to_steps"):
        for step in (values[name][5] + 40, -1, -(2**31), 2**31 - 1):
            wrong = bytearray(data)
            changed = {**values, name: (*values[name][:5], step)}
            wrong[start : start + layout.size_bytes] = layout.pack(**changed)
            status = native.check_image(with_crc(wrong)).status
            assert native.name_of("status", status) == "bad_params"


def test_loader_refuses_an_index_outside_the_input() -> None:
    data = bytearray(resizing().device_bytes())
    data[section_row(bytes(data), "data")[1]["offset"] + 2] = 2
    assert native.name_of("status", native.check_image(with_crc(data)).status) == "bad_params"


def test_loader_refuses_tables_outside_the_data() -> None:
    assert edited(moving(), "move_params", {"moves_off": 0xFFFFFFFC}) == "bad_offset"
    assert edited(moving(), "move_params", {"moves_off": 2}) == "bad_alignment"
    assert edited(moving(), "move_params", {"moves_count": 0xFFFFFFFF}) == "bad_offset"
    assert edited(resizing(), "resize_params", {"rows_off": 0xFFFFFFFC}) == "bad_offset"


def test_products_of_a_transposed_convolution() -> None:
    image = transposing()
    assert image.nodes[0]["macs"] == 3 * 3 * 4 * 3 * 3 * 3
    # SAME, stride 2, 3 x 3 taps from 3 to 6: the forward padding is 0 before and 1 behind, so that
    # along each axis only tap 2 of the last input falls outside.
    assert image.macs_done == ((3 * 3 - 1) ** 2 * 4 * 3,)
