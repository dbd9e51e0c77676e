"""Boards are data: a ``board.json`` in each folder of ``firmware/boards``, and ``host/board.json``.

The build reads the same files, so that a memory size or a compiler flag is written once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from typing_extensions import Self

from edgesparse.errors import TargetError, UsageError

__all__ = [
    "Board",
    "Memory",
    "MemoryMap",
    "NativeRunner",
    "QemuRunner",
    "find_board",
    "list_boards",
    "sources_root",
]

_BOARD_NAME_MAX = 23  # HELLO carries 24 bytes, padded with zeros
_CPU_NAME_MAX = 15
_PARTITION_ALIGN = 16


def _address(value: object) -> object:
    return int(value, 0) if isinstance(value, str) else value


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Memory(_Frozen):
    """A range of addresses: where it starts, and how many bytes it has."""

    base: Annotated[int, Field(ge=0, lt=2**32), BeforeValidator(_address)]
    bytes: Annotated[int, Field(gt=0, le=2**32)]

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.base + self.bytes

    def holds(self, other: Memory) -> bool:
        """Whether `other` lies within."""
        return self.base <= other.base and other.end <= self.end


class MemoryMap(_Frozen):
    """What lies where.  `flash` holds `firmware` and `model`; the host has no flash.

    `ram` takes the stack, the firmware's variables, and for the rest the arena.  `batch` is where a
    loader may place input rows; None if a board has no such memory.
    """

    flash: Memory | None = None
    firmware: Memory | None = None
    model: Memory
    ram: Memory
    batch: Memory | None = None
    stack_bytes: Annotated[int, Field(ge=0, multiple_of=8)] = 0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.model.base % _PARTITION_ALIGN != 0:
            raise ValueError("the model partition is not aligned to 16 bytes")
        if (self.flash is None) != (self.firmware is None):
            raise ValueError("flash and firmware go together")
        if self.flash is not None and self.firmware is not None:
            if not (self.flash.holds(self.firmware) and self.flash.holds(self.model)):
                raise ValueError("firmware and model must lie in flash")
            if self.firmware.base < self.model.end and self.model.base < self.firmware.end:
                raise ValueError("firmware and model overlap")
        return self


class NativeRunner(_Frozen):
    """Runs in this process."""

    kind: Literal["native"]


class QemuRunner(_Frozen):
    """Runs in ``qemu-system-arm -M machine args``."""

    kind: Literal["qemu"]
    machine: str
    args: tuple[str, ...] = ()


class Board(_Frozen):
    """One ``board.json``."""

    name: Annotated[str, Field(pattern=rf"^[a-z0-9-]{{1,{_BOARD_NAME_MAX}}}$")]
    aliases: tuple[str, ...] = ()
    description: str
    cpu: Annotated[str, Field(max_length=_CPU_NAME_MAX)]
    isa: str  # a row of isas.def
    compile_flags: tuple[str, ...] = ()
    shared_sources: tuple[str, ...] = ()  # folders beside the board's own
    memory: MemoryMap
    runner: Annotated[NativeRunner | QemuRunner, Field(discriminator="kind")]

    @property
    def has_firmware(self) -> bool:
        """Whether it runs an ELF of its own."""
        return self.memory.firmware is not None


def sources_root() -> Path:
    """Where the C sources lie: the checkout, or the copy that a wheel carries."""
    package = Path(__file__).resolve().parents[1]
    carried = package / "_sources"
    return carried if carried.is_dir() else package.parent


def _read_board(path: Path) -> Board:
    try:
        board = Board.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TargetError(f"{path}: {where}: {first['msg']}") from error
    if board.has_firmware and board.name != path.parent.name:
        raise TargetError(f"{path}: the folder is not named {board.name}")
    return board


@cache
def list_boards() -> tuple[Board, ...]:
    """All boards, the host first, then by name.

    Raises:
        TargetError: a ``board.json`` is wrong.
    """
    root = sources_root()
    folders = sorted((root / "firmware" / "boards").glob("*/board.json"))
    return tuple(_read_board(path) for path in [root / "host" / "board.json", *folders])


def find_board(name: str) -> Board:
    """The board with this name or alias.

    Raises:
        UsageError: there is none.
        TargetError: a ``board.json`` is wrong.
    """
    for board in list_boards():
        if name == board.name or name in board.aliases:
            return board
    known = ", ".join(board.name for board in list_boards())
    raise UsageError(f"no board is called {name!r}", hint=f"boards: {known}")
