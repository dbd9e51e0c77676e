"""What `edgesparse bench` does: measure, show, write, compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from edgesparse.bench.compare import check_regression, compare, read_document
from edgesparse.bench.measure import Bench, measure_all
from edgesparse.bench.profile import file_name, folded_stacks
from edgesparse.bench.tables import render_bench, render_comparison, render_profiles
from edgesparse.console import widen
from edgesparse.errors import UsageError
from edgesparse.files import check_writable, write_file

__all__ = ["parse_names", "parse_shares", "run_bench"]


def parse_names(text: str) -> tuple[str, ...]:
    """Names with commas between them."""
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise UsageError(f"{text!r} is not a list of names with commas between them")
    return names


def parse_shares(text: str) -> tuple[float, ...]:
    """Numbers from 0 to 1 with commas between them."""
    try:
        shares = tuple(float(share) for share in text.split(","))
    except ValueError:
        shares = ()
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise UsageError(f"--sparsity {text!r} is not a list of numbers from 0 to 1")
    return shares


def _write_profiles(
    document: Mapping[str, Any], given: Path | None, progress: Callable[[str], None]
) -> None:
    """Write the folded stacks of each entry, to `given` where there is one entry alone."""
    entries = document["entries"]
    several = {
        key: len({entry[key] for entry in entries}) > 1 for key in ("cycles_part", "sparsity")
    }
    for entry in entries:
        path = given or file_name(
            entry, with_part=several["cycles_part"], with_sparsity=several["sparsity"]
        )
        write_file(path, folded_stacks(entry).encode("utf-8"))
        progress(f"wrote {path}, for flame graphs")


def run_bench(
    bench: Bench,
    *,
    json_file: str | None,
    against: Path | None,
    max_regression: float,
    profile_file: Path | None = None,
) -> None:
    """Measure and show; tables go to stderr where stdout takes the document.

    With a profile its folded stacks are written, to `profile_file` or to a file for each entry.

    Raises RegressionError, after all is shown and written, where a total grew too much.
    """
    if profile_file is not None and bench.entry_count != 1:
        raise UsageError(
            f"--profile-out is for one entry, these are {bench.entry_count}",
            hint="name one model, one board, one part and one --sparsity",
        )
    check_writable(profile_file, None if json_file in (None, "-") else Path(json_file))
    notes = Console(stderr=True, highlight=False)
    earlier = None if against is None else read_document(against)
    document = measure_all(bench, notes.print)
    console = notes if json_file == "-" else Console(highlight=False)
    widen(console)
    for table in (*render_bench(document), *render_profiles(document)):
        console.print(table)
    if bench.profile:
        _write_profiles(document, profile_file, notes.print)
    text = json.dumps(document, indent=1) + "\n"
    if json_file == "-":
        typer.echo(text, nl=False)
    elif json_file is not None:
        write_file(Path(json_file), text.encode("utf-8"))
    if earlier is not None:
        comparison = compare(earlier, document)
        for table in render_comparison(comparison):
            console.print(table)
        check_regression(comparison, max_regression)
