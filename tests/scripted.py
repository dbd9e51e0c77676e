"""A device made of Python, which says what a test wants it to say, and a small model for it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from typing_extensions import Self

from edgesparse import native
from edgesparse.deploy.boards import Board, find_board
from edgesparse.meta import InputMeta, LayerMeta, Meta, OutputMeta
from edgesparse.report.summary import Summary
from edgesparse.telemetry.frame import Frame, FrameDecoder, encode
from edgesparse.telemetry.record import Hello, Receiver, Record, fields_of
from edgesparse.telemetry.runs import RunCollector, RunResult
from edgesparse.telemetry.setup import Setup

NONCE = 0xABCD1234
BOOT_ID = 0x1234 << 16 | 1
"""Of a device that was started once and has answered a PING with NONCE."""

OUTPUT = np.array([3, -7, 3], np.int8)


def device_frame(
    name: str, sequence: int, tail: bytes = b"", *, boot_id: int = BOOT_ID, **fields: Any
) -> bytes:
    """A record as a device sends it."""
    payload = native.layout(name).pack(**fields) + tail
    return encode(native.number("record", name), sequence, payload, boot_id)


def run_records(
    run: int,
    *,
    counts: tuple[int, int] = (100, 50),
    total: int = 160,
    macs_done: tuple[int, int] = (80, 20),
    zeros: tuple[int, int] = (4, 1),
    output: bytes = OUTPUT.tobytes(),
    unit: str = "instructions",
    piece_bytes: int = 2,
) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
    """The records of a good run of the small model: name, tail, fields."""
    unit_id = native.number("unit", unit)
    yield "run_start", b"", {"run": run, "node_count": 2}
    for node, (layer, elements) in enumerate(((1, 8), (3, 3))):
        yield (
            "layer",
            b"",
            {
                "run": run,
                "node": node,
                "layer": layer,
                "macs_done": macs_done[node],
                "count": counts[node],
                "activations": elements,
                "activation_zeros": zeros[node],
                "unit": unit_id,
            },
        )
    for at in range(0, len(output), piece_bytes):
        head = {"run": run, "index": 0, "offset": at, "total_bytes": len(output)}
        yield "output", output[at : at + piece_bytes], head
    yield (
        "run_end",
        b"",
        {
            "run": run,
            "count": total,
            "macs_done": sum(macs_done),
            "output_crc": zlib.crc32(output),
            "unit": unit_id,
        },
    )


def run_frames(run: int, sequence: int, **options: Any) -> list[bytes]:
    """The frames of a good run."""
    return [
        device_frame(name, sequence + i, tail, **fields)
        for i, (name, tail, fields) in enumerate(run_records(run, **options))
    ]


def result(run: int, **options: Any) -> RunResult:
    """A good run as the host collects it."""
    runs = RunCollector(NONCE)
    for event in Receiver().feed(b"".join(run_frames(run, 0, **options))):
        ended = runs.push(event)
    assert isinstance(ended, RunResult)
    return ended


def hello(**fields: Any) -> Hello:
    """The answer to a PING with NONCE."""
    (record,) = Receiver().feed(device_frame("hello", 0, nonce=NONCE, **fields))
    assert isinstance(record, Record)
    return fields_of(record, Hello)


def summarize(setup: Setup, device: Hello | None, runs: Iterable[RunResult]) -> dict[str, Any]:
    """Return the document of some runs."""
    summary = Summary(setup)
    if device is not None:
        summary.greet(device)
    for run in runs:
        summary.add(run)
    return summary.document()


def small_meta() -> Meta:
    """RESHAPE, CONV_2D, RESHAPE, FULLY_CONNECTED; the device runs the second and the fourth."""

    def layer(index: int, op: str, node: int | None, activations: int, **more: Any) -> LayerMeta:
        numbers = {"macs": 0, "weights": 0, "weight_zeros": 0, "dense_bytes": 0, "encoded_bytes": 0}
        encoding = "none" if node is None else "dense"
        fields = (
            {"name": f"m/layer_{index}/Relu", "kernel": "", "encoding": encoding} | numbers | more
        )
        return LayerMeta(index=index, op=op, node=node, activations=activations, **fields)

    return Meta(
        name="small",
        source_sha256="5" * 64,
        sparsify=None,
        layers=(
            layer(0, "RESHAPE", None, 4, same_as_input=0),
            layer(1, "CONV_2D", 0, 8, macs=128, weights=16, weight_zeros=4),
            layer(2, "RESHAPE", None, 8, same_as_layer=1),
            layer(3, "FULLY_CONNECTED", 1, 3, macs=24, weights=24, weight_zeros=4),
        ),
        inputs=(
            InputMeta(name="in", shape=(1, 4), dtype="int8", scale=0.5, zero_point=-1, bytes=4),
        ),
        outputs=(OutputMeta(name="out", shape=(1, 3), dtype="int8", scale=1.0, zero_point=0),),
        tensors=(1, 2),
        scratch_bytes=32,
    )


def small_setup(**changes: Any) -> Setup:
    """Two rows; the input of the second has twice as many zeros."""
    fields: dict[str, Any] = {
        "nonce": NONCE,
        "command": ("edgesparse", "deploy"),
        "board": "native",
        "meta": small_meta(),
        "image_sha256": "6" * 64,
        "flash_bytes": 1000,
        "arena_bytes": 200,
        "runs": 2,
        "rows": 2,
        "input_zeros": ((1, 2),),
    }
    return Setup(**fields | changes)


class ScriptedTarget:
    """A target whose device answers PING, RUN and ABORT as it should, unless a test says otherwise.

    `answers` replaces the answer to a record by name: it takes the record's fields and tail and
    returns bytes.  `read_bytes` is the most that one read returns.
    """

    def __init__(self, *, read_bytes: int = 1 << 20) -> None:
        self.answers: dict[str, Callable[[dict[str, Any], bytes], bytes]] = {
            "ping": self.ping,
            "run": self.run,
            "abort": lambda fields, tail: b"",
            "reset": lambda fields, tail: b"",
            "input": lambda fields, tail: b"",
        }
        self.received: list[tuple[str, dict[str, Any], bytes]] = []
        self.hello: dict[str, Any] = {}
        self.boot_id = 1
        self.sequence = 0
        self.to_host = bytearray()
        self.waits: list[float] = []
        self.closed = False
        self._read_bytes = read_bytes
        self._decoder = FrameDecoder()

    @property
    def board(self) -> Board:
        return find_board("native")

    def frame(self, name: str, tail: bytes = b"", **fields: Any) -> bytes:
        """The next frame."""
        frame = device_frame(name, self.sequence, tail, boot_id=self.boot_id, **fields)
        self.sequence = (self.sequence + 1) & 0xFFFF
        return frame

    def ping(self, fields: dict[str, Any], tail: bytes = b"") -> bytes:
        self.boot_id = (fields["nonce"] & 0xFFFF) << 16 | self.boot_id & 0xFFFF
        return self.say_hello(nonce=fields["nonce"])

    def say_hello(self, **fields: Any) -> bytes:
        known = {
            "protocol": 2,
            "tables_crc": native.tables_crc(),
            "unit": native.number("unit", "instructions"),
            "board": b"scripted",
        }
        return self.frame("hello", **known | fields | self.hello)

    def run(self, fields: dict[str, Any], tail: bytes = b"") -> bytes:
        runs = range(fields["run"], fields["run"] + fields["count"])
        records = [record for run in runs for record in run_records(run)]
        return self.frames(*records, ("memory", b"", {"run": runs.stop}))

    def frames(self, *records: tuple[str, bytes, dict[str, Any]]) -> bytes:
        """The next frames: name, tail, fields."""
        return b"".join(self.frame(name, tail, **fields) for name, tail, fields in records)

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        count = min(max_bytes, self._read_bytes)
        data = bytes(self.to_host[:count])
        del self.to_host[:count]
        if not data:
            self.waits.append(timeout_s)
        return data

    def write(self, data: bytes) -> None:
        for frame in self._decoder.feed(data):
            assert isinstance(frame, Frame)
            assert frame.boot_id == 0
            assert frame.sequence == len(self.received) & 0xFFFF
            name = native.name_of("record", frame.type)
            layout = native.layout(name)
            fields, tail = layout.unpack(frame.payload), frame.payload[layout.size_bytes :]
            self.received.append((name, fields, tail))
            self.to_host += self.answers[name](fields, tail)

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
