"""Makes the committed vectors: images and frames, valid and invalid, with what a reader says.

    python -m tests.conformance.make_vectors      rewrites images.json and frames.json

Images are built by the encoder and then damaged field by field; every damaged one gets a correct
CRC-32 again, so that the check behind it is reached.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgesparse import native
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.model import parse_model
from edgesparse.telemetry import frame
from tests.tflite_builder import Builder

FOLDER = Path(__file__).parent
AMPLE_BYTES = 16384
HEADER, SECTION = native.layout("image_header"), native.layout("section")


def small_image(encoding: str, *, changeable: bool = False) -> bytes:
    """Convolution, pooling, fully connected and softmax on a 6x6x2 input, as on the device."""
    rng = np.random.default_rng(7)
    b = Builder()
    x = b.input((1, 6, 6, 2), 0.05, -128)
    filters = rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8)
    filters[rng.random(filters.shape) < 0.6] = 0
    w = b.constant(filters, [0.01, 0.02, 0.03, 0.04], axis=0)
    y = b.conv_2d(x, w, b.bias(rng.integers(-500, 500, 4), x, w), scale=0.2, zero_point=-128)
    y = b.average_pool_2d(y, (2, 2), stride=(2, 2))
    y = b.reshape(y, (1, 36))
    v = b.constant(rng.integers(-127, 128, (3, 36)).astype(np.int8), [0.02])
    y = b.fully_connected(y, v, b.bias(rng.integers(-99, 99, 3), y, v), scale=0.3, zero_point=5)
    b.output(b.softmax(y))
    model = parse_model(b.finish(), name="small")
    image = build_image(encode(model, encoding=encoding), changeable=changeable)
    return with_ample_scratch(image.device_bytes())


def grouped_image() -> bytes:
    """Convolution and fully connected in encoding group4, three and two rows, as on the device.

    Row 0 of the convolution has groups 1 and 3 of nine, row 1 none and row 2 all.
    """
    b = Builder()
    x = b.input((1, 3, 3, 4), 0.05, -128)
    filters = np.arange(1, 109, dtype=np.int8).reshape(3, 9, 4)
    filters[0, [0, 2, 4, 5, 6, 7, 8]] = 0
    filters[1] = 0
    w = b.constant(filters.reshape(3, 3, 3, 4), 0.01)
    y = b.conv_2d(x, w, b.bias(np.arange(3), x, w), scale=0.2, zero_point=-128, padding="VALID")
    y = b.pad(y, [(0, 0), (0, 1), (0, 3), (0, 0)])
    matrix = np.arange(48, dtype=np.int8).reshape(2, 24) % 5
    matrix[1, 4:20] = 0
    v = b.constant(matrix, 0.02)
    y = b.reshape(y, (1, 24))
    b.output(b.fully_connected(y, v, b.bias(np.arange(2), y, v), scale=0.3, zero_point=5))
    model = parse_model(b.finish(), name="grouped")
    image = build_image(encode(model, encoding="group4", keep_dead=True))
    assert [node["kernel"] for node in image.nodes][::2] == [120, 121]
    return with_ample_scratch(image.device_bytes())


def bordered_image() -> bytes:
    """1x1, depthwise, 1x1; the last has 4 channels less, and 9 classes of 6x6 positions."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 6, 6, 2), 0.05, -128)
    filters = rng.integers(-127, 128, (8, 1, 1, 2)).astype(np.int8)
    filters[4:] = 0
    w = b.constant(filters, 0.01)
    y = b.conv_2d(x, w, b.bias(rng.integers(3000, 5000, 8), x, w), scale=0.05, zero_point=-128)
    d = b.constant(rng.integers(-127, 128, (1, 3, 3, 8)).astype(np.int8), 0.01, axis=3)
    y = b.depthwise_conv_2d(y, d, b.bias(np.zeros(8), y, d), scale=0.1)
    v = b.constant(rng.integers(-127, 128, (3, 1, 1, 8)).astype(np.int8), 0.01)
    b.output(b.conv_2d(y, v, b.bias(np.arange(3), y, v), scale=0.3))
    encoded = encode(parse_model(b.finish(), name="bordered"), encoding="dense")
    assert encoded.nodes[2].choice.params["classes"] == 9
    return with_ample_scratch(build_image(encoded).device_bytes())


