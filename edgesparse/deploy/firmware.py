"""The firmware of a board: the one that came with the package, or one built from the sources.

Every build carries ``es_build_id``, the hash of the sources it was made from.  Firmware is used
only if that equals the hash of the sources at hand, so that it never disagrees with the tables that
this package has read.  Firmware with only some kernels has a hash over these as well.
"""

from __future__ import annotations

import fcntl
import io
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from edgesparse import native
from edgesparse.deploy.boards import Board, sources_root
from edgesparse.errors import MissingToolError, TargetError
from edgesparse.files import read_file

__all__ = [
    "Firmware",
    "Function",
    "build_firmware",
    "ensure_firmware",
    "firmware_at_hand",
    "read_firmware",
    "read_functions",
    "sources_build_id",
]

_COMPILER = "arm-none-eabi-gcc"
_COMPILER_INSTALL = (
    "sudo apt-get install --no-install-recommends gcc-arm-none-eabi libnewlib-arm-none-eabi"
)
_BUILD_ID_BYTES = 16
# Flags for the host's compiler, and a job server of make that Ninja would find and could not reach.
_FOREIGN = frozenset(
    ("CC", "CFLAGS", "CPATH", "CPPFLAGS", "C_INCLUDE_PATH", "LDFLAGS", "LIBRARY_PATH", "MAKEFLAGS")
)
_FLASH_SECTIONS = (".text", ".ARM.exidx", ".data")
_RAM_SECTIONS = (".stack", ".data", ".bss", ".noinit")


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware file, and what its symbols say.

    Args:
        path: the ELF file.
        build_id: 32 hex digits, which sources it was made from.
        flash_bytes: code, constants and initial values.
        ram_bytes: stack and variables, without the arena.
        arena_base: address of the RAM that is left for tensors and scratch.
        arena_bytes: its size.
        model_base: address of the model partition.
        model_bytes: its size.
        functions: address of every function, by name.
    """

    path: Path
    build_id: str
    flash_bytes: int
    ram_bytes: int
    arena_base: int
    arena_bytes: int
    model_base: int
    model_bytes: int
    functions: Mapping[str, int]

    def function_at(self, address: int) -> str | None:
        """The function that a program counter lies in or behind, None before the first one."""
        before = [(start, name) for name, start in self.functions.items() if start <= address]
        return max(before)[1] if before else None

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels that it has, in the order of kernels.def."""
        return tuple(name for name in native.table("kernel") if f"es_{name}" in self.functions)


