"""Any board as a running device, for tests that are the same on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgesparse.deploy.boards import Board, NativeRunner, find_board
from edgesparse.deploy.firmware import ensure_firmware
from edgesparse.deploy.native import NativeTarget
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import Session
from edgesparse.deploy.target import Target
from edgesparse.image import Image
from edgesparse.telemetry.runs import RunResult

ARENA_BYTES = 65536


def power_on(
    board: Board, image: bytes, batch: bytes = b"", *, arena_bytes: int = ARENA_BYTES
) -> Target:
    """A board with any bytes in its model partition."""
    if isinstance(board.runner, NativeRunner):
        return NativeTarget(board, image, batch, arena_bytes)
    return QemuTarget(board, firmware_of(board.name), image=image, batch=batch)


@cache
def firmware_of(name: str) -> Path:
    """The firmware of a board, looked at once: its sources do not change while tests run."""
    return ensure_firmware(find_board(name)).path


def batch_bytes(rows: Sequence[NDArray[np.int8]]) -> bytes:
    """The batch of `rows`, one array [count, ...] a model input."""
    return b"".join(values[i].tobytes() for i in range(len(rows[0])) for values in rows)


def run_rows(
    board: Board, image: Image, rows: Sequence[NDArray[np.int8]], *, flags: int = 0
) -> list[RunResult]:
    """One run a row, from the batch or, where a board has no memory for it, through the link."""
    has_batch = board.memory.batch is not None
    batch = batch_bytes(rows) if has_batch else b""
    with power_on(board, image.device_bytes(), batch, arena_bytes=image.arena_bytes) as target:
        session = Session(target)
        session.hello()
        if has_batch:
            return list(session.run(0, len(rows[0]), flags=flags))
        sent = [[values[i].tobytes() for values in rows] for i in range(len(rows[0]))]
        return [session.run_from_link(row, flags=flags) for row in sent]


def run_native(
    image: Image, rows: Sequence[NDArray[np.int8]], *, flags: int = 0
) -> list[RunResult]:
    """One run a row, in this process."""
    return run_rows(find_board("native"), image, rows, flags=flags)