def elementwise_image() -> bytes:
    """MUL with a constant vector, ADD, SUB that broadcasts, MAXIMUM and TANH, as on the device."""
    b = Builder()
    x = b.input((2, 3, 4), 0.05, -3)
    vector = b.constant(np.arange(-2, 2, dtype=np.int8), 0.5, zero_points=-1)
    y = b.binary("MUL", x, vector, scale=0.1, zero_point=4, activation="RELU6")
    z = b.binary("ADD", x, y, scale=0.2, zero_point=4, activation="NONE")
    y = b.binary("SUB", z, b.input((3, 1), 0.1, 9), scale=0.2, zero_point=4, activation="NONE")
    y = b.binary("MAXIMUM", y, z, scale=0.2, zero_point=4)
    b.output(b.unary("TANH", y, scale=1 / 128, zero_point=0))
    return build_image(encode(parse_model(b.finish(), name="elementwise"))).device_bytes()


def stateful_image() -> bytes:
    """A sum in a variable: ADD, then a copy.  Tensors: input, variable, what is read, sum."""
    b = Builder()
    x = b.input((1, 8), 0.5, 3)
    init = b.call_once()
    start = init.constant(np.arange(8, dtype=np.int8).reshape(1, 8), 0.5)
    init.assign_variable(init.var_handle("sum"), start)
    handle = b.var_handle("sum")
    y = b.add(x, b.read_variable(handle, (1, 8), 0.5), scale=0.5)
    b.assign_variable(handle, y)
    b.output(y)
    return build_image(encode(parse_model(b.finish(), name="sum"))).device_bytes()


def with_crc(data: bytearray) -> bytes:
    """The image with the CRC-32 that its bytes have."""
    total = min(len(data), int.from_bytes(data[8:12], "little"))
    crc = zlib.crc32(data[16:total], zlib.crc32(data[:12]))
    data[12:16] = crc.to_bytes(4, "little")
    return bytes(data)


def with_ample_scratch(image: bytes) -> bytes:
    """The image with AMPLE_BYTES of scratch for every node, whatever the kernels ask for today."""
    data = bytearray(image)
    arena_bytes = HEADER.unpack(image)["arena_bytes"]
    nodes = section_row(image, "nodes")[1]["rows"]
    _header("arena_bytes", arena_bytes + AMPLE_BYTES)(data)
    for node in range(nodes):
        _row("nodes", "node", node, "scratch_off", arena_bytes)(data)
        _row("nodes", "node", node, "scratch_bytes", AMPLE_BYTES)(data)
    return with_crc(data)


def section_row(data: bytes, kind: str) -> tuple[int, dict[str, Any]]:
    """Offset of a section's row in the table, and its fields."""
    for i in range(HEADER.unpack(data)["section_count"]):
        at = HEADER.size_bytes + i * SECTION.size_bytes
        row = SECTION.unpack(data, at)
        if row["kind"] == native.number("section", kind):
            return at, row
    raise KeyError(kind)


def set_field(layout: str, field: str, value: int, place: Callable[[bytes], int]) -> Any:
    """An edit that writes one field of a struct that starts at place(image)."""
    found = next(f for f in native.layout(layout).fields if f.name == field)
    width = {"u8": 1, "u16": 2, "i16": 2, "u64": 8}.get(found.type, 4)

    def edit(data: bytearray) -> None:
        at = place(bytes(data)) + found.offset
        data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")

    return edit


def _header(field: str, value: int) -> Any:
    return set_field("image_header", field, value, lambda data: 0)


def _section(kind: str, field: str, value: int) -> Any:
    return set_field("section", field, value, lambda data: section_row(data, kind)[0])


def _row(kind: str, layout: str, index: int, field: str, value: int) -> Any:
    size = native.layout(layout).size_bytes

    def place(data: bytes) -> int:
        return int(section_row(data, kind)[1]["offset"]) + index * size

    return set_field(layout, field, value, place)


SMALL_PARAMS = ("conv_params", "pool_params", "fc_params", "softmax_params")
ELEMENTWISE_PARAMS = ("mul_params", "add_params", "add_params", "extremum_params", "lut_params")


