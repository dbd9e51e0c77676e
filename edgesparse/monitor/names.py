"""Which model a device runs: from a file, from an earlier log, or unknown."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgesparse import native
from edgesparse.errors import EdgesparseError, UsageError
from edgesparse.files import read_file
from edgesparse.image import Image
from edgesparse.meta import LayerMeta, Meta, unknown_meta
from edgesparse.telemetry.log import RUNS_FOLDER
from edgesparse.telemetry.record import Hello
from edgesparse.telemetry.setup import Setup

__all__ = ["KnownImage", "find_image"]

# A log's HELLO is among its first lines.
_HEAD_BYTES = 65536
_LOGS_MAX = 1000


@dataclass(frozen=True, slots=True)
class KnownImage:
    """What is known of the image on a device.  Fields as those of telemetry.setup.Setup."""

    meta: Meta
    image_sha256: str
    flash_bytes: int | None


def find_image(hello: Hello, image: Image | None) -> KnownImage:
    """What is known of the image on a device.

    Args:
        hello: of the device.
        image: that somebody says it runs; None to look through the logs in RUNS_FOLDER, newest
            first, for one of the same image.

    Raises UsageError where the device runs another image.
    """
    if image is not None:
        _check_same(hello, image)
        data = image.device_bytes()
        digest = hashlib.sha256(data).hexdigest()
        return KnownImage(_without_inputs(image.meta), digest, len(data))
    for folder in _newest_logs(Path(RUNS_FOLDER)):
        setup = _setup_of(folder, hello)
        if setup is not None:
            meta = _without_inputs(setup.meta)
            return KnownImage(meta, setup.image_sha256, setup.flash_bytes)
    return KnownImage(unknown_meta(), "", None)


def _check_same(hello: Hello, image: Image) -> None:
    header = native.layout("image_header")
    # With or without the section for the host: who wrote it to the device is not known.
    known = {header.unpack(data)["crc32"] for data in (image.data, image.device_bytes())}
    if hello.model_crc not in known:
        what = f"the device runs another image than {image.meta.name}"
        hint = "give the .esm that it was written with, or no model"
        raise UsageError(f"{what} (CRC {hello.model_crc:08x})", hint=hint)


def _newest_logs(parent: Path) -> Iterator[Path]:
    """Folders of logs, and of their segments."""
    found = [*parent.glob("*/session.json"), *parent.glob("*/*/session.json")]
    dated = sorted(((path.stat().st_mtime, path) for path in found), reverse=True)
    yield from (path.parent for _, path in dated[:_LOGS_MAX])


def _setup_of(folder: Path, hello: Hello) -> Setup | None:
    """What was known before a log, if a device with the same image wrote it."""
    try:
        with (folder / "run.jsonl").open("rb") as file:
            lines = file.read(_HEAD_BYTES).split(b"\n")[:-1]
        if not any(_says(line, hello) for line in lines):
            return None
        setup = Setup.from_json(read_file(folder / "session.json"))
    except (OSError, ValueError, EdgesparseError):
        return None
    return setup if setup.meta.layers else None


def _says(line: bytes, hello: Hello) -> bool:
    if not line.startswith(b'{"record":"hello"'):
        return False
    told = json.loads(line)
    same = (told["model_crc"], told["model_hash"]) == (hello.model_crc, hello.model_hash.hex())
    return same and hello.model_status == "ok"


def _without_inputs(meta: Meta) -> Meta:
    """What holds whatever rows the device runs: nothing of what a RESHAPE of an input gives."""
    layers = tuple(layer if layer.same_as_input is None else _blank(layer) for layer in meta.layers)
    return meta.model_copy(update={"inputs": (), "layers": layers})


def _blank(layer: LayerMeta) -> LayerMeta:
    return layer.model_copy(update={"same_as_input": None, "activations": 0})
