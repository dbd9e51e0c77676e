"""What became of a model's layers: a document for JSON, and a table for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from edgesparse.model import Model
from edgesparse.names import short_name
from edgesparse.sparsify.apply import LayerSparsity
from edgesparse.sparsify.layer import layers_of

SCHEMA_VERSION = 1


def describe_layers(model: Model, layers: Sequence[LayerSparsity]) -> dict[str, Any]:
    """Return a row for each layer with weights that can be thinned, treated or not.

    `names` are those that a policy's patterns are compared with; method is "none" for a layer that
    nothing treated.
    """
    treated = {row.node_index: row for row in layers}
    rows = []
    for layer in layers_of(model):
        index = layer.node.index
        row = treated.get(index)
        if row is None:
            data = layer.tensor.data
            zeros = 0 if data is None else int((data == 0).sum())
            row = LayerSparsity(
                index, layer.tensor.label, layer.tensor.elements, zeros, zeros, 0.0, "none", ""
            )
        rows.append({"op": layer.node.op, "names": list(layer.names)} | asdict(row))
    summed = ("weights", "zeros_before", "zeros_after")
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "tflite_bytes": len(model.source),
        "totals": {key: sum(row[key] for row in rows) for key in summed},
        "layers": rows,
    }


def render_layers(document: dict[str, Any]) -> Table:
    """Return the document as a table for people."""
    table = Table(
        title=document["model"],
        box=box.SIMPLE_HEAD,
        show_edge=False,
        caption=_caption(document.get("calibration")),
    )
    table.add_column("#", justify="right")
    for name in ("layer", "weights"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for name in ("operator", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("threshold", "weights", "zero %", "then"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in document["layers"]:
        names = [short_name(name) for name in row["names"]]
        is_treated = row["method"] != "none"
        table.add_row(
            str(row["node_index"]),
            names[0],
            names[-1],
            row["op"].removesuffix("_2D"),
            _treatment(row) if is_treated else "",
            f"{row['threshold']:.5g}" if is_treated else "",
            *_shares(row),
        )
    table.add_row("", "total", *[""] * 4, *_shares(document["totals"]), style="bold")
    return table


def _treatment(row: dict[str, Any]) -> str:
    granularity = "" if row["granularity"] == "element" else f" {row['granularity']}"
    return f"{row['method']}{granularity}{', compensated' if row['compensated'] else ''}"


def _caption(calibration: dict[str, Any] | None) -> str | None:
    """What the rows say on which compensation was not calibrated."""
    if calibration is None:
        return None
    lines = [f"compensated on {calibration['rows']} rows"]
    if calibration["agreement"] is not None:
        kept = calibration["agreement"]
        lines.append(f"same class as before {_told(kept)} of {kept['rows']} other rows")
    if calibration["accuracy"] is not None:
        both = calibration["accuracy"]
        lines.append(f"accuracy {_told(both['thin'])}, before {_told(both['dense'])}")
    return "\n".join(lines)


def _told(found: dict[str, Any]) -> str:
    return f"{100 * found['share']:.1f} ± {100 * found['standard_error']:.1f} %"


def _shares(row: dict[str, Any]) -> tuple[str, str, str]:
    weights = row["weights"]
    before, after = (
        f"{100 * row[key] / weights:.1f}" if weights else ""
        for key in ("zeros_before", "zeros_after")
    )
    return f"{weights:,}", before, after