def _params_of(struct: str, node: int, field: str, value: int) -> Any:
    def place(data: bytes) -> int:
        rows = section_row(data, "nodes")[1]["offset"] + node * native.layout("node").size_bytes
        start = section_row(data, "params")[1]["offset"]
        return int(start + native.layout("node").unpack(data, rows)["params_off"])

    return set_field(struct, field, value, place)


def _params(node: int, field: str, value: int) -> Any:
    return _params_of(SMALL_PARAMS[node], node, field, value)


def _byte(kind: str, offset: int, value: int) -> Any:
    def edit(data: bytearray) -> None:
        data[section_row(bytes(data), kind)[1]["offset"] + offset] = value

    return edit


def _weights_bytes(offset: int, value: bytes, *, before: tuple[str, ...] = ()) -> Any:
    """Writes bytes of a node's weights, counted from their end where `offset` is negative.

    before: the structs of the nodes before it, none for the convolution.
    """

    def edit(data: bytearray) -> None:
        start = section_row(bytes(data), "params")[1]["offset"]
        start += sum(native.layout(name).size_bytes for name in before)
        kind = "fc_params" if before else "conv_params"
        params = native.layout(kind).unpack(bytes(data), start)
        at = params["weights_off"] + (params["weights_bytes"] if offset < 0 else 0) + offset
        for i, byte in enumerate(value):
            _byte("data", at + i, byte)(data)

    return edit


EDITS: Mapping[str, Any] = {
    "magic": _header("magic", 0),
    "major version 2": _header("version_major", 2),
    "minor version 9 is fine": _header("version_minor", 9),
    "total beyond the bytes": _header("total_bytes", 1 << 20),
    "total not a multiple of 16": _header("total_bytes", 1000),
    "total of 0": _header("total_bytes", 0),
    "too many sections": _header("section_count", 65535),
    "unknown required feature": _header("required_features", 1 << 31),
    "unknown optional feature is fine": _header("optional_features", 1 << 31),
    "other instruction set": _header("target_isa", 77),
    "instruction set that all cores include is fine": _header("target_isa", 2),
    "reserved header word": _header("reserved", 1),
    "arena not a multiple of 16": _header("arena_bytes", 1001),
    "arena beyond the RAM": _header("arena_bytes", 0xFFFFFFF0),
    "unknown section flag": _section("params", "flags", 2),
    "section of unknown required kind": _section("data", "kind", 4000),
    "section twice": _section("data", "kind", 6),
    "section moved": _section("edges", "offset", 64),
    "section beyond the end": _section("data", "bytes", 0xFFFFFFF0),
    "rows and bytes disagree": _section("nodes", "rows", 3),
    "rows where there are none": _section("data", "rows", 1),
    "tensor of unknown type": _row("tensors", "tensor", 1, "type", 99),
    "tensor of unknown place": _row("tensors", "tensor", 1, "place", 9),
    "tensor of rank 7": _row("tensors", "tensor", 1, "rank", 7),
    "tensor with a dimension of 0": _row("tensors", "tensor", 1, "dims", 0),
    "tensor bytes wrong": _row("tensors", "tensor", 1, "bytes", 5),
    "tensor zero point 200": _row("tensors", "tensor", 1, "zero_point", 200),
    "tensor outside the arena": _row("tensors", "tensor", 1, "offset", 0xFFFFFF00),
    "tensor not aligned": _row("tensors", "tensor", 1, "offset", 2),
    "tensor with a threshold of 127 is fine": _row("tensors", "tensor", 1, "threshold", 127),
    "tensor with a threshold of 128": _row("tensors", "tensor", 1, "threshold", 128),
    "tensor with a reset value in the arena": _row("tensors", "tensor", 1, "reset_off", 4),
    "constant as a model input": _row("tensors", "tensor", 0, "place", 1),
    "input index beyond the tensors": _byte("inputs", 1, 255),
    "output index beyond the tensors": _byte("outputs", 1, 255),
    "edge index beyond the tensors": _byte("edges", 1, 255),
    "unknown op": _row("nodes", "node", 0, "op", 999),
    "unknown kernel": _row("nodes", "node", 0, "kernel", 999),
    "kernel of another op": _row("nodes", "node", 0, "kernel", 8),
    "node flags": _row("nodes", "node", 0, "flags", 4),
    "inputs outside the edges": _row("nodes", "node", 0, "input_first", 60000),
    "outputs outside the edges": _row("nodes", "node", 0, "output_count", 60000),
    "parameters outside their section": _row("nodes", "node", 0, "params_off", 0xFFFFFFFC),
    "parameters not aligned": _row("nodes", "node", 0, "params_off", 2),
    "parameters of the wrong size": _row("nodes", "node", 0, "params_bytes", 4),
    "scratch outside the arena": _row("nodes", "node", 0, "scratch_off", 0xFFFFFFF8),
    "scratch not aligned": _row("nodes", "node", 0, "scratch_off", 4),
    "scratch too small": _row("nodes", "node", 0, "scratch_bytes", 0),
    "scratch over the input": _row("nodes", "node", 0, "scratch_off", 0),
    "macs wrong": _row("nodes", "node", 0, "macs", 7),
    "no batches": _params(0, "batches", 0),
    "kernel height 0": _params(0, "kernel_h", 0),
    "kernel height 30000": _params(0, "kernel_h", 30000),
    "stride 0": _params(0, "stride_w", 0),
    "dilation 0": _params(0, "dilation_h", 0),
    "padding negative": _params(0, "pad_top", -1),
    "padding beyond the kernel": _params(0, "pad_left", 3),
    "band of nothing": _params(0, "band", 0),
    "input height not the tensor's": _params(0, "in_h", 7),
    "input zero point not the tensor's": _params(0, "in_zero_point", 3),
    "activation range empty": _params(0, "act_min", 128),
    "weights outside the data": _params(0, "weights_off", 0xFFFFFFFC),
    "weights not aligned": _params(0, "weights_off", 2),
    "weights of the wrong length": _params(0, "weights_bytes", 4),
    "channels outside the data": _params(0, "channels_off", 0xFFFFFFF0),
    "channels where the weights are": _params(0, "channels_off", 0),
    "pool window 0": _params(1, "kernel_w", 0),
    "pool window outside the input": _params(1, "stride_h", 1000),
    "fully connected columns wrong": _params(2, "in_c", 35),
    "fully connected rows wrong": _params(2, "out_c", 4),
    "softmax depth 0": _params(3, "depth", 0),
    "softmax rows wrong": _params(3, "rows", 2),
    "softmax shift 40": _params(3, "left_shift", 40),
}


