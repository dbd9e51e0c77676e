"""What is installed, what is missing, and the one command that mends it."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rich import box
from rich.table import Table

from edgesparse import native, oracle
from edgesparse.deploy.boards import Board, list_boards
from edgesparse.deploy.firmware import firmware_at_hand, sources_build_id
from edgesparse.errors import EdgesparseError, MissingToolError

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked for.

    found: its version, "" if it is not there.  package: who has it, "" if nobody does.  needed:
    false where all that is done with it can be done without.
    """

    name: str
    found: str
    needed_for: str
    package: str
    needed: bool = True


# Debian's packages.
_QEMU, _COMPILER, _NEWLIB = "qemu-system-arm", "gcc-arm-none-eabi", "libnewlib-arm-none-eabi"
_PYTHON_PACKAGES = ("cmake", "ninja")


def _first_line(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        return ""
    shown = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    return shown.stdout.splitlines()[0] if shown.stdout else path


def _newlib() -> str:
    """The C library that the Arm compiler would link; "" if it has none."""
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        return ""
    asked = [compiler, "-mcpu=cortex-m4", "-mthumb", "-print-file-name=libc.a"]
    shown = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return shown if shown != "libc.a" else ""


def _oracle() -> str:
    try:
        return oracle.oracle_name()
    except EdgesparseError:
        return ""


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _missing_firmware() -> int:
    """How many boards have firmware that is not built."""
    build_id = sources_build_id()
    boards = [board for board in list_boards() if board.has_firmware]
    return sum(firmware_at_hand(board, build_id) is None for board in boards)


def findings() -> list[Finding]:
    """Everything that edgesparse uses, in the order in which it is needed."""
    module = f"built from sources {native.build_id().hex()[:8]}"
    reference = " ".join(oracle.wanted_packages())
    use_oracle = "validate" if reference else "validate; none is released for this Python"
    count = _missing_firmware()
    use, build = "building firmware", count > 0
    firmware = f"to be built for {count} boards" if build else "built for all boards"
    found = [
        Finding("python", platform.python_version(), "everything", "python3"),
        Finding("native module", module, "board 'native', conversion", "edgesparse"),
        Finding("oracle", _oracle(), use_oracle, reference, needed=bool(reference)),
        Finding("qemu-system-arm", _first_line("qemu-system-arm"), "boards in QEMU", _QEMU),
        Finding("firmware", firmware, "boards", "edgesparse"),
        Finding("arm-none-eabi-gcc", _first_line("arm-none-eabi-gcc"), use, _COMPILER, build),
        Finding("newlib", _newlib(), use, _NEWLIB, build),
    ]
    found += [Finding(name, _package(name), use, name, build) for name in _PYTHON_PACKAGES]
    return found


def _remedy(missing: Sequence[Finding]) -> str:
    apt = (_QEMU, _COMPILER, _NEWLIB)
    system = [finding.package for finding in missing if finding.package in apt]
    python = [name for each in missing if each.package not in apt for name in each.package.split()]
    commands = []
    if system:
        commands.append(f"sudo apt-get install -y --no-install-recommends {' '.join(system)}")
    if python:
        commands.append(f"pip install {shlex.join(python)}")
    return " && ".join(commands)


def diagnose() -> dict[str, Any]:
    """The findings as a document; `remedy` is one command line, "" if nothing is missing."""
    found = findings()
    missing = [finding for finding in found if finding.needed and not finding.found]
    return {
        "schema_version": SCHEMA_VERSION,
        "findings": [asdict(finding) for finding in found],
        "missing": [finding.name for finding in missing],
        "remedy": _remedy(missing),
    }


def render_diagnosis(document: dict[str, Any]) -> Table:
    """The document as a table for people."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("what", "found", "needed for"):
        table.add_column(name, overflow="fold")
    for finding in document["findings"]:
        absent = "[red]missing" if finding["needed"] else "[dim]none"
        table.add_row(finding["name"], finding["found"] or absent, finding["needed_for"])
    return table


def check_doctor(document: dict[str, Any]) -> None:
    """Raise MissingToolError if anything is missing."""
    if document["missing"]:
        raise MissingToolError(", ".join(document["missing"]), document["remedy"])


def describe_boards(boards: Sequence[Board]) -> dict[str, Any]:
    """All boards as a document."""
    rows = [
        {
            "name": board.name,
            "aliases": list(board.aliases),
            "cpu": board.cpu,
            "runner": board.runner.kind,
            "model_bytes": board.memory.model.bytes,
            "ram_bytes": board.memory.ram.bytes,
            "description": board.description,
        }
        for board in boards
    ]
    return {"schema_version": SCHEMA_VERSION, "boards": rows}


def render_boards(document: dict[str, Any]) -> Table:
    """The document as a table for people."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, show_lines=False)
    for name in ("board", "CPU", "for models", "RAM", "what it is"):
        table.add_column(name, overflow="fold")
    for row in document["boards"]:
        sizes = (f"{row[key] // 1024:,} KB" for key in ("model_bytes", "ram_bytes"))
        names = "\n".join([row["name"], *(f"  {alias}" for alias in row["aliases"])])
        table.add_row(names, row["cpu"], *sizes, row["description"])
    return table
