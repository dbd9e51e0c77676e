"""Image bytes: what is written is what is read, and the device's part says the same."""

from __future__ import annotations

import numpy as np
import pytest

from edgesparse import native
from edgesparse.encode import encode
from edgesparse.errors import FormatError, ImageRefusedError, UsageError
from edgesparse.image import Image, build_image, read_image
from edgesparse.model import Model, parse_model
from tests.tflite_builder import Builder


@pytest.fixture(scope="module")
def model() -> Model:
    """RESHAPE of the input, CONV_2D, ADD of its result with itself, FULLY_CONNECTED."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 32), 0.1, -128)
    y = b.reshape(x, (1, 4, 4, 2))
    filters = rng.integers(-9, 9, (4, 3, 3, 2)).astype(np.int8)
    w = b.constant(filters, [0.01] * 4, axis=0)
    y = b.conv_2d(y, w, b.bias(np.arange(4), y, w), scale=0.1, activation="RELU", zero_point=-128)
    y = b.add(y, y, scale=0.2, zero_point=3)
    v = b.constant(rng.integers(-9, 9, (5, 64)).astype(np.int8), [0.02])
    b.output(b.fully_connected(y, v, b.bias(np.arange(5), y, v), scale=0.3))
    return parse_model(b.finish(), name="small")


@pytest.fixture(scope="module")
def image(model: Model) -> Image:
    return build_image(encode(model))


def test_round_trip(image: Image) -> None:
    again = read_image(image.data)
    assert again == image
    assert again.meta.name == "small"


def test_meta_lists_every_node_in_order(model: Model, image: Image) -> None:
    layers = image.meta.layers
    assert [layer.op for layer in layers] == ["RESHAPE", "CONV_2D", "ADD", "FULLY_CONNECTED"]
    assert [layer.node for layer in layers] == [None, 0, 1, 2]
    assert layers[0].same_as_input == 0
    assert layers[1].macs == 4 * 4 * 4 * 18
    weights = model.tensors[model.nodes[1].inputs[1]].data
    assert weights is not None
    assert layers[1].weight_zeros == int(np.count_nonzero(weights == 0))
    assert [layer.activations for layer in layers] == [32, 64, 64, 5]


def test_device_part_is_a_valid_image_without_meta(image: Image) -> None:
    device = image.device_bytes()
    check = native.check_image(device, nodes=3)
    assert check.status == 0
    assert check.macs_done == image.macs_done
    assert len(device) < len(image.data)
    with pytest.raises(FormatError, match="no section for the host"):
        read_image(device)


def test_a_reshape_shares_the_bytes_of_what_it_renames(model: Model, image: Image) -> None:
    place = dict(zip(image.meta.tensors, image.tensors, strict=True))
    renamed = model.nodes[0]
    assert place[renamed.inputs[0]]["offset"] == place[renamed.outputs[0]]["offset"]
    assert place[renamed.outputs[0]]["dims"] == (1, 4, 4, 2, 1, 1)


def test_equal_channel_data_is_kept_once() -> None:
    b = Builder()
    x = b.input((1, 8), 1.0, 0)
    w = b.constant(np.ones((4, 8), np.int8), [0.5])
    first = b.fully_connected(x, w, scale=1.0)
    second = b.fully_connected(x, w, scale=1.0)
    b.output(first, second)
    one = build_image(encode(parse_model(b.finish(), name="twice"), encoding="dense"))
    structs = [n["params_off"] for n in one.nodes]
    assert len(structs) == 2
    header = native.layout("image_header")
    rows = [
        native.layout("section").unpack(one.data, header.size_bytes + 16 * i)
        for i in range(one.header["section_count"])
    ]
    data = next(r for r in rows if r["kind"] == native.number("section", "data"))
    assert data["bytes"] == 4 * 8 + 4 * native.layout("channel").size_bytes


@pytest.mark.parametrize("size", [0, 1, 63, 64, 100])
def test_cut_off_images_are_refused(image: Image, size: int) -> None:
    with pytest.raises(ImageRefusedError):
        read_image(image.data[:size])


def test_a_flipped_bit_anywhere_is_refused(image: Image) -> None:
    for at in range(0, len(image.data), 37):
        damaged = bytearray(image.data)
        damaged[at] ^= 0x10
        with pytest.raises(ImageRefusedError):
            read_image(bytes(damaged))


def test_unknown_encoding_is_a_usage_error(model: Model) -> None:
    with pytest.raises(UsageError, match="dense"):
        encode(model, encoding="zip")
