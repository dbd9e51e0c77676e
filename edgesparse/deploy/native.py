"""The device in this process: the same runtime and application, compiled for the host."""

from __future__ import annotations

from typing_extensions import Self

from edgesparse import native
from edgesparse.deploy.boards import Board
from edgesparse.errors import TargetError

__all__ = ["SUMS_BYTES", "NativeTarget"]

# A turn of the main loop takes commands and runs at most one inference; a restart waits for the
# next turn.
_TURNS = 2
SUMS_BYTES = 256 * (
    native.layout("layer_window").size_bytes + native.layout("histogram").size_bytes
)
"""What windows and histograms of any image take at most: 256 nodes and as many int8 outputs."""


class NativeTarget:
    """A device without time base, as fast as this computer.  One at a time.

    Args:
        board: its row in the list of boards.
        image: bytes of the model partition, may be empty.
        batch: input rows, one after another, may be empty.
        arena_bytes: RAM for tensors and scratch; what runs are added up in comes on top.

    Raises:
        TargetError: another one is open, or this computer has not that much memory.
    """

    def __init__(self, board: Board, image: bytes, batch: bytes, arena_bytes: int) -> None:
        self._board = board
        self._closed = False
        try:
            memory_bytes = arena_bytes + SUMS_BYTES
            self._application = native.Application(image, batch, arena_bytes=memory_bytes)
        except RuntimeError as error:
            raise TargetError("the native device is in use already") from error
        except MemoryError as error:
            raise TargetError(f"no memory for the native device: {error}") from error

    @property
    def board(self) -> Board:
        """What it is."""
        return self._board

    def read(self, max_bytes: int, timeout_s: float) -> bytes:  # noqa: ARG002
        """Take what the device sent: 1 to `max_bytes` bytes, or none if it has nothing left to do.

        Never waits: the device only works in here, and stops when it has sent something.

        Raises:
            TargetError: it is closed.
        """
        self._check_open()
        data = self._application.take(max_bytes)
        for _ in range(_TURNS):
            if data:
                break
            self._application.poll()
            data = self._application.take(max_bytes)
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data` to the device.

        Raises:
            TargetError: it is closed.
        """
        self._check_open()
        self._application.feed(data)

    def _check_open(self) -> None:
        if self._closed:
            raise TargetError("the native device is closed")

    def close(self) -> None:
        """Switch the device off and release it.  May be called again."""
        self._closed = True
        self._application.close()

    def __enter__(self) -> Self:
        """Return the target itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
