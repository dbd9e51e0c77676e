"""Outputs in the place of their inputs: where that is allowed, and what the loader refuses."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from edgesparse import native
from edgesparse.encode import Encoded, encode
from edgesparse.image import Image, build_image
from edgesparse.memory import plan_memory, tensors_live
from edgesparse.model import parse_model
from tests.devices import run_native
from tests.tflite_builder import Builder


def image_of(b: Builder) -> tuple[Image, Encoded]:
    encoded = encode(parse_model(b.finish(), name="m"))
    return build_image(encoded), encoded


def offsets(image: Image, encoded: Encoded) -> dict[int, int]:
    rows = zip(encoded.device_tensors(), image.tensors, strict=True)
    return {index: row["offset"] for index, row in rows}


def test_a_sum_takes_the_place_of_the_input_that_is_not_read_again() -> None:
    """The first operand is read once more, the second is not."""
    b = Builder()
    x = b.input((1, 64), 0.1, 0)
    y = b.unary("RELU", x, scale=0.1, zero_point=-128)
    z = b.add(x, y, scale=0.2)
    b.output(b.add(z, x, scale=0.3))
    image, encoded = image_of(b)
    at = offsets(image, encoded)
    assert at[x] != at[y] == at[z]
    assert image.arena_bytes == 2 * 64
    values = np.arange(-32, 32, dtype=np.int8).reshape(1, 64)
    (run,) = run_native(image, [values])
    wide = values.astype(int)
    inner = np.maximum(wide, 0) + wide  # at scale 0.1; z is half of it
    assert np.abs(np.frombuffer(run.outputs[0], np.int8) * 3 - (inner + wide)).max() <= 3


def test_a_chain_of_tables_needs_one_tensor() -> None:
    b = Builder()
    x = b.input((1, 100), 0.1, 0)
    y = b.unary("RELU", x, scale=0.1, zero_point=0)
    b.output(b.unary("LOGISTIC", y, scale=1 / 256, zero_point=-128))
    image, encoded = image_of(b)
    assert len(set(offsets(image, encoded).values())) == 1
    assert image.arena_bytes == 112


def test_what_is_needed_later_keeps_its_place() -> None:
    """An output of the model, and a variable, are never written over."""
    b = Builder()
    x = b.input((1, 64), 0.1, 0)
    y = b.unary("RELU", x, scale=0.1, zero_point=0)
    z = b.unary("RELU6", y, scale=0.1, zero_point=0)
    b.output(y)
    b.output(z)
    image, encoded = image_of(b)
    at = offsets(image, encoded)
    assert at[x] == at[y] != at[z]


def test_a_kernel_without_the_property_does_not_share() -> None:
    b = Builder()
    x = b.input((1, 8, 8, 1), 0.1, 0)
    b.output(b.max_pool_2d(x, (1, 1)))
    image, encoded = image_of(b)
    assert image.arena_bytes == 128
    assert tensors_live(encoded) == [128]
    assert plan_memory(encoded, [32]).arena_bytes == 160


def _moved(image: Image, tensor: int, offset: int) -> bytes:
    """The image's device part with a tensor elsewhere, and a checksum that fits."""
    data = bytearray(image.device_bytes())
    header, section = native.layout("image_header"), native.layout("section")
    row = native.layout("tensor")
    for i in range(header.unpack(bytes(data))["section_count"]):
        found = section.unpack(bytes(data), header.size_bytes + i * section.size_bytes)
        if found["kind"] == native.number("section", "tensors"):
            at = found["offset"] + tensor * row.size_bytes
            fields = row.unpack(bytes(data), at) | {"offset": offset}
            data[at : at + row.size_bytes] = row.pack(**fields)
    crc = zlib.crc32(data[16:], zlib.crc32(data[:12]))
    return bytes(data[:12]) + crc.to_bytes(4, "little") + bytes(data[16:])


@pytest.mark.parametrize(("offset", "status"), [(0, "ok"), (16, "bad_overlap"), (64, "ok")])
def test_the_loader_takes_the_same_place_and_no_other_overlap(offset: int, status: str) -> None:
    b = Builder()
    x = b.input((1, 64), 0.1, 0)
    y = b.unary("RELU", x, scale=0.1, zero_point=0)
    b.output(b.add(y, x, scale=0.2))
    image, _ = image_of(b)
    assert image.arena_bytes == 128
    assert native.check_image(_moved(image, 1, offset)).status == native.number("status", status)


def test_the_loader_refuses_it_for_other_kernels() -> None:
    b = Builder()
    x = b.input((1, 8, 8, 1), 0.1, 0)
    b.output(b.max_pool_2d(x, (1, 1)))
    image, _ = image_of(b)
    first, second = (row["offset"] for row in image.tensors)
    assert first != second
    assert native.check_image(_moved(image, 1, first)).status == native.number(
        "status", "bad_overlap"
    )


def test_every_kernel_in_the_table_exists() -> None:
    kernels = native.table("kernel")
    for name, row in native.table("in_place").items():
        assert kernels[name].id == row.id
