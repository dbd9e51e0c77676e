"""The compiled module: tables, struct layouts, and the application in this process.

The only importer of ``edgesparse._native``.  Every id, status code, record and struct layout is
written once, in the ``.def`` tables that the C code compiles; this module reads them back, so that
no number stands in Python as well.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any

from edgesparse import _native
from edgesparse._native import ffi as _ffi
from edgesparse._native import lib as _lib

_FORMATS = {
    "u8": "B",
    "i8": "b",
    "u16": "H",
    "i16": "h",
    "u32": "I",
    "i32": "i",
    "u64": "Q",
    "f32": "f",
}
_ARENA_LIMIT_BYTES = 2**32 - 16

Value = int | float | bytes | tuple[int, ...]


def _text(pointer: Any) -> str:
    return str(_ffi.string(pointer).decode("utf-8"))


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table of ids: its name, id, further columns and description."""

    name: str
    id: int
    columns: tuple[str, str, str]
    doc: str


@cache
def table(name: str) -> Mapping[str, Row]:
    """The rows of a table by name.

    Tables: status, op, section, type, place, unit, reset_reason, encoding, kernel, in_place, isa,
    record.
    """
    count = _ffi.new("uint32_t *")
    rows = _lib.es_native_rows(count)
    found = {}
    for i in range(count[0]):
        row = rows[i]
        if _text(row.table) == name:
            columns = (_text(row.columns[0]), _text(row.columns[1]), _text(row.columns[2]))
            found[_text(row.name)] = Row(_text(row.name), row.id, columns, _text(row.doc))
    if not found:
        raise KeyError(name)
    return found


def number(table_name: str, row_name: str) -> int:
    """The id of a row."""
    return table(table_name)[row_name].id


@cache
def _names(table_name: str) -> Mapping[int, str]:
    return {row.id: row.name for row in table(table_name).values()}


def name_of(table_name: str, row_id: int) -> str:
    """The name of the row with an id, or the number as text if there is none."""
    return _names(table_name).get(row_id, str(row_id))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a struct: `count` 0 for a single value, `offset` in bytes."""

    name: str
    type: str
    count: int
    offset: int
    doc: str


@dataclass(frozen=True, slots=True)
class Layout:
    """The bytes of a struct that image or wire carry: little-endian, no padding."""

    name: str
    fields: tuple[Field, ...]
    size_bytes: int
    codec: struct.Struct

    def pack(self, **values: Value) -> bytes:
        """The struct's bytes.  Fields that are not named are 0; an unknown name is a KeyError."""
        parts: list[Any] = []
        for field in self.fields:
            value = values.pop(field.name, None)
            if field.count == 0:
                parts.append(0 if value is None else value)
            elif field.type == "u8":
                parts.append(b"" if value is None else value)
            else:
                parts.extend((0,) * field.count if value is None else value)  # type: ignore[arg-type]
        if values:
            raise KeyError(f"struct {self.name} has no field {min(values)}")
        return self.codec.pack(*parts)

    def unpack(self, data: bytes, offset: int = 0) -> dict[str, Any]:
        """Field values by name; byte arrays as bytes, other arrays as tuples."""
        parts = iter(self.codec.unpack_from(data, offset))
        values: dict[str, Any] = {}
        for field in self.fields:
            if field.count == 0 or field.type == "u8":
                values[field.name] = next(parts)
            else:
                values[field.name] = tuple(next(parts) for _ in range(field.count))
        return values


def _field_format(field: Field) -> str:
    if field.count == 0:
        return _FORMATS[field.type]
    return f"{field.count}s" if field.type == "u8" else f"{field.count}{_FORMATS[field.type]}"


@cache
def _layouts() -> Mapping[str, Layout]:
    count = _ffi.new("uint32_t *")
    rows = _lib.es_native_fields(count)
    fields: list[Field] = []
    layouts = {}
    for i in range(count[0]):
        row = rows[i]
        if _text(row.name):
            doc = _text(row.doc)
            fields.append(Field(_text(row.name), _text(row.type), row.count, row.offset, doc))
            continue
        owner = _text(row.owner)
        codec = struct.Struct("<" + "".join(_field_format(field) for field in fields))
        layouts[owner] = Layout(owner, tuple(fields), row.owner_bytes, codec)
        fields = []
    return layouts


def layout(name: str) -> Layout:
    """The layout of a struct of params.def, image.def, frame.def or records.def."""
    return _layouts()[name]


def layouts() -> Mapping[str, Layout]:
    """All layouts by name, in the order of the tables."""
    return _layouts()


def tables_crc() -> int:
    """CRC-32 of the .def tables that this module was built from."""
    return int(_lib.es_native_tables_crc())


def module_path() -> Path:
    """Where the compiled module lies; what was built with it lies beside it."""
    return Path(_native.__file__)


def build_id() -> bytes:
    """First 16 bytes of the SHA-256 over the C sources that this module was built from."""
    return bytes(_ffi.buffer(_lib.es_native_build_id(), 16))


def scratch_bytes(kernel_id: int, params: bytes) -> int:
    """Scratch that a kernel needs with a parameter struct; ValueError if they do not match."""
    needed = int(_lib.es_native_scratch_bytes(kernel_id, params, len(params)))
    if needed == 2**32 - 1:
        raise ValueError(f"kernel {kernel_id} takes no parameter struct of {len(params)} bytes")
    return needed


