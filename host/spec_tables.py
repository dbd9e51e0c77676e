"""Writes the tables of SPEC.md, between their markers, from the .def rows.

    python host/spec_tables.py           rewrites SPEC.md
    python host/spec_tables.py --check   exits 1 if that would change it

A marker is `<!-- table NAME -->` or `<!-- struct NAME -->`; the block ends at `<!-- end -->`.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from edgesparse import native

SPEC = Path(__file__).resolve().parents[1] / "SPEC.md"
_MARKER = re.compile(r"(<!-- (table|struct) (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
_COLUMNS = {
    "op": ("TFLite operator", "parameters", ""),
    "section": ("bytes a row", "", ""),
    "type": ("bytes", "", ""),
    "isa": ("includes", "", ""),
    "kernel": ("operator", "encoding", "instruction set"),
    "record": ("direction", "tail", ""),
}


def _markdown(rows: list[list[str]]) -> str:
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + "---|" * len(rows[0]), *body]) + "\n"


def table_markdown(name: str) -> str:
    """A table of ids."""
    columns = [column for column in _COLUMNS.get(name, ()) if column]
    rows = [
        [str(row.id), f"`{row.name}`", *row.columns[: len(columns)], row.doc]
        for row in native.table(name).values()
    ]
    return _markdown([["id", "name", *columns, "meaning"], *rows])


def struct_markdown(name: str) -> str:
    """The fields of a struct."""
    layout = native.layout(name)
    rows = [["offset", "type", "field", "meaning"]]
    for field in layout.fields:
        kind = f"{field.type}[{field.count}]" if field.count else field.type
        rows.append([str(field.offset), kind, f"`{field.name}`", field.doc])
    return _markdown(rows) + f"\n{layout.size_bytes} bytes.\n"


def rewritten(text: str) -> str:
    """SPEC.md's text with every block made anew."""

    def block(match: re.Match[str]) -> str:
        make = table_markdown if match[2] == "table" else struct_markdown
        return f"{match[1]}{make(match[3])}{match[4]}"

    return _MARKER.sub(block, text)


def main() -> int:
    """Command line."""
    text = SPEC.read_text(encoding="utf-8")
    new = rewritten(text)
    if "--check" in sys.argv[1:]:
        return int(new != text)
    SPEC.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
