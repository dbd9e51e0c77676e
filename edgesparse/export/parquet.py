"""Apache Parquet, through pyarrow."""

from __future__ import annotations

from pathlib import Path

from edgesparse.errors import MissingToolError
from edgesparse.export.rows import COLUMNS, read_rows
from edgesparse.files import write_file

__all__ = ["export_parquet"]


def export_parquet(folder: Path, output: Path) -> list[Path]:
    """Write a row for each layer of each inference; see rows.COLUMNS.

    Raises MissingToolError without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingToolError("pyarrow", "pip install 'edgesparse[parquet]'") from error
    types = {int: pyarrow.int64(), str: pyarrow.string()}
    schema = pyarrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])
    # Columns exist also where there is no row.
    cells = list(zip(*read_rows(folder), strict=True)) or [()] * len(COLUMNS)
    table = pyarrow.table(dict(zip(COLUMNS, map(list, cells), strict=True)), schema=schema)
    sink = pyarrow.BufferOutputStream()
    parquet.write_table(table, sink)
    write_file(output, sink.getvalue().to_pybytes())
    return [output]
