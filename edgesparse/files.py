"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from edgesparse.errors import UsageError


def read_file(path: Path) -> bytes:
    """All bytes of a file.  UsageError if it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error


def write_file(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename.  UsageError if that is impossible."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file that append_line made, none where there is no file.

    A last line without an end was being written when its writer was stopped; it is cut off.
    """
    if not path.exists():
        return []
    data = read_file(path)
    whole = data[: data.rfind(b"\n") + 1]
    if whole != data:
        write_file(path, whole)
    return whole.splitlines()


def append_line(path: Path, line: str) -> None:
    """Add a line, in one piece.  UsageError if that is impossible."""
    try:
        with path.open("ab") as lines:
            lines.write(line.encode("utf-8") + b"\n")
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
