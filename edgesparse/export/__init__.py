"""A run's log as files that other tools open: one file of this package a format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from edgesparse.errors import UsageError
from edgesparse.export.csv_rows import export_csv
from edgesparse.export.model_explorer import export_model_explorer
from edgesparse.export.parquet import export_parquet
from edgesparse.export.perfetto import export_perfetto
from edgesparse.export.tensorboard import export_tensorboard

__all__ = ["FORMATS", "export_run"]

FORMATS: Mapping[str, tuple[Callable[[Path, Path], list[Path]], str]] = {
    "csv": (export_csv, "layers.csv"),
    "parquet": (export_parquet, "layers.parquet"),
    "perfetto": (export_perfetto, "trace.json"),
    "tensorboard": (export_tensorboard, "tensorboard"),
    "model-explorer": (export_model_explorer, "model-explorer"),
}
"""By name: what writes it, from a run's folder to a path, and the path's name in that folder."""


def export_run(folder: Path, form: str, output: Path | None = None) -> list[Path]:
    """Write a run's log in another format; return the files written.

    Args:
        folder: of the run.
        form: a key of FORMATS.
        output: where to; None for the format's own name in the run's folder.

    Raises:
        UsageError: no such format or log, or a file cannot be written.
        FormatError: the log is malformed.
        MissingToolError: a package that the format needs is not installed.
    """
    if form not in FORMATS:
        raise UsageError(f"no format is called {form!r}", hint=f"formats: {', '.join(FORMATS)}")
    write, name = FORMATS[form]
    return write(folder, folder / name if output is None else output)
