"""Writes what the fuzzers start from: the conformance vectors, and an image for the link's device.

python -m tests.fuzz.seeds FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from edgesparse import native
from tests.conformance.make_vectors import FOLDER, small_image


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
        b"\0" + row + from_link + sent("reset"),
        b"\1\xff\0" + bytes(range(256)),
    ]


def main() -> None:
    """Command line."""
    out = Path(sys.argv[1])
    for i, vector in enumerate(json.loads((FOLDER / "images.json").read_text())):
        (out / "image" / f"seed-{i}").write_bytes(bytes.fromhex(vector["image"]))
    for i, seed in enumerate(link_seeds()):
        (out / "link" / f"seed-{i}").write_bytes(seed)
    (out / "small.esm").write_bytes(small_image("delta8"))


if __name__ == "__main__":
    main()
