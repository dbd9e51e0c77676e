"""The committed vectors, read by Python, by C, and by every target."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edgesparse import native
from edgesparse.deploy.boards import Board
from edgesparse.deploy.session import Session
from edgesparse.errors import ImageRefusedError
from edgesparse.telemetry.frame import DamagedFrame, Frame, FrameDecoder, encode
from tests.conformance.make_vectors import EDITS, ELEMENTWISE_EDITS, FOLDER, STATE_EDITS
from tests.devices import power_on

IMAGES: list[dict[str, Any]] = json.loads((FOLDER / "images.json").read_text())
FRAMES: list[dict[str, Any]] = json.loads((FOLDER / "frames.json").read_text())


def test_vectors_cover_every_reason_to_refuse_an_image() -> None:
    """Each status that the loader can give has a vector, and each edit is among them."""
    seen = {vector["status"] for vector in IMAGES}
    loader = {name for name, row in native.table("status").items() if -20 < row.id <= 0}
    assert seen == loader
    edits = {*EDITS, *ELEMENTWISE_EDITS, *STATE_EDITS}
    assert edits <= {vector["name"] for vector in IMAGES}


@pytest.mark.parametrize("vector", IMAGES, ids=lambda v: v["name"])
def test_loader(vector: dict[str, Any]) -> None:
    check = native.check_image(bytes.fromhex(vector["image"]), arena_bytes=65536)
    got = (native.name_of("status", check.status), check.section, check.offset)
    assert got == (vector["status"], vector["section"], vector["offset"])


def test_device_refuses_the_same(board: Board) -> None:
    """HELLO carries the loader's status and place; an image without magic is no image."""
    for vector in IMAGES:
        with power_on(board, bytes.fromhex(vector["image"])) as target:
            session = Session(target)
            if vector["status"] == "ok":
                assert session.hello().model_status == "ok", vector["name"]
                continue
            with pytest.raises(ImageRefusedError) as refused:
                session.hello()
        # The partition is larger than a vector, and reads 0 behind it.
        cut = vector["name"].startswith("cut off") or vector["name"] == "total beyond the bytes"
        if not cut:
            expected = "no_model" if vector["status"] == "bad_magic" else vector["status"]
            assert refused.value.status == expected, vector["name"]
            assert refused.value.offset == vector["offset"], vector["name"]


@pytest.mark.parametrize("vector", FRAMES, ids=lambda v: v["name"])
def test_frames_in_c(vector: dict[str, Any]) -> None:
    frames, dropped = native.decode_frames(bytes.fromhex(vector["stream"]))
    assert [frame.hex() for frame in frames] == vector["frames"]
    assert dropped == vector["dropped"]


@pytest.mark.parametrize("vector", FRAMES, ids=lambda v: v["name"])
def test_frames_in_python(vector: dict[str, Any]) -> None:
    events = FrameDecoder().feed(bytes.fromhex(vector["stream"]))
    frames = [event for event in events if isinstance(event, Frame)]
    header = native.layout("frame_header")
    packed = [
        header.pack(type=f.type, sequence=f.sequence, boot_id=f.boot_id) + f.payload for f in frames
    ]
    assert [each.hex() for each in packed] == vector["frames"]
    assert sum(isinstance(event, DamagedFrame) for event in events) == vector["dropped"]


@pytest.mark.parametrize("vector", FRAMES, ids=lambda v: v["name"])
def test_both_encoders_write_the_same_bytes(vector: dict[str, Any]) -> None:
    for text in vector["frames"]:
        raw = bytes.fromhex(text)
        head = native.layout("frame_header").unpack(raw)
        written = encode(head["type"], head["sequence"], raw[8:], head["boot_id"])
        assert written == native.encode_frame(raw[:8], raw[8:])
