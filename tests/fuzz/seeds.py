"""Writes what the fuzzers start from: vectors, images of every operator, and one for the link.

python -m tests.fuzz.seeds FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from edgesparse import native
from edgesparse.encode import encode
from edgesparse.image import build_image
from tests.conformance.make_vectors import FOLDER, small_image
from tests.one_operator import OPERATORS, Example

MODELS_AN_OPERATOR = 8


def link_seeds() -> list[bytes]:
    """Sequences of records, in the form that fuzz_link.c reads."""
    record = native.table("record")

    def sent(name: str, tail: bytes = b"", **fields: int) -> bytes:
        payload = native.layout(name).pack(**fields) + tail
        return bytes([len(payload), record[name].id]) + payload

    row = sent("input", bytes(72), index=0, offset=0)
    from_link = sent("run", run=1, count=1, first_row=2**32 - 1)
    return [
        b"\1" + sent("ping", nonce=7) + sent("run", run=0, count=1, first_row=0),
        b"\1" + row + from_link,
        b"\1" + sent("run", run=0, count=1, first_row=3, flags=3) + sent("abort"),
        b"\1"
        + sent("run", count=3, every=2, flags=16, rows=2)
        + sent("ping", nonce=1)
        + sent("abort"),
        b"\0" + row + from_link + sent("reset"),
        b"\1\xff\0" + bytes(range(256)),
        b"\1" + sent("sparsify", node=0, smallest=40) + row + from_link,
        b"\1" + sent("sparsify", node=2, limit=0x3FB0_0000_0000_0000) + row + from_link,
    ]


def operator_seeds() -> list[bytes]:
    """Images of one operator each, some for every operator, always the same."""
    images: list[bytes] = []

    def keep(example: Example | None) -> None:
        if example is not None:
            images.append(build_image(encode(example.model)).device_bytes())

    quiet = settings(
        max_examples=MODELS_AN_OPERATOR,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    for strategy in OPERATORS.values():
        quiet(given(strategy)(keep))()
    return images


def main() -> None:
    """Command line."""
    out = Path(sys.argv[1])
    for i, vector in enumerate(json.loads((FOLDER / "images.json").read_text())):
        (out / "image" / f"seed-{i}").write_bytes(bytes.fromhex(vector["image"]))
    for i, image in enumerate(operator_seeds()):
        (out / "image" / f"operator-{i}").write_bytes(image)
    for i, seed in enumerate(link_seeds()):
        (out / "link" / f"seed-{i}").write_bytes(seed)
    (out / "small.esm").write_bytes(small_image("bitmap", changeable=True))
    hashed = bytearray(small_image("bitmap", changeable=True))
    hashed[32:48] = native.layout("sparsify").pack(node=0, smallest=40)  # see fuzz_image.c
    (out / "image" / "changeable").write_bytes(hashed)
    for encoding in ("dense_sums", "squares"):
        (out / f"{encoding}.esm").write_bytes(small_image(encoding))


if __name__ == "__main__":
    main()
