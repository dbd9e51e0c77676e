"""Points as files.

Every point goes into a file of its own as soon as it is measured, under a name that all goes into
that decides it: model, data, way, share, half, and the code.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import edgesparse
from edgesparse.files import write_file
from host.accuracy import measure
from host.accuracy.points import Point


def code_hash() -> str:
    """Of all sources that decide an accuracy."""
    package = Path(edgesparse.__file__).parent
    files = sorted((package / "sparsify").rglob("*.py"))
    together = b"".join(path.read_bytes() for path in (*files, Path(measure.__file__)))
    return hashlib.sha256(together).hexdigest()


class Cache:
    """Points in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code = folder, code_hash()

    def path(self, point: Point) -> Path:
        """Where a point is kept."""
        folder = Path(point.folder)
        files = (folder / f"{folder.name}.tflite", folder / "data.npz")
        parts = [self.code, str(point.way), str(point.share), str(point.half)]
        parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:20]
        return self.folder / f"{folder.name}-{key}.json"

    def read(self, point: Point) -> Any:
        """What was measured, or None."""
        path = self.path(point)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write(self, point: Point, found: Any) -> None:
        """Keep what was measured."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.path(point), json.dumps(found).encode("utf-8"))
