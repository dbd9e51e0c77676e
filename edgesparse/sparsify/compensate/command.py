"""What `edgesparse compensate` does: read, compensate, compare, write, tell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from edgesparse.errors import UsageError
from edgesparse.inputs import load_inputs
from edgesparse.model import save_model
from edgesparse.pipeline import read_model
from edgesparse.report import short_name
from edgesparse.rows import device_rows
from edgesparse.sparsify.compensate.run import compensate
from edgesparse.sparsify.evaluate import Accuracy, agreement, evaluate

__all__ = ["compensate_file", "render_compensation"]

SCHEMA_VERSION = 1
DEFAULT_ROWS = 300


def compensate_file(
    path: Path,
    output: Path,
    *,
    data: Path,
    sparsity: float,
    rows: int | None = None,
    allocation: str = "weights",
    quiet: bool = False,
) -> dict[str, Any]:
    """Write the compensated model and return what became of its layers.

    The first `rows` rows of the data are for calibration, by default half of them and at most
    DEFAULT_ROWS; the others, if any, say how often the class stayed, and with labels how often both
    models were right.  Raises what compensate and load_inputs raise.
    """
    console = Console(stderr=True, highlight=False, quiet=quiet)
    model, inputs = read_model(path), load_inputs(data)
    count = min(DEFAULT_ROWS, (inputs.rows + 1) // 2) if rows is None else rows
    if count > inputs.rows:
        raise UsageError(f"--rows {count}: {data} has {inputs.rows}")
    with console.status("reading") as status:
        given = device_rows(model, inputs, range(count))
        thin, layers = compensate(
            model, given, sparsity=sparsity, allocation=allocation, progress=status.update
        )
    save_model(thin, output)
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "output": str(output),
        "allocation": allocation,
        "sparsity": sparsity,
        "calibration_rows": count,
        "layers": [
            {
                "index": layer.node_index,
                "name": layer.name,
                "weights": layer.weights,
                "zeros_before": layer.zeros_before,
                "zeros_after": layer.zeros_after,
                "scale_factor": layer.factor,
            }
            for layer in layers
        ],
        "agreement": None,
        "accuracy": None,
    }
    others = np.arange(count, inputs.rows).tolist()
    if others:
        document["agreement"] = _as_document(agreement(thin, model, inputs, others))
        if inputs.y is not None:
            before, after = evaluate(model, inputs, others), evaluate(thin, inputs, others)
            document["accuracy"] = {"dense": _as_document(before), "thin": _as_document(after)}
    return document


def _as_document(found: Accuracy) -> dict[str, Any]:
    return {
        "share": found.share,
        "standard_error": found.standard_error,
        "rows": found.rows,
    }


def _told(found: dict[str, Any]) -> str:
    return f"{100 * found['share']:.1f} ± {100 * found['standard_error']:.1f} %"


def render_compensation(document: dict[str, Any]) -> Table:
    """The document as a table for people."""
    lines = [f"wrote {document['output']}; {document['calibration_rows']} rows of calibration"]
    if document["agreement"] is not None:
        kept = document["agreement"]
        lines += [f"same class as before {_told(kept)} of {kept['rows']} other rows"]
    if document["accuracy"] is not None:
        both = document["accuracy"]
        lines += [f"accuracy {_told(both['thin'])}, before {_told(both['dense'])}"]
    table = Table(
        title=document["model"], box=box.SIMPLE_HEAD, show_edge=False, caption="\n".join(lines)
    )
    table.add_column("#", justify="right")
    table.add_column("weights of", overflow="ellipsis", no_wrap=True)
    for name in ("weights", "zeros", "zero %", "scale"):
        table.add_column(name, justify="right", no_wrap=True)
    layers = document["layers"]
    totals = {key: sum(layer[key] for layer in layers) for key in ("weights", "zeros_after")}
    for row in (*layers, totals):
        table.add_row(
            str(row.get("index", "")),
            short_name(row["name"]) if "name" in row else "total",
            f"{row['weights']:,}",
            f"{row['zeros_after']:,}",
            f"{100 * row['zeros_after'] / row['weights']:.1f}",
            f"x {row['scale_factor']:g}" if row.get("scale_factor", 1.0) != 1.0 else "",
            style="bold" if row is totals else "",
        )
    return table