def _element(node: int, field: str, value: int) -> Any:
    return _params_of(ELEMENTWISE_PARAMS[node], node, field, value)


ELEMENTWISE_EDITS: Mapping[str, Any] = {
    "mul shift 15": _element(0, "out_shift", 15),
    "mul multiplier negative": _element(0, "out_multiplier", -1),
    "mul zero point of input 2 not the tensor's": _element(0, "in2_zero_point", 1),
    "mul activation range empty": _element(0, "act_max", -128),
    "operand of another shape": _row("tensors", "tensor", 1, "rank", 2),
    "constant outside the data": _row("tensors", "tensor", 1, "offset", 1 << 20),
    "add count wrong": _element(1, "count", 23),
    "add without broadcasting subtracts": _element(1, "in2_multiplier", -(2**30)),
    "add without broadcasting of two shapes": _row("nodes", "node", 2, "kernel", 6),
    "sub count wrong": _element(2, "count", 25),
    "sub multiplier below the range": _element(2, "in2_multiplier", -(2**31)),
    "sub shift 1": _element(2, "in2_shift", 1),
    "extremum neither": _element(3, "maximum", 2),
    "table count wrong": _element(4, "count", 1),
    "table outside the data": _element(4, "table_off", 1 << 20),
    "table ends outside the data": _element(4, "table_off", 8),
    "table not aligned": _element(4, "table_off", 2),
}

