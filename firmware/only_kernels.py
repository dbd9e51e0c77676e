"""Writes the table rows of a firmware that has only some kernels.

    python firmware/only_kernels.py ROOT KERNEL,KERNEL FOLDER

FOLDER gets kernels.def, encodings.def, ops.def and skips.def with the rows of these kernels and of
the encodings and operators that they name. es_tables.c then takes no other function's address, and
the linker drops what nobody refers to. The ids stay those of the full tables.
"""

import argparse
import re
from pathlib import Path

# A string, the last cell of every row, may hold any sign.
_ROW = re.compile(r'^ES_[A-Z]+\(([^"]*)"[^"]*"\)$', flags=re.MULTILINE)


def rows(path: Path) -> list[tuple[list[str], str]]:
    """The cells before the string of every row, and the row itself."""
    found = _ROW.finditer(path.read_text(encoding="utf-8"))
    return [([cell.strip() for cell in row[1].split(",")], row[0]) for row in found]


def choose(path: Path, cell: int, wanted: set[str]) -> list[tuple[list[str], str]]:
    """The rows whose cell is one of `wanted`.  SystemExit where one of these has no row."""
    found = [(cells, row) for cells, row in rows(path) if cells[cell] in wanted]
    missing = wanted - {cells[cell] for cells, _ in found}
    if missing:
        raise SystemExit(f"error: not in {path.name}: {', '.join(sorted(missing))}")
    return found


def selected(root: Path, names: set[str]) -> dict[str, str]:
    """The four files by name.  SystemExit where a name is no kernel."""
    tables = root / "cmsis_kernels" / "tables"
    kernels = choose(tables / "kernels.def", 4, names)
    encodings = {"none"} | {cells[2] for cells, _ in kernels}
    ops = {cells[1] for cells, _ in kernels}
    skips = [row for row in rows(tables / "skips.def") if row[0][0] in names]
    files = {
        "kernels.def": kernels,
        "encodings.def": choose(tables / "encodings.def", 1, encodings),
        "ops.def": choose(root / "firmware" / "runtime" / "tables" / "ops.def", 1, ops),
        "skips.def": skips,
    }
    return {name: "".join(f"{row}\n" for _, row in chosen) for name, chosen in files.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("kernels")
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, text in selected(arguments.root, set(arguments.kernels.split(","))).items():
        path = arguments.folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