def pitch_bytes(params: bytes) -> int:
    """Which pitch the 3 x 3 loop of a depthwise convolution has, 0 for none.

    ValueError where `params` is no conv_params.
    """
    pitch = int(_lib.es_native_pitch_bytes(params, len(params)))
    if pitch == 2**32 - 1:
        raise ValueError(f"no conv_params: {len(params)} bytes")
    return pitch


@dataclass(frozen=True, slots=True)
class Check:
    """What the device's loader says of an image: status 0, or why and where (byte `offset`)."""

    status: int
    section: int
    offset: int
    macs_done: tuple[int, ...]


def check_image(
    image: bytes, *, isa: str = "armv7em", arena_bytes: int = _ARENA_LIMIT_BYTES, nodes: int = 0
) -> Check:
    """Load an image as a device with this instruction set and RAM would.

    `nodes`: how many entries of macs_done (products formed a run, node by node) to return.
    """
    section, offset = _ffi.new("uint32_t *"), _ffi.new("uint32_t *")
    macs = _ffi.new("uint64_t[]", max(nodes, 1))
    status = _lib.es_native_check(
        image, len(image), arena_bytes, number("isa", isa), section, offset, macs, nodes
    )
    return Check(status, section[0], offset[0], tuple(macs[i] for i in range(nodes)))


def run_rows(image: bytes, rows: int, inputs: bytes, *, out_bytes: int, zeros: Any = None) -> bytes:
    """Run an image on rows, in order, from the reset state; several threads may do so at once.

    Args:
        image: as it goes onto a device.
        rows: how many.
        inputs: the bytes of all model inputs, row by row.
        out_bytes: size of all model outputs of all rows.
        zeros: None, or a writable buffer of uint32 [rows, nodes] that is filled with how many of
            each node's outputs were zeros.

    Returns:
        The bytes of all model outputs, row by row.

    Raises MemoryError, and ValueError where the loader refuses the image or a size does not fit.
    """
    out = _ffi.new("uint8_t[]", max(out_bytes, 1))
    counts = _ffi.NULL if zeros is None else _ffi.from_buffer("uint32_t[]", zeros, True)
    status = _lib.es_native_run_rows(
        image,
        len(image),
        rows,
        inputs,
        len(inputs),
        out,
        out_bytes,
        counts,
        0 if zeros is None else len(counts),
    )
    if status == number("status", "no_memory"):
        raise MemoryError("native run: image and arena")
    if status != number("status", "ok"):
        raise ValueError(f"native run: {name_of('status', status)}")
    return bytes(_ffi.buffer(out, out_bytes))


def exp_float32(x: float) -> float:
    """The C library's expf, which TFLite's LOGISTIC calls: on one machine both round alike."""
    return float(_lib.es_native_expf(x))


def tanh_float32(x: float) -> float:
    """The C library's tanhf, which TFLite's TANH calls: on one machine both round alike."""
    return float(_lib.es_native_tanhf(x))


def decode_frames(data: bytes) -> tuple[list[bytes], int]:
    """Good frames of received bytes, each header and payload, and how many were thrown away."""
    capacity = 2 * len(data) + 16
    out = _ffi.new("uint8_t[]", capacity)
    dropped = _ffi.new("uint32_t *")
    used = _lib.es_native_decode(data, len(data), out, capacity, dropped)
    raw = bytes(_ffi.buffer(out, used))
    frames = []
    at = 0
    while at < used:
        (length,) = struct.unpack_from("<I", raw, at)
        frames.append(raw[at + 4 : at + 4 + length])
        at += 4 + length
    return frames, dropped[0]


def encode_frame(header: bytes, payload: bytes) -> bytes:
    """The bytes on the wire of one frame, its closing zero included."""
    wire = _ffi.new("uint8_t[]", 271)
    return bytes(_ffi.buffer(wire, _lib.es_native_encode(header, payload, len(payload), wire)))


class Application:
    """The device's application in this process.  One at a time: it stands for one device.

    image: bytes of the model partition, may be empty.  batch: input rows, may be empty.
    Raises MemoryError, and RuntimeError while another one is open.
    """

    _in_use = Lock()

    def __init__(self, image: bytes, batch: bytes, *, arena_bytes: int) -> None:
        if not self._in_use.acquire(blocking=False):
            raise RuntimeError("the native device is in use already; close it first")
        self._is_open = _lib.es_native_start(image, len(image), batch, len(batch), arena_bytes) == 0
        if not self._is_open:
            self._in_use.release()
            raise MemoryError(f"native device with {arena_bytes} bytes of arena")
        self._buffer = _ffi.new("uint8_t[]", 65536)

    def feed(self, data: bytes) -> None:
        """Bytes from the host to the device."""
        if _lib.es_native_feed(data, len(data)) != 0:
            raise MemoryError("native device: receive queue")

    def poll(self) -> bool:
        """One turn of the main loop: commands, then at most one inference.

        Tells whether it ended asleep, as a board then is until a byte arrives.
        """
        return bool(_lib.es_native_poll())

    def narrow(self, line_bytes: int) -> None:
        """From now on the line takes no more than so many bytes that nobody has taken yet."""
        _lib.es_native_narrow(line_bytes)

    def take(self, max_bytes: int) -> bytes:
        """Up to `max_bytes` bytes from the device to the host."""
        got = _lib.es_native_take(self._buffer, min(max_bytes, len(self._buffer)))
        return bytes(_ffi.buffer(self._buffer, got))

    def close(self) -> None:
        """Power off.  May be called again."""
        if self._is_open:
            self._is_open = False
            _lib.es_native_stop()
            self._in_use.release()
