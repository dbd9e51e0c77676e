"""What does not fit is refused with three numbers and the name of a board on which it does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from edgesparse.deploy.boards import Board, find_board, list_boards
from edgesparse.deploy.open import FIRMWARE_VARIABLES_BYTES, Capacity, check_fit
from edgesparse.errors import DoesNotFitError

KB = 1024


@dataclass(frozen=True)
class Sizes:
    """As much of an image as fitting depends on."""

    flash_bytes: int
    arena_bytes: int

    def device_bytes(self) -> bytes:
        return bytes(self.flash_bytes)


def capacity(board: Board) -> Capacity:
    memory = board.memory
    left = memory.ram.bytes - memory.stack_bytes - FIRMWARE_VARIABLES_BYTES
    return Capacity(None, memory.model.bytes, left, 0)


def refusal(image: Sizes, name: str) -> DoesNotFitError:
    board = find_board(name)
    with pytest.raises(DoesNotFitError) as refused:
        check_fit(image, board, capacity(board))  # type: ignore[arg-type]
    return refused.value


@pytest.mark.parametrize(
    ("flash_kb", "arena_kb", "name", "fitting"),
    [
        (600, 10, "qemu:cortex-m55", "qemu-netduinoplus2"),
        (600, 150, "qemu:cortex-m55", "qemu-mps2-an385"),
        (100, 200, "qemu:stm32f405", "qemu-mps3-an547"),
        (100, 300, "qemu:cortex-m4", "qemu-mps3-an547"),
        (700, 300, "qemu:cortex-m4", "qemu-mps2-an500"),
        (960, 480, "qemu:cortex-m4", "qemu-mps2-an500"),
        (2000, 10, "qemu:cortex-m7", "native"),
        (2000, 600, "qemu:cortex-m7", "native"),
    ],
)
def test_names_the_smallest_board_that_takes_it(
    flash_kb: int, arena_kb: int, name: str, fitting: str
) -> None:
    error = refusal(Sizes(flash_kb * KB, arena_kb * KB), name)
    assert error.hint is not None
    assert error.hint.endswith(f"--board {fitting}")
    image = Sizes(flash_kb * KB, arena_kb * KB)
    check_fit(image, find_board(fitting), capacity(find_board(fitting)))  # type: ignore[arg-type]


def test_says_what_is_needed_there_and_missing() -> None:
    board = find_board("qemu:cortex-m4")
    flash = refusal(Sizes(board.memory.model.bytes + 16, 64), board.name)
    assert (flash.needed_bytes, flash.available_bytes, flash.missing) == (983056, 983040, 16)
    assert str(flash) == (
        "the model image in qemu-mps2-an386's model partition does not fit:"
        " 983056 bytes needed, 983040 available, 16 missing"
    )
    room = capacity(board).arena_bytes
    ram = refusal(Sizes(64, room + 48), board.name)
    assert (ram.needed_bytes, ram.available_bytes, ram.missing) == (room + 48, room, 48)


def test_names_no_board_where_there_is_none() -> None:
    largest = max(board.memory.ram.bytes for board in list_boards())
    assert refusal(Sizes(64, largest + 16), "native").hint is None
