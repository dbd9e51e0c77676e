"""Records: fields by the tables' names, unreadable ones as values, missing frames noticed."""

from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgesparse import native
from edgesparse.telemetry.frame import DamagedFrame, Frame, FrameDecoder, encode
from edgesparse.telemetry.record import (
    RECORD_CLASSES,
    Fault,
    Hello,
    LayerRecord,
    LostFrames,
    Receiver,
    Record,
    UnreadableRecord,
    command,
    event_line,
    fields_of,
    input_pieces,
    is_restart,
    read_record,
)
from tests.scripted import BOOT_ID, device_frame

TO_HOST = [row for row in native.table("record").values() if row.columns[0] == "to_host"]


def only(events: list[object]) -> object:
    (event,) = events
    return event


def test_there_is_a_class_for_every_record_of_a_device() -> None:
    assert set(RECORD_CLASSES) == {row.name for row in TO_HOST}


@pytest.mark.parametrize("name", RECORD_CLASSES)
def test_the_classes_have_the_fields_of_the_tables(name: str) -> None:
    in_c = [f.name for f in native.layout(name).fields if not f.name.startswith("reserved")]
    assert [f.name for f in dataclasses.fields(RECORD_CLASSES[name])] == in_c


def test_ids_become_names_and_names_text() -> None:
    frame = device_frame(
        "hello",
        3,
        protocol=1,
        unit=native.number("unit", "cycles"),
        isa=native.number("isa", "armv7em"),
        model_status=native.number("status", "bad_crc"),
        model_hash=bytes(range(16)),
        board=b"nucleo",
        cpu=b"\xff",
        tick_rate_hz=2**40,
    )
    record = only(Receiver().feed(frame))
    assert isinstance(record, Record)
    hello = fields_of(record, Hello)
    assert (hello.unit, hello.isa, hello.model_status) == ("cycles", "armv7em", "bad_crc")
    assert (hello.board, hello.cpu, hello.tick_rate_hz) == ("nucleo", "\\xff", 2**40)
    assert hello.model_hash == bytes(range(16))


def test_counts_are_64_bits_wide() -> None:
    big = 2**64 - 1
    record = only(Receiver().feed(device_frame("layer", 0, macs_done=big, count=big - 1)))
    assert isinstance(record, Record)
    layer = fields_of(record, LayerRecord)
    assert (layer.macs_done, layer.count) == (big, big - 1)


def test_ids_that_no_table_has_become_numbers() -> None:
    record = only(Receiver().feed(device_frame("fault", 0, status=-99)))
    assert isinstance(record, Record)
    assert fields_of(record, Fault).status == "-99"


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (Frame(200, 5, 6, b"new"), "unknown type"),
        (Frame(native.number("record", "ping"), 5, 6, bytes(4)), "unknown type"),
        (Frame(native.number("record", "layer"), 5, 6, bytes(47)), "layer of 47 bytes, it has 48"),
        (Frame(native.number("record", "layer"), 5, 6, bytes(49)), "layer of 49 bytes, it has 48"),
        (
            Frame(native.number("record", "output"), 5, 6, bytes(15)),
            "output of 15 bytes, it has 16",
        ),
    ],
)
def test_what_cannot_be_read_is_a_value(frame: Frame, reason: str) -> None:
    assert read_record(frame) == UnreadableRecord(reason, frame.type, frame.payload, 5, 6)


@given(st.integers(0, 255), st.binary(max_size=256))
def test_no_payload_raises(kind: int, payload: bytes) -> None:
    event = read_record(Frame(kind, 1, 2, payload))
    assert json.loads(event_line(event))["sequence"] == 1


# --- Missing frames ----------------------------------------------------------------------------


def logs(*numbers: int, boot_id: int = BOOT_ID) -> bytes:
    return b"".join(device_frame("log", n, boot_id=boot_id) for n in numbers)


