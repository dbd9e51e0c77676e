"""Records: what the frames of the link carry.

Names, ids and layouts come from the tables that the firmware is compiled from.  Nothing that a
device sends raises an exception here: bytes that cannot be read become values, so that the stream
goes on behind them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from edgesparse import native
from edgesparse.telemetry.frame import PAYLOAD_MAX_BYTES, DamagedFrame, Frame, FrameDecoder, encode

# Fields that hold the id of a table's row; a record shows the row's name instead.
_TABLE_OF_FIELD = {
    "unit": "unit",
    "isa": "isa",
    "status": "status",
    "model_status": "status",
    "reset_reason": "reset_reason",
}
_TEXT_FIELDS = frozenset({"board", "cpu"})
_RECORDS_TO_HOST = {
    row.id: row for row in native.table("record").values() if row.columns[0] == "to_host"
}


@dataclass(frozen=True, slots=True)
class Record:
    """A record from the device.

    Args:
        type: its name in records.def.
        fields: the values of its struct by name, in order, without reserved ones.  Ids of units,
            instruction sets and status codes are given as their names, names as text.
        tail: the bytes behind the struct.
        sequence: number of its frame.
        boot_id: of the device when it sent the frame.
    """

    type: str
    fields: Mapping[str, Any]
    tail: bytes
    sequence: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class UnreadableRecord:
    """A good frame whose payload is no record that is known here."""

    reason: str
    type: int
    payload: bytes
    sequence: int
    boot_id: int


@dataclass(frozen=True, slots=True)
class LostFrames:
    """Frames that the numbering says were sent but that never arrived whole."""

    count: int


Event = Record | UnreadableRecord | DamagedFrame | LostFrames
"""Everything that can come out of a stream of received bytes."""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the device is."""

    protocol: int
    unit: str
    isa: str
    tables_crc: int
    tick_rate_hz: int
    model_status: str
    model_section: int
    model_offset: int
    model_crc: int
    model_capacity_bytes: int
    arena_capacity_bytes: int
    batch_capacity_bytes: int
    nonce: int
    model_hash: bytes
    build_id: bytes
    board: str
    cpu: str
    reset_reason: str


@dataclass(frozen=True, slots=True)
class RunStart:
    """An inference is about to start; `node_count` LAYER records will follow."""

    run: int
    node_count: int


@dataclass(frozen=True, slots=True)
class LayerRecord:
    """What one node of the image did; `layer` is the index of the .tflite node."""

    run: int
    node: int
    layer: int
    macs_done: int
    count: int
    activations: int
    activation_zeros: int
    unit: str
    saturated: int
    thresholded: int


@dataclass(frozen=True, slots=True)
class Output:
    """Where the tail, a piece of a model output, belongs."""

    run: int
    index: int
    offset: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class TensorData:
    """Where the tail, a piece of a node's output, belongs."""

    run: int
    node: int
    tensor: int
    offset: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class RunEnd:
    """An inference has ended."""

    run: int
    status: str
    count: int
    macs_done: int
    output_crc: int
    dropped: int
    unit: str
    unsent: int


@dataclass(frozen=True, slots=True)
class Log:
    """A line of text, in the tail: level 0 error, 1 warning, 2 information."""

    level: int


@dataclass(frozen=True, slots=True)
class Fault:
    """A command was refused, or the processor took a fault."""

    status: str
    detail: int
    pc: int
    lr: int


@dataclass(frozen=True, slots=True)
class LayerWindow:
    """What one node did in runs `run` … `run` + `runs` - 1; `activations` are those of one run."""

    run: int
    runs: int
    node: int
    layer: int
    unit: str
    activations: int
    activation_zeros_min: int
    activation_zeros_max: int
    saturated_max: int
    activation_zeros_sum: int
    saturated_sum: int
    macs_done_sum: int
    macs_done_min: int
    macs_done_max: int
    count_sum: int
    count_min: int
    count_max: int
    thresholded_sum: int


@dataclass(frozen=True, slots=True)
class RunWindow:
    """A window of runs has ended, of which `node_count` LAYER_WINDOW records came before."""

    run: int
    runs: int
    count_sum: int
    count_min: int
    count_max: int
    macs_done_sum: int
    node_count: int
    dropped: int
    unsent: int
    unit: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Values of an int8 output over `runs` runs: bin i counts those with (q + 128) >> 4 == i."""

    run: int
    runs: int
    node: int
    tensor: int
    bins: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Memory:
    """How much memory was ever used; all runs before number `run` are over.

    `unsent`: records that the device has not sent since its start, for the rate or want of room.
    """

    run: int
    unsent: int
    arena_used_bytes: int
    arena_high_bytes: int
    stack_bytes: int
    stack_high_bytes: int


@dataclass(frozen=True, slots=True)
class Sparsified:
    """The smallest weights of a node are zero now."""

    node: int
    layer: int
    weights: int
    zeros: int
    unit: str
    count: int


RECORD_CLASSES: Mapping[str, type[Any]] = {
    "hello": Hello,
    "run_start": RunStart,
    "layer": LayerRecord,
    "output": Output,
    "tensor_data": TensorData,
    "run_end": RunEnd,
    "log": Log,
    "fault": Fault,
    "layer_window": LayerWindow,
    "run_window": RunWindow,
    "histogram": Histogram,
    "memory": Memory,
    "sparsified": Sparsified,
}
"""The class of each record that a device sends, by the record's name."""