def read_firmware(path: Path) -> Firmware:
    """Read an ELF file.

    Raises:
        UsageError: it cannot be read.
        TargetError: it is not edgesparse firmware.
    """
    data = io.BytesIO(read_file(path))
    try:
        return _read_elf(path, ELFFile(data))
    except (ELFError, KeyError) as error:
        raise TargetError(f"{path} is not edgesparse firmware: {error}") from error


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a firmware, with a name that no other one has, and its address."""

    name: str
    start: int


def read_functions(path: Path) -> list[Function]:
    """All functions of a firmware by address, those with equal names too.

    The first one, at 0, stands for code before any function.  Raises TargetError where the file
    cannot be read.
    """
    try:
        with path.open("rb") as file:
            found = _function_symbols(ELFFile(file))
    except (OSError, ELFError, KeyError) as error:
        raise TargetError(f"{path} has no readable functions: {error}") from error
    uses = Counter(name for name, _ in found.values())
    functions = {0: Function("unknown", 0)}
    for start, (name, source) in sorted(found.items()):
        functions[start] = Function(name if uses[name] == 1 else f"{name} ({source})", start)
    return list(functions.values())


def _function_symbols(elf: ELFFile) -> dict[int, tuple[str, str]]:
    """Name and source file of the functions at each address; of aliases the last one."""
    symbols = elf.get_section_by_name(".symtab")
    if not isinstance(symbols, SymbolTableSection):
        raise KeyError(".symtab")
    found = {}
    source = ""
    for symbol in symbols.iter_symbols():
        if symbol["st_info"]["type"] == "STT_FILE":
            source = symbol.name
        elif symbol["st_info"]["type"] == "STT_FUNC":
            found[symbol["st_value"] & ~1] = (symbol.name, source)
    return found


def _read_elf(path: Path, elf: ELFFile) -> Firmware:
    symbols, text = elf.get_section_by_name(".symtab"), elf.get_section_by_name(".text")
    if not isinstance(symbols, SymbolTableSection) or text is None:
        raise KeyError(".symtab or .text")
    values: dict[str, int] = {}
    functions: dict[str, int] = {}
    for symbol in symbols.iter_symbols():
        values[symbol.name] = symbol["st_value"]
        if symbol["st_info"]["type"] == "STT_FUNC":
            functions[symbol.name] = symbol["st_value"] & ~1  # bit 0 says Thumb
    sizes = {section.name: int(section["sh_size"]) for section in elf.iter_sections()}
    start = values["es_build_id"] - text["sh_addr"]
    return Firmware(
        path=path,
        build_id=text.data()[start : start + _BUILD_ID_BYTES].hex(),
        flash_bytes=sum(sizes.get(name, 0) for name in _FLASH_SECTIONS),
        ram_bytes=sum(sizes.get(name, 0) for name in _RAM_SECTIONS),
        arena_base=values["__es_arena_start"],
        arena_bytes=values["__es_arena_end"] - values["__es_arena_start"],
        model_base=values["__es_model_start"],
        model_bytes=values["__es_model_end"] - values["__es_model_start"],
        functions=functions,
    )


def sources_build_id(only: Sequence[str] = ()) -> str:
    """Hash of the sources at hand, 32 hex digits; ``firmware/build_id.py`` says of which.

    A process of its own, since the build calls the same file: there is one algorithm.

    Args:
        only: the kernels that a firmware is limited to; empty for all.
    """
    root = sources_root()
    command = [sys.executable, "-I", str(root / "firmware" / "build_id.py"), str(root)]
    command.append(f"--only={','.join(only)}")
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def ensure_firmware(board: Board, *, progress: Callable[[str], None] | None = None) -> Firmware:
    """The firmware of `board` from the sources at hand, built if need be.

    Safe to call from several processes and threads at a time: one builds, the others wait.

    Args:
        board: one that has firmware.
        progress: called with a line of text before something that takes seconds.

    Raises:
        MissingToolError: it has to be built, and the Arm compiler, CMake or Ninja is missing.
        TargetError: it does not build.
        ValueError: the board has no firmware.
    """
    if not board.has_firmware:
        raise ValueError(f"board {board.name} has no firmware")
    wanted = sources_build_id()
    name = f"{board.name}.elf"
    folder = _build_folder(wanted)
    found = firmware_at_hand(board, wanted)
    if found is None:
        folder.mkdir(parents=True, exist_ok=True)
        with _lock(folder / f"{board.name}.lock"):
            found = _fresh(folder / name, wanted)
            if found is None:
                if progress is not None:
                    progress(f"building the firmware of {board.name}")
                found = build_firmware(board, folder)
    return found


def firmware_at_hand(board: Board, build_id: str) -> Firmware | None:
    """The firmware of `board` with this build id, carried or built before; None without."""
    name = f"{board.name}.elf"
    carried = Path(__file__).resolve().parents[1] / "_firmware"
    return _fresh(carried / name, build_id) or _fresh(_build_folder(build_id) / name, build_id)


def build_firmware(
    board: Board,
    folder: Path,
    *,
    app: Path | None = None,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
) -> Firmware:
    """Build ``<board>.elf`` in `folder`: all of it, or nothing that another process could see.

    Args:
        board: one that has firmware.
        folder: an existing folder; keeps what a later build can use again.
        app: folder of C files to link in place of ``firmware/app``.
        only: the kernels that it has; empty for all.
        without: the parts of ``es_parts.h`` that it has not.

    Raises:
        MissingToolError: the Arm compiler, CMake or Ninja is missing.
        TargetError: it does not build.
    """
    if shutil.which(_COMPILER) is None:
        raise MissingToolError(_COMPILER, _COMPILER_INSTALL)
    cmake, ninja = _find_tool("cmake"), _find_tool("ninja")
    root = sources_root()
    work = folder / board.name
    work.mkdir(exist_ok=True)
    configure = [
        *(cmake, "-S", str(root), "-B", str(work), "-G", "Ninja"),
        f"-DCMAKE_MAKE_PROGRAM={ninja}",
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-DES_BOARD={board.name}",
        f"-DES_ONLY_KERNELS={','.join(only)}",
        f"-DES_WITHOUT={','.join(without)}",
    ]
    if app is not None:
        configure.append(f"-DES_APP={app}")
    log = folder / f"{board.name}.log"
    log.write_bytes(b"")
    for command in (configure, [cmake, "--build", str(work)]):
        _run(command, log, board)
    name = f"{board.name}.elf"
    return read_firmware((work / name).replace(folder / name))


def _fresh(path: Path, wanted: str) -> Firmware | None:
    if not path.exists():
        return None
    firmware = read_firmware(path)
    return firmware if firmware.build_id == wanted else None


def _build_folder(build_id: str) -> Path:
    """In a checkout its own build folder, else one of the user's, for these sources."""
    root = sources_root()
    if root.name != "_sources":
        return root / "build" / "firmware"
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "edgesparse" / "firmware" / build_id


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Keep other processes and threads out until left."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _find_tool(name: str) -> str:
    """A program beside the running interpreter, where pip puts it, or on the path."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise MissingToolError(name, f"{sys.executable} -m pip install {name}")
    return found


def _run(command: list[str], log: Path, board: Board) -> None:
    """Run a step of the build, with nothing around that is meant for another one."""
    environment = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
    toolchain = sources_root() / "firmware" / "boards" / "arm-none-eabi.cmake"
    environment["CMAKE_TOOLCHAIN_FILE"] = str(toolchain)
    done = subprocess.run(
        command,
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    with log.open("a") as file:
        file.write(done.stdout)
    if done.returncode != 0:
        lines = done.stdout.splitlines()
        reasons = [line for line in lines if "error" in line.lower()] or lines[-1:] or ["no output"]
        raise TargetError(
            f"the firmware of {board.name} does not build: {reasons[0].strip()}",
            hint=f"the whole output is in {log}",
        )
