"""Board + image + input rows -> a running target, if they fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgesparse.cycles import CycleRequest, Part
from edgesparse.deploy.boards import Board, NativeRunner, list_boards
from edgesparse.deploy.export import given_firmware
from edgesparse.deploy.firmware import Firmware, ensure_firmware
from edgesparse.deploy.native import NativeTarget
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.target import Target
from edgesparse.errors import DoesNotFitError
from edgesparse.image import Image

__all__ = [
    "FIRMWARE_VARIABLES_BYTES",
    "Capacity",
    "batch_rows",
    "capacity_of",
    "check_fit",
    "open_target",
    "sure_ram_bytes",
]

FIRMWARE_VARIABLES_BYTES = 16384
"""RAM that any firmware takes at most beside its stack; a test holds every board to it."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a board offers.  `firmware` None: it has none of its own.  Sizes in bytes."""

    firmware: Firmware | None
    model_bytes: int
    arena_bytes: int
    batch_bytes: int


def capacity_of(
    board: Board, *, firmware: Path | None = None, progress: Callable[[str], None] | None = None
) -> Capacity:
    """Sizes of a board's memories; for one with firmware, as that firmware leaves them.

    `firmware` is a file to use in place of the board's own.

    Raises MissingToolError and TargetError if there is no firmware and none can be built, or the
    one that was named does not serve; UsageError where one is named for a board without.
    """
    batch_bytes = 0 if board.memory.batch is None else board.memory.batch.bytes
    if firmware is not None:
        used = given_firmware(firmware, board)
    elif isinstance(board.runner, NativeRunner):
        memory = board.memory
        return Capacity(None, memory.model.bytes, memory.ram.bytes, batch_bytes)
    else:
        used = ensure_firmware(board, progress=progress)
    return Capacity(used, used.model_bytes, used.arena_bytes, batch_bytes)


def sure_ram_bytes(board: Board) -> int:
    """What any firmware leaves for the arena."""
    memory = board.memory
    taken_bytes = memory.stack_bytes + FIRMWARE_VARIABLES_BYTES if board.has_firmware else 0
    return max(memory.ram.bytes - taken_bytes, 0)


def _surely_fits(image: Image, board: Board) -> bool:
    """By the memory map alone, without building the board's firmware."""
    fits_flash = len(image.device_bytes()) <= board.memory.model.bytes
    return fits_flash and image.arena_bytes <= sure_ram_bytes(board)


def _larger_board(image: Image) -> str | None:
    """A hint with the smallest board that takes the image; None if there is none."""
    fitting = [board for board in list_boards() if _surely_fits(image, board)]
    if not fitting:
        return None
    found = min(fitting, key=lambda board: board.memory.model.bytes + board.memory.ram.bytes)
    flash_kb, ram_kb = found.memory.model.bytes // 1024, found.memory.ram.bytes // 1024
    return (
        f"it fits {found.name} ({flash_kb} KB for models, {ram_kb} KB of RAM): --board {found.name}"
    )


def check_fit(image: Image, board: Board, capacity: Capacity) -> None:
    """Raise DoesNotFitError unless the board has the flash and the RAM that an image needs.

    The error's hint names a board on which it fits, where there is one.
    """
    flash_bytes = len(image.device_bytes())
    if flash_bytes > capacity.model_bytes:
        what = f"the model image in {board.name}'s model partition"
        raise DoesNotFitError(what, flash_bytes, capacity.model_bytes, hint=_larger_board(image))
    if image.arena_bytes > capacity.arena_bytes:
        what = f"the model's arena in {board.name}'s RAM"
        raise DoesNotFitError(
            what, image.arena_bytes, capacity.arena_bytes, hint=_larger_board(image)
        )


def batch_rows(image: Image, capacity: Capacity) -> int:
    """How many input rows the board's batch memory holds; 0 if it has none."""
    row_bytes = sum(each.bytes for each in image.meta.inputs)
    return capacity.batch_bytes // row_bytes if row_bytes else 0


def open_target(
    board: Board,
    image: Image,
    batch: bytes,
    capacity: Capacity,
    *,
    part: Part | None = None,
    function_starts: tuple[int, ...] = (),
    ram_bytes: int | None = None,
) -> Target:
    """Power on a board with an image that fits and input rows that fit.

    `part` is the processor whose cycles are modelled, on a board in QEMU; `function_starts` are
    those of cycles.CycleRequest.  `ram_bytes` is what board native gets as RAM; None: what the
    image needs.
    """
    data = image.device_bytes()
    firmware = capacity.firmware
    if firmware is None:
        return NativeTarget(board, data, batch, ram_bytes or image.arena_bytes)
    cycles = None
    if part is not None:
        nodes = len(image.nodes)
        cycles = CycleRequest(part, firmware, nodes, function_starts=function_starts)
    return QemuTarget(board, firmware.path, image=data, batch=batch, cycles=cycles)
