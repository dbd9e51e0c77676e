"""Frames: the Python decoder and encoder against the C ones, and what damage looks like."""

from __future__ import annotations

import zlib
from itertools import pairwise

import pytest
from cobs import cobs
from hypothesis import example, given
from hypothesis import strategies as st

from edgesparse import native
from edgesparse.telemetry.frame import DamagedFrame, Frame, FrameDecoder, encode

HEADER = native.layout("frame_header")
PAYLOADS = st.one_of(
    st.binary(max_size=256),
    # Long stretches without a zero, where COBS begins a new block.
    st.lists(st.integers(1, 255), min_size=240, max_size=256).map(bytes),
)
FRAMES = st.builds(
    Frame, st.integers(0, 255), st.integers(0, 65535), st.integers(0, 2**32 - 1), PAYLOADS
)
GARBAGE = st.one_of(
    st.binary(max_size=300), st.binary(min_size=1, max_size=3).map(lambda b: b * 120)
)


def wire(frame: Frame) -> bytes:
    return encode(frame.type, frame.sequence, frame.payload, frame.boot_id)


def raw_on_wire(raw: bytes) -> bytes:
    crc = zlib.crc32(raw).to_bytes(4, "little")
    return cobs.encode(raw + crc) + b"\0"


@given(FRAMES)
@example(Frame(1, 0x0101, 0x01010101, b"\x01" * 244))  # the last block is a full one
@example(Frame(1, 0x0101, 0x01010101, b""))
def test_encodes_as_the_runtime_does(frame: Frame) -> None:
    header = HEADER.pack(type=frame.type, sequence=frame.sequence, boot_id=frame.boot_id)
    assert wire(frame) == native.encode_frame(header, frame.payload)


def test_a_last_block_that_is_full_is_closed_by_an_empty_one() -> None:
    """Find a payload whose 254 last bytes, CRC included, have no zero and start a block."""
    for i in range(1, 256):
        payload = bytes([i]) * 244
        raw = HEADER.pack(type=1, sequence=0x0101, boot_id=0x01010101) + payload
        stuffed = cobs.encode(raw + zlib.crc32(raw).to_bytes(4, "little"))
        if len(stuffed) == 2 + 255 and stuffed[2] == 255:
            assert encode(1, 0x0101, payload, 0x01010101) == stuffed + b"\x01\0"
            return
    pytest.fail("no payload found")


@given(FRAMES)
def test_decodes_what_it_encodes(frame: Frame) -> None:
    assert FrameDecoder().feed(wire(frame)) == [frame]


@given(st.lists(st.one_of(FRAMES.map(wire), GARBAGE), max_size=6).map(b"".join), st.data())
def test_decodes_any_stream_as_the_runtime_does(stream: bytes, data: st.DataObject) -> None:
    """Good frames, damaged frames and noise, with a byte changed somewhere."""
    if stream:
        at = data.draw(st.integers(0, len(stream) - 1))
        stream = stream[:at] + bytes([data.draw(st.integers(0, 255))]) + stream[at + 1 :]
    found = FrameDecoder().feed(stream)
    frames, dropped = native.decode_frames(stream)
    good = [
        HEADER.pack(type=f.type, sequence=f.sequence, boot_id=f.boot_id) + f.payload
        for f in found
        if isinstance(f, Frame)
    ]
    assert good == frames
    assert sum(isinstance(f, DamagedFrame) for f in found) == dropped


@given(
    st.lists(st.one_of(FRAMES.map(wire), GARBAGE), max_size=4).map(b"".join),
    st.lists(st.integers(0, 1200), max_size=8),
)
def test_pieces_do_not_matter(stream: bytes, cuts: list[int]) -> None:
    decoder = FrameDecoder()
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(edges)]
    assert [f for piece in pieces for f in decoder.feed(piece)] == FrameDecoder().feed(stream)


GOOD = Frame(4, 1, 2, b"payload")


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"\x05ab\0", "bad stuffing"),
        (raw_on_wire(b"1234567"), "too short"),
        (b"\x01" * 271 + b"\0", "too long"),
        (raw_on_wire(HEADER.pack(type=1) + bytes(257)), "too long"),
        (wire(GOOD)[:-3] + b"\x7f\x7f\0", "wrong CRC"),
        (raw_on_wire(HEADER.pack(type=1, reserved=1)), "reserved byte"),
    ],
)
def test_damage_is_named_and_ends_at_the_next_zero(bad: bytes, reason: str) -> None:
    found = FrameDecoder().feed(b"\0" + wire(GOOD) + bad + b"\0\0" + wire(GOOD))
    assert found == [GOOD, DamagedFrame(reason, len(bad) - 1), GOOD]


def test_a_flood_without_zeros_costs_no_memory() -> None:
    decoder = FrameDecoder()
    for _ in range(1000):
        assert decoder.feed(b"x" * 1000) == []
    assert len(decoder._stuffed) <= 270
    assert decoder.feed(b"\0" + wire(GOOD)) == [DamagedFrame("too long", 1_000_000), GOOD]


def test_refuses_a_payload_that_no_frame_holds() -> None:
    assert len(FrameDecoder().feed(encode(1, 0, bytes(256)))) == 1
    with pytest.raises(ValueError, match="257 bytes"):
        encode(1, 0, bytes(257))


def test_the_sequence_wraps() -> None:
    assert encode(1, 65536 + 7, b"") == encode(1, 7, b"")
