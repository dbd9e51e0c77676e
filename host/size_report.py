"""Shows how many bytes of flash and RAM the firmware of each board takes, part by part.

    python host/size_report.py              prints the table and rewrites it in README.md
    python host/size_report.py --print      only prints it

The table lies between `<!-- size -->` and `<!-- end size -->`. The bytes are those of the linker's
map, which the build leaves beside the firmware, and add up to the sizes of the ELF's sections.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesparse.deploy.boards import Board, list_boards
from edgesparse.deploy.firmware import Firmware, build_firmware, ensure_firmware

README = Path(__file__).resolve().parents[1] / "README.md"
PARTS = {
    "kernels": ("cmsis_kernels/",),
    "runtime": ("firmware/runtime/", "es_build_id.c"),
    "application": ("firmware/app/",),
    "port": ("firmware/boards/", "firmware/port/"),
    "C library": ("libc.a", "libc_nano.a", "libgcc.a", "libm.a"),
}
PADDING = "padding"
_MARKER = re.compile(r"(<!-- size -->\n).*?(<!-- end size -->)", flags=re.DOTALL)
# Output sections start a line, input sections follow a blank; long names have a line of their own.
_OUTPUT = re.compile(r"^(\.[\w.]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)", flags=re.MULTILINE)
_INPUT = re.compile(r"^ (?:\.|COMMON)\S*\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (.+)$", flags=re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes of a board's firmware: of flash by part, of flash and RAM in all."""

    board: str
    parts: Mapping[str, int]
    flash_bytes: int
    ram_bytes: int


def part_of(path: str) -> str:
    """The part that an object file or library belongs to.  ValueError for one of no part."""
    for part, marks in PARTS.items():
        if any(mark in path for mark in marks):
            return part
    raise ValueError(f"{path} belongs to no part of the firmware")


def read_map(text: str, sections: tuple[str, ...]) -> Counter[str]:
    """Bytes of these output sections by part; what no file brought is padding."""
    text = text.partition("\nLinker script and memory map\n")[2]
    heads = list(_OUTPUT.finditer(text))
    sizes: Counter[str] = Counter()
    for number, head in enumerate(heads):
        if head[1] not in sections:
            continue
        end = heads[number + 1].start() if number + 1 < len(heads) else len(text)
        found = Counter[str]()
        for row in _INPUT.finditer(text, head.end(), end):
            found[part_of(row[2])] += int(row[1], 16)
        sizes += found
        sizes[PADDING] += int(head[2], 16) - found.total()
    return sizes


def map_of(board: Board) -> tuple[Firmware, str]:
    """The firmware of a board and its map."""
    firmware = ensure_firmware(board)
    folder = firmware.path.parent
    path = folder / board.name / f"{board.name}.map"
    if not path.exists():
        firmware = build_firmware(board, folder)
    return firmware, path.read_text(encoding="utf-8")


def measure(board: Board) -> Sizes:
    """Sizes of the firmware of a board, built if need be."""
    firmware, text = map_of(board)
    parts = read_map(text, (".text", ".ARM.exidx", ".data"))
    return Sizes(board.name, parts, firmware.flash_bytes, firmware.ram_bytes)


def table(rows: list[Sizes]) -> str:
    """Markdown."""
    names = [*PARTS, PADDING]
    head = ["board", *names, "flash, bytes", "RAM, bytes"]
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    for row in rows:
        parts = [f"{row.parts[name]:,}" for name in names]
        lines.append([row.board, *parts, f"**{row.flash_bytes:,}**", f"{row.ram_bytes:,}"])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def rewritten(text: str, markdown: str) -> str:
    """README.md's text with the table made anew.  ValueError if it has no place for it."""
    new, count = _MARKER.subn(lambda match: f"{match[1]}{markdown}{match[2]}", text)
    if count != 1:
        raise ValueError("README.md needs one <!-- size --> and one <!-- end size -->")
    return new


def main() -> None:
    """Command line."""
    markdown = table([measure(board) for board in list_boards() if board.has_firmware])
    print(markdown, end="")
    if "--print" not in sys.argv[1:]:
        text = README.read_text(encoding="utf-8")
        README.write_text(rewritten(text, markdown), encoding="utf-8")


if __name__ == "__main__":
    main()