# Of row 0, the table is bytes 0 to 7, its one block bytes 8 to 27.
GROUPED_EDITS: Mapping[str, Any] = {
    "group4 group beyond the row": _byte("data", 9, 8),
    "group4 filler beyond the row": _byte("data", 11, 6),
    "group4 group twice": _byte("data", 9, 0),
    "group4 table padding": _byte("data", 6, 1),
    "group4 more blocks than bytes": _byte("data", 1, 1),
    "group4 bytes left over": _byte("data", 4, 2),
    "classes of a single position": _params_of("conv_params", 0, "classes", 1),
}


def _behind_channels(offset: int, value: int) -> Any:
    """Writes a byte behind the three channels of node 2."""

    def edit(data: bytearray) -> None:
        params, layout = section_row(bytes(data), "params")[1], native.layout("conv_params")
        node = layout.unpack(bytes(data), params["offset"] + 2 * layout.size_bytes)
        at = node["channels_off"] + 3 * native.layout("channel").size_bytes
        _byte("data", at + offset, value)(data)

    return edit


def _bordered(node: int, field: str, value: int) -> Any:
    return _params_of("conv_params", node, field, value)


# Amounts are 9 * 3 int16, then follow 36 classes.
BORDERED_EDITS: Mapping[str, Any] = {
    "class beyond the last": _behind_channels(9 * 3 * 2 + 35, 9),
    "classes more than 32": _bordered(2, "classes", 33),
    "classes beyond the data": _bordered(2, "classes", 32),
    "classes of a depthwise convolution": _bordered(1, "classes", 1),
    "amount of any size is fine": _behind_channels(1, 0x80),
}

STATE_EDITS: Mapping[str, Any] = {
    "reset value outside the data": _row("tensors", "tensor", 1, "reset_off", 4),
    "reset value not aligned": _row("tensors", "tensor", 1, "reset_off", 2),
    "persistent tensor outside the arena": _row("tensors", "tensor", 1, "offset", 0xFFFFFF00),
    "copy of other bytes": _params_of("copy_params", 1, "bytes", 7),
    "sum in the place of an input is fine": _row("tensors", "tensor", 3, "offset", 0),
    "sum over half of an input": _row("tensors", "tensor", 3, "offset", 4),
    "copy into itself": _row("tensors", "tensor", 3, "offset", 16),
    "copy of wider elements": _row("tensors", "tensor", 3, "type", 3),
}


# The first convolution's weights come first: 4 rows of 18 columns, a word of bits each.
BITMAP_EDITS: Mapping[str, Any] = {
    "bitmap bit behind the last column": _byte("data", 5, 0x20),
    "bitmap with more bits than weights": _byte("data", 3, 255),
    "bitmap with fewer bits than weights": _byte("data", 3, 0),
    "bitmap cut off": _params(0, "weights_bytes", 15),
}

# A table of 4 u16, then the nibbles of row 0.
CHANGEABLE_EDITS: Mapping[str, Any] = {
    "scales that are no whole rows": _section("scales", "bytes", 27),
    "scale that is not finite is fine": _byte("scales", 3, 0x7F),
}

RUN4_EDITS: Mapping[str, Any] = {
    "run4 run beyond the row": _byte("data", 8, 0xFF),
    "run4 row longer than the bytes": _byte("data", 0, 200),
    "run4 table cut off": _params(0, "weights_bytes", 7),
    "run4 with fewer weights than nibbles": _params(0, "weights_bytes", 36),
    "run4 with more weights than nibbles": _byte("data", 2, 0),
    "run4 nibble behind a row": _byte("data", 0, 1),
}


def _pads(data: bytes) -> int:
    """Offset of a byte between two sections."""
    for kind in ("inputs", "outputs", "edges"):
        row = section_row(data, kind)[1]
        if row["bytes"] % 16:
            return int(row["offset"] + row["bytes"])
    raise AssertionError("no gap")


def _edited(name: str, image: bytes, edits: Mapping[str, Any]) -> dict[str, bytes]:
    """An image and its damaged copies, by name."""
    cases = {name: image}
    for edit_name, edit in edits.items():
        data = bytearray(image)
        edit(data)
        cases[edit_name] = with_crc(data)
    return cases


