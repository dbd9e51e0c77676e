"""Board + image + input rows -> a running target, if they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgesparse.cycles import CycleRequest, Part
from edgesparse.deploy.boards import Board, NativeRunner
from edgesparse.deploy.firmware import Firmware, ensure_firmware
from edgesparse.deploy.native import NativeTarget
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.target import Target
from edgesparse.errors import DoesNotFitError
from edgesparse.image import Image

__all__ = ["Capacity", "batch_rows", "capacity_of", "check_fit", "open_target"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a board offers.  `firmware` None: it has none of its own.  Sizes in bytes."""

    firmware: Firmware | None
    model_bytes: int
    arena_bytes: int
    batch_bytes: int


def capacity_of(board: Board, *, progress: Callable[[str], None] | None = None) -> Capacity:
    """Sizes of a board's memories; for one with firmware, as that firmware leaves them.

    Raises MissingToolError and TargetError if there is no firmware and none can be built.
    """
    batch_bytes = 0 if board.memory.batch is None else board.memory.batch.bytes
    if isinstance(board.runner, NativeRunner):
        memory = board.memory
        return Capacity(None, memory.model.bytes, memory.ram.bytes, batch_bytes)
    firmware = ensure_firmware(board, progress=progress)
    return Capacity(firmware, firmware.model_bytes, firmware.arena_bytes, batch_bytes)


def check_fit(image: Image, board: Board, capacity: Capacity) -> None:
    """Raise DoesNotFitError unless the board has the flash and the RAM that an image needs."""
    flash_bytes = len(image.device_bytes())
    if flash_bytes > capacity.model_bytes:
        what = f"the model image in {board.name}'s model partition"
        raise DoesNotFitError(what, flash_bytes, capacity.model_bytes)
    if image.arena_bytes > capacity.arena_bytes:
        what = f"the model's arena in {board.name}'s RAM"
        raise DoesNotFitError(what, image.arena_bytes, capacity.arena_bytes)


def batch_rows(image: Image, capacity: Capacity) -> int:
    """How many input rows the board's batch memory holds; 0 if it has none."""
    row_bytes = sum(each.bytes for each in image.meta.inputs)
    return capacity.batch_bytes // row_bytes if row_bytes else 0


def open_target(
    board: Board, image: Image, batch: bytes, capacity: Capacity, *, part: Part | None = None
) -> Target:
    """Power on a board with an image that fits and input rows that fit.

    `part` is the processor whose cycles are modelled, on a board in QEMU.
    """
    data = image.device_bytes()
    firmware = capacity.firmware
    if firmware is None:
        return NativeTarget(board, data, batch, image.arena_bytes)
    cycles = None if part is None else CycleRequest(part, firmware, len(image.nodes))
    return QemuTarget(board, firmware.path, image=data, batch=batch, cycles=cycles)
