"""Frames: a header, a record and a CRC-32, in COBS between zero bytes.

::

    header (8 bytes) | payload (0..256 bytes) | CRC-32 of both, little-endian   -> COBS -> 0x00

Pure: bytes in, values out.  The twin of firmware/runtime/es_frame.c, which accepts and produces the
same bytes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from cobs import cobs

from edgesparse import native

PAYLOAD_MAX_BYTES = 256
"""Largest payload of a frame."""

_HEADER = native.layout("frame_header")
_CRC_BYTES = 4
_RAW_MIN_BYTES = _HEADER.size_bytes + _CRC_BYTES
_RAW_MAX_BYTES = _RAW_MIN_BYTES + PAYLOAD_MAX_BYTES
# COBS adds a byte, and one more past 254.
_WIRE_MAX_BYTES = _RAW_MAX_BYTES + 2


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame that arrived whole: its payload and the fields of its header."""

    type: int
    sequence: int
    boot_id: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class DamagedFrame:
    """Bytes between two zeros that are no frame: how many, and what is wrong with them.

    The reason is one of "too long", "bad stuffing", "too short", "wrong CRC" and "reserved byte".
    """

    reason: str
    size_bytes: int


class FrameDecoder:
    """Turns received bytes into frames.

    The result depends on the bytes alone, not on the pieces in which they come.  What is damaged
    ends at the next zero byte and costs at most 270 bytes of memory, however long it is.
    """

    def __init__(self) -> None:
        self._stuffed = bytearray()
        self._size = 0

    def feed(self, data: bytes) -> list[Frame | DamagedFrame]:
        """Return the frames, whole or damaged, that these bytes complete."""
        found: list[Frame | DamagedFrame] = []
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._take(piece)
            if self._size > 0:
                found.append(self._close())
        self._take(rest)
        return found

    def _take(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= _WIRE_MAX_BYTES:
            self._stuffed += piece

    def _close(self) -> Frame | DamagedFrame:
        stuffed, size = bytes(self._stuffed), self._size
        self._stuffed.clear()
        self._size = 0
        if size > _WIRE_MAX_BYTES:
            return DamagedFrame("too long", size)
        opened = _open(stuffed)
        return DamagedFrame(opened, size) if isinstance(opened, str) else opened


def _open(stuffed: bytes) -> Frame | str:
    """Return the frame, or the reason why there is none."""
    try:
        raw = cobs.decode(stuffed)
    except cobs.DecodeError:
        return "bad stuffing"
    if len(raw) < _RAW_MIN_BYTES:
        return "too short"
    if len(raw) > _RAW_MAX_BYTES:
        return "too long"
    if zlib.crc32(raw[:-_CRC_BYTES]) != int.from_bytes(raw[-_CRC_BYTES:], "little"):
        return "wrong CRC"
    header = _HEADER.unpack(raw)
    if header["reserved"] != 0:
        return "reserved byte"
    payload = raw[_HEADER.size_bytes : -_CRC_BYTES]
    return Frame(header["type"], header["sequence"], header["boot_id"], payload)


def encode(record_type: int, sequence: int, payload: bytes, boot_id: int = 0) -> bytes:
    """Return the bytes of a frame on the wire, its closing zero included.

    The sequence wraps at 2**16.  Raises ValueError for a payload above 256 bytes.
    """
    if len(payload) > PAYLOAD_MAX_BYTES:
        raise ValueError(f"payload of {len(payload)} bytes, a frame holds {PAYLOAD_MAX_BYTES}")
    header = _HEADER.pack(type=record_type, sequence=sequence & 0xFFFF, boot_id=boot_id)
    raw = header + payload
    return _stuff(raw + zlib.crc32(raw).to_bytes(_CRC_BYTES, "little")) + b"\0"


def _stuff(raw: bytes) -> bytes:
    stuffed = bytes(cobs.encode(raw))
    at, code = 0, 0
    while at < len(stuffed):
        code = stuffed[at]
        at += code
    # The runtime closes a full last block with an empty one, the package leaves it out; both decode
    # to the same bytes.
    return stuffed + b"\x01" if code == 255 else stuffed