def image_vectors() -> list[dict[str, Any]]:
    """Name, bytes and what the loader says of each, for a device with 64 KiB of arena."""
    dense, sparse = small_image("dense"), small_image("delta8")
    cases: dict[str, bytes] = {"valid, dense": dense, "valid, delta8": sparse}
    for name, edit in EDITS.items():
        data = bytearray(dense)
        edit(data)
        cases[name] = with_crc(data)
    cases |= _edited("valid, element by element", elementwise_image(), ELEMENTWISE_EDITS)
    cases |= _edited("valid, group4", grouped_image(), GROUPED_EDITS)
    cases |= _edited("valid, classes of positions", bordered_image(), BORDERED_EDITS)
    cases |= _edited("valid, with state", stateful_image(), STATE_EDITS)
    cases |= _edited("valid, bitmap", small_image("bitmap"), BITMAP_EDITS)
    changeable = small_image("bitmap", changeable=True)
    cases |= _edited("valid, bitmap with scales", changeable, CHANGEABLE_EDITS)
    cases |= _edited("valid, run4", small_image("run4"), RUN4_EDITS)
    gap = bytearray(dense)
    gap[_pads(dense)] = 1
    cases["gap not zero"] = with_crc(gap)
    flipped = bytearray(dense)
    flipped[-20] ^= 4
    cases["bit flipped in the data"] = bytes(flipped)
    steps = bytearray(sparse)
    _byte("data", 8, 200)(steps)
    cases["delta8 step beyond the row"] = with_crc(steps)
    sums = bytearray(small_image("dense_sums"))
    _weights_bytes(-4, bytes(4))(sums)
    cases["dense_sums without room for a product"] = with_crc(sums)
    squares = bytearray(small_image("squares"))
    _weights_bytes(5, b"\x01", before=("conv_params", "pool_params"))(squares)
    cases["squares with a weight in a row that is not there"] = with_crc(squares)
    for encoding in ("dense_sums", "squares"):
        cases[f"valid, {encoding}"] = small_image(encoding)
    columns = bytearray(dense)
    _row("nodes", "node", 0, "kernel", 120)(columns)
    cases["group4 columns that are no multiple of four"] = with_crc(columns)
    cases["cut off after the header"] = dense[:64]
    cases["cut off within the header"] = dense[:40]
    return [{"name": name, **verdict(data)} for name, data in cases.items()]


def verdict(data: bytes) -> dict[str, Any]:
    """What the loader says, and the bytes in hex."""
    check = native.check_image(data, arena_bytes=65536)
    return {
        "status": native.name_of("status", check.status),
        "section": check.section,
        "offset": check.offset,
        "image": data.hex(),
    }


def frame_vectors() -> list[dict[str, Any]]:
    """Streams of bytes with the frames in them and how many were thrown away."""
    ping = frame.encode(129, 1, b"\x01\x02\x03\x04", 0)
    empty = frame.encode(2, 0xFFFF, b"", 0xFFFFFFFF)
    zeros = frame.encode(3, 0, bytes(256), 0)
    full = frame.encode(4, 7, bytes(range(1, 255)) + b"\xff\xff", 0x11223344)
    broken = bytearray(ping)
    broken[5] ^= 0x10
    long = frame.encode(5, 0, bytes(256), 0)[:-1] + b"\x01" * 8 + b"\x00"
    streams = {
        "one frame": ping,
        "no payload": empty,
        "256 zeros": zeros,
        "256 bytes without a zero": full,
        "three in a row": ping + zeros + full,
        "only delimiters": bytes(9),
        "noise, then a frame": b"hello\x00" + ping,
        "frame not closed": ping[:-1],
        "wrong crc, then a frame": bytes(broken) + ping,
        "cut in the middle, then a frame": full[:50] + b"\x00" + ping,
        "too long, then a frame": long + ping,
        "code points past the end": b"\xff\x01\x00" + ping,
        "shorter than a header": b"\x02\x05\x00" + ping,
    }
    vectors = []
    for name, stream in streams.items():
        frames, dropped = native.decode_frames(stream)
        hexed = [each.hex() for each in frames]
        vectors.append({"name": name, "stream": stream.hex(), "frames": hexed, "dropped": dropped})
    return vectors


def main() -> None:
    """Write both files."""
    for name, vectors in (("images", image_vectors()), ("frames", frame_vectors())):
        text = json.dumps(vectors, indent=1) + "\n"
        (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
