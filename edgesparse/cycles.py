"""Modelled cycles: which parts are modelled, and what the plugin for QEMU has to be told.

The model itself is C, in ``host/plugin``; ``docs/cycle-model.md`` says what it models, from which
sources, and how far off it may be.  Where QEMU cannot load it, or a core is not modelled, runs go
on without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgesparse import native
from edgesparse.deploy.boards import Board, QemuRunner
from edgesparse.deploy.firmware import Firmware
from edgesparse.errors import TargetError, UsageError

__all__ = ["DEFAULT_PART", "NO_PART", "CycleRequest", "Part", "find_part", "list_parts"]

DEFAULT_PART = "ideal"
NO_PART = "none"
"""Asks for no modelled cycles."""

_Q8 = 256
# Functions of a port that access the counter which es_port_ticks reads.
_WATCHED = re.compile(r"^es_port_|ticks|counter")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Flash(_Frozen):
    """Flash that answers late.

    Args:
        wait_states: cycles that a line costs which is not at hand.
        sequential_wait_states: the same for code right behind the line before, prefetched.
        line_bytes: what one read brings.
        code_lines: lines of code kept at hand.
        data_lines: lines of data kept at hand.
        weight_cycles_per_byte: measured cost of a byte in the model partition, in place of
            `data_lines`; None where it is not known.
    """

    wait_states: Annotated[int, Field(ge=1, le=64)]
    sequential_wait_states: Annotated[int, Field(ge=0, le=64)]
    line_bytes: Annotated[int, Field(ge=4, le=256)]
    code_lines: Annotated[int, Field(ge=1, le=256)]
    data_lines: Annotated[int, Field(ge=1, le=256)]
    weight_cycles_per_byte: Annotated[float, Field(gt=0, le=64)] | None = None


class Part(_Frozen):
    """One file of ``edgesparse/parts``: a processor and its memory."""

    name: str
    description: str
    cpus: tuple[str, ...]
    flash: Flash | None = None
    sources: tuple[str, ...]


@cache
def list_parts() -> tuple[Part, ...]:
    """All parts, by name.

    Raises:
        TargetError: a file is wrong.
    """
    folder = Path(__file__).resolve().parent / "parts"
    return tuple(_read_part(path) for path in sorted(folder.glob("*.json")))


def _read_part(path: Path) -> Part:
    try:
        part = Part.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise TargetError(f"{path}: {error.errors()[0]['msg']}") from error
    if part.name != path.stem:
        raise TargetError(f"{path}: the file is not named {part.name}")
    return part


def find_part(name: str | None, board: Board) -> Part | None:
    """The part to model on a board.

    Args:
        name: of the part; None for DEFAULT_PART where the board's core is modelled; NO_PART.
        board: where the model runs.

    Raises:
        UsageError: no part has that name, or it has another core than the board.
    """
    if name == NO_PART:
        return None
    in_qemu = isinstance(board.runner, QemuRunner)
    fitting = [part for part in list_parts() if in_qemu and board.cpu in part.cpus]
    for part in fitting:
        if part.name == (name or DEFAULT_PART):
            return part
    if name is None:
        return None
    if any(part.name == name for part in list_parts()):
        problem = f"part {name!r} is not one that board {board.name} can stand for"
    else:
        problem = f"no part is called {name!r}"
    known = ", ".join([*(part.name for part in fitting), NO_PART])
    raise UsageError(problem, hint=f"parts for {board.name}: {known}")


def plugin_path() -> Path | None:
    """The plugin, beside the native module; None if it was not built."""
    path = native.module_path().parent / "_plugin" / "es_cycles.so"
    return path if path.is_file() else None


@dataclass(frozen=True, slots=True)
class CycleRequest:
    """What to model in a run.

    Args:
        part: the processor and its memory.
        firmware: what runs.
        nodes: of the image.
        gate: the function in which nodes run.
        cpu: the core to model; None for the board's.
        function_starts: ascending addresses, the first 0; by which of these code lies behind, the
            cycles of each node are told apart.  Empty: they are not.
    """

    part: Part
    firmware: Firmware
    nodes: int
    gate: str = "es_exec_run"
    cpu: str | None = None
    function_starts: tuple[int, ...] = ()

    def arguments(self, plugin: Path, out: str, board: Board, starts: str | None) -> str:
        """What follows ``-plugin`` in QEMU's command line.

        Args:
            plugin: its file.
            out: file to write the runs to.
            board: where it runs.
            starts: file with `function_starts`, one a line; None without.
        """
        functions = self.firmware.functions
        values: list[tuple[str, object]] = [("core", self.cpu or board.cpu), ("out", out)]
        values += [("nodes", self.nodes), ("gate", functions[self.gate])]
        values += [("start", functions["es_port_ticks_start"])]
        values += [("ticks", functions["es_port_ticks"])]
        values += [("watch", f"{start}:{end}") for start, end in self._watched()]
        values += [] if starts is None else [("functions", starts)]
        if self.part.flash is not None:
            values += _flash_values(self.part.flash, board)
        file = str(plugin).replace(",", ",,")  # QEMU's way to write a comma
        return ",".join([f"file={file}", *(f"{key}={value}" for key, value in values)])

    def _watched(self) -> Iterator[tuple[int, int]]:
        """Where the functions lie that access the counter."""
        functions = self.firmware.functions
        starts = sorted({*functions.values(), max(functions.values()) + 1})
        for name, start in functions.items():
            if _WATCHED.search(name):
                yield start, min(other for other in starts if other > start)


def _flash_values(flash: Flash, board: Board) -> Iterator[tuple[str, object]]:
    weight_cycles = flash.weight_cycles_per_byte
    yield from flash.model_dump(exclude={"weight_cycles_per_byte"}).items()
    yield "weight_q8", 0 if weight_cycles is None else round(weight_cycles * _Q8)
    memory = board.memory
    if memory.flash is not None:
        yield "flash", f"{memory.flash.base}:{memory.flash.end}"
    yield "weights", f"{memory.model.base}:{memory.model.end}"