_Fields = TypeVar("_Fields")


def fields_of(record: Record, cls: type[_Fields]) -> _Fields:
    """Return a record's fields as an object of its class in RECORD_CLASSES."""
    return cls(**record.fields)


def read_record(frame: Frame) -> Record | UnreadableRecord:
    """Return the record that a frame from the device carries."""
    row = _RECORDS_TO_HOST.get(frame.type)
    if row is None:
        return _unreadable("unknown type", frame)
    layout = native.layout(row.name)
    tail = frame.payload[layout.size_bytes :]
    if len(frame.payload) < layout.size_bytes or (tail and row.columns[1] == "0"):
        reason = f"{row.name} of {len(frame.payload)} bytes, it has {layout.size_bytes}"
        return _unreadable(reason, frame)
    values = layout.unpack(frame.payload)
    fields = {
        name: _readable(name, value)
        for name, value in values.items()
        if not name.startswith("reserved")
    }
    return Record(row.name, fields, tail, frame.sequence, frame.boot_id)


def _unreadable(reason: str, frame: Frame) -> UnreadableRecord:
    return UnreadableRecord(reason, frame.type, frame.payload, frame.sequence, frame.boot_id)


def _readable(name: str, value: Any) -> Any:
    if name in _TABLE_OF_FIELD:
        return native.name_of(_TABLE_OF_FIELD[name], value)
    if name in _TEXT_FIELDS:
        return value.rstrip(b"\0").decode("utf-8", "backslashreplace")
    return value


class Receiver:
    """Turns received bytes into events, and notices frames that are missing.

    Frames count up by one from a device's start, which its first HELLO, number 0, marks.  A start
    also shows in the boot id: its lower half counts starts, and its upper half, taken from the last
    PING, falls back to 0.

    `damaged` and `lost` count the frames that came broken, and those that by the numbering did not
    come whole (the broken ones are among these).
    """

    def __init__(self) -> None:
        self.damaged = 0
        self.lost = 0
        self._decoder = FrameDecoder()
        self._boot_id: int | None = None
        self._expected = 0

    def feed(self, data: bytes) -> list[Event]:
        """Return what these bytes complete, in order of arrival."""
        events: list[Event] = []
        for frame in self._decoder.feed(data):
            if isinstance(frame, DamagedFrame):
                self.damaged += 1
                events.append(frame)
                continue
            record = read_record(frame)
            missing = self._missing_before(record)
            if missing > 0:
                self.lost += missing
                events.append(LostFrames(missing))
            events.append(record)
        return events

    def _missing_before(self, record: Record | UnreadableRecord) -> int:
        before, self._boot_id = self._boot_id, record.boot_id
        expected, self._expected = self._expected, (record.sequence + 1) & 0xFFFF
        if before is None or (record.type == "hello" and record.sequence == 0):
            return 0
        if is_restart(before, record.boot_id):
            expected = 0
        return (record.sequence - expected) & 0xFFFF


def is_restart(before: int, after: int) -> bool:
    """Whether a device with boot id `before` must have started again to have boot id `after`."""
    forgot_nonce = before >> 16 != 0 and after >> 16 == 0
    return before & 0xFFFF != after & 0xFFFF or forgot_nonce


def event_line(event: Event) -> bytes:
    """Return an event as a line of run.jsonl: a JSON object and a line break.

    Key `record` comes first: a record's name, or `unreadable`, `damaged` or `lost`.  Bytes are in
    hexadecimal.
    """
    text = json.dumps(_json_object(event), ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _json_object(event: Event) -> dict[str, Any]:
    if isinstance(event, LostFrames):
        return {"record": "lost", "count": event.count}
    if isinstance(event, DamagedFrame):
        return {"record": "damaged", "reason": event.reason, "size_bytes": event.size_bytes}
    numbers = {"sequence": event.sequence, "boot_id": event.boot_id}
    if isinstance(event, UnreadableRecord):
        rest = {"reason": event.reason, "type": event.type, "payload": event.payload.hex()}
        return {"record": "unreadable", **numbers, **rest}
    fields = {
        name: value.hex() if isinstance(value, bytes) else value
        for name, value in event.fields.items()
    }
    document = {"record": event.type, **numbers, **fields}
    if event.type == "log":
        document["text"] = event.tail.decode("utf-8", "backslashreplace")
    elif event.tail:
        document["data"] = event.tail.hex()
    return document


def command(name: str, sequence: int, tail: bytes = b"", **fields: int) -> bytes:
    """Return a record for the device as bytes on the wire.

    Args:
        name: ping, run, input, abort or reset.
        sequence: number of the frame; the host counts up by one a frame.
        tail: the bytes behind the struct.
        fields: values of the struct; those not named are 0.

    Raises KeyError for a name that the tables do not have, ValueError if it is too long.
    """
    row = native.table("record")[name]
    return encode(row.id, sequence, native.layout(name).pack(**fields) + tail)


def input_pieces(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Split an input into (offset, bytes) as large as INPUT records take."""
    step = PAYLOAD_MAX_BYTES - native.layout("input").size_bytes
    for offset in range(0, len(data), step):
        yield offset, data[offset : offset + step]
