"""CSV, RFC 4180 but for line breaks of one character."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from edgesparse.export.rows import COLUMNS, read_rows
from edgesparse.files import write_file

__all__ = ["export_csv"]


def export_csv(folder: Path, output: Path) -> list[Path]:
    """Write a row for each layer of each inference; see rows.COLUMNS."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(read_rows(folder))
    write_file(output, text.getvalue().encode("utf-8"))
    return [output]
