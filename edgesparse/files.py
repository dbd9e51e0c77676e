"""Files that are there whole or not at all, and files that grow and keep what they have."""

from __future__ import annotations

import errno
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


def _write_all(handle: int, data: bytes) -> None:
    """Write all of it, in one call to the system unless the disk fills up."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def write_file(path: Path, data: bytes) -> None:
    """Write under a temporary name, then rename.  UsageError if that is impossible."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            try:
                _write_all(handle, data)
            finally:
                os.close(handle)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def check_writable(*paths: Path | None) -> None:
    """See before long work whether write_file has a folder to write to.  UsageError if not."""
    for path in paths:
        if path is not None and path.is_dir():
            raise UsageError(f"cannot write {path}: {os.strerror(errno.EISDIR)}")
        if path is not None and not path.parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")


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


class GrowingFile:
    """A new file that is only appended to.

    Nothing is held back in this process: what append() has taken survives its end, however sudden.
    What the operating system still holds is put onto the disk by close().

    Raises OSError where the file exists or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.size_bytes = 0
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o644)

    def append(self, data: bytes) -> None:
        """Write all of it.  Raises OSError, for example from a full disk; a part may be there."""
        _write_all(self._handle, data)
        self.size_bytes += len(data)

    def close(self) -> None:
        """Have it on the disk, and let go of it."""
        try:
            os.fsync(self._handle)
        finally:
            os.close(self._handle)
