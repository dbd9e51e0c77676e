"""What all ways of running share: a line to a device that has a model image and input rows."""

from __future__ import annotations

from typing import Protocol

from typing_extensions import Self

from edgesparse.deploy.boards import Board

__all__ = ["Target"]


class Target(Protocol):
    """A device that runs, and the line to it.  Close it, or use it as a context manager."""

    @property
    def board(self) -> Board:
        """What it is."""
        ...

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the device sent: 1 to `max_bytes` bytes, or none if `timeout_s` went by.

        Raises:
            TargetError: the device is gone.
        """
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data` to the device.

        Raises:
            TargetError: the device is gone, or takes nothing more.
        """
        ...

    def close(self) -> None:
        """Switch the device off and release it.  May be called again."""
        ...

    def __enter__(self) -> Self:
        """Return the target itself."""
        ...

    def __exit__(self, *_: object) -> None:
        """Close it."""
        ...