def lost(stream: bytes) -> list[int]:
    receiver = Receiver()
    counts = [e.count for e in receiver.feed(stream) if isinstance(e, LostFrames)]
    assert receiver.lost == sum(counts)
    return counts


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (logs(7, 8, 9), []),  # joined late: what came before is not missed
        (logs(7, 9), [1]),
        (logs(0, 5, 6, 9), [4, 2]),
        (logs(65534, 65535, 0, 1), []),
        (logs(65534, 2), [3]),
        # A restart begins at 0; the boot id shows it though HELLO may be lost.
        (logs(7) + logs(0, 1, boot_id=BOOT_ID + 1), []),
        (logs(7) + logs(2, boot_id=BOOT_ID + 1), [2]),
        (logs(7) + logs(2, boot_id=BOOT_ID & 0xFFFF), [2]),
        # A PING changes the upper half, and the numbers go on.
        (logs(7, boot_id=1) + logs(8), []),
        (logs(7, boot_id=1) + logs(10), [2]),
        (logs(7, 8) + device_frame("hello", 0) + logs(1), []),
    ],
)
def test_missing_frames_are_counted(stream: bytes, expected: list[int]) -> None:
    assert lost(stream) == expected


def test_a_damaged_frame_is_also_a_lost_one() -> None:
    bad = bytearray(logs(1))
    bad[5] ^= 0x11
    receiver = Receiver()
    kinds = [type(e) for e in receiver.feed(logs(0) + bytes(bad) + logs(2))]
    assert kinds == [Record, DamagedFrame, LostFrames, Record]
    assert (receiver.damaged, receiver.lost) == (1, 1)


def test_restart_shows_in_the_boot_id() -> None:
    assert not is_restart(0x00000001, 0x12340001)
    assert not is_restart(0x12340001, 0x56780001)
    assert is_restart(0x12340001, 0x12340002)
    assert is_restart(0x12340001, 0x00000001)


# --- Lines of run.jsonl ------------------------------------------------------------------------


@pytest.mark.parametrize("name", RECORD_CLASSES)
def test_lines_keep_every_field(name: str) -> None:
    """No name of a field hides one of the keys that every line has."""
    record = only(Receiver().feed(device_frame(name, 9)))
    line = json.loads(event_line(record))  # type: ignore[arg-type]
    assert line["record"] == name
    assert (line["sequence"], line["boot_id"]) == (9, BOOT_ID)
    names = [f.name for f in native.layout(name).fields if not f.name.startswith("reserved")]
    assert list(line)[:3] == ["record", "sequence", "boot_id"]
    assert [key for key in line if key not in ("record", "sequence", "boot_id", "text")] == names


def test_lines_of_what_is_no_record() -> None:
    def parsed(event: object) -> object:
        line = event_line(event)  # type: ignore[arg-type]
        assert line.endswith(b"}\n")
        assert line.count(b"\n") == 1
        return json.loads(line)

    assert parsed(LostFrames(3)) == {"record": "lost", "count": 3}
    damaged = {"record": "damaged", "reason": "wrong CRC", "size_bytes": 12}
    assert parsed(DamagedFrame("wrong CRC", 12)) == damaged
    log = parsed(Record("log", {"level": 2}, "a\nb\xb5".encode(), 1, 2))
    assert log == {"record": "log", "sequence": 1, "boot_id": 2, "level": 2, "text": "a\nb\xb5"}
    piece = parsed(Record("output", {"run": 1}, b"\x01\xff", 1, 2))
    assert piece == {"record": "output", "sequence": 1, "boot_id": 2, "run": 1, "data": "01ff"}


# --- To the device -----------------------------------------------------------------------------


def test_commands_are_what_the_tables_say() -> None:
    (frame,) = FrameDecoder().feed(command("run", 5, run=1, count=2, first_row=3, flags=1))
    assert isinstance(frame, Frame)
    assert (frame.type, frame.sequence, frame.boot_id) == (native.number("record", "run"), 5, 0)
    fields = native.layout("run").unpack(frame.payload)
    given = {"run": 1, "count": 2, "first_row": 3, "flags": 1}
    assert fields == given | {"every": 0, "rate": 0, "rows": 0}
    assert command("abort", 0) == encode(native.number("record", "abort"), 0, bytes(4))
    with pytest.raises(KeyError):
        command("ping", 0, none=1)


@pytest.mark.parametrize("size", [1, 248, 249, 1000])
def test_inputs_are_cut_into_pieces_that_fit(size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    pieces = list(input_pieces(data))
    assert b"".join(piece for _, piece in pieces) == data
    assert [offset for offset, _ in pieces] == list(range(0, size, 248))
    for offset, piece in pieces:
        assert len(FrameDecoder().feed(command("input", 0, piece, index=1, offset=offset))) == 1
