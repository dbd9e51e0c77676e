"""What a model is made of, layer by layer, without running it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.table import Table

from edgesparse.encode import Encoded, EncodedNode, Variant
from edgesparse.encode.lower.candidate import NEVER
from edgesparse.errors import UsageError
from edgesparse.image import Image
from edgesparse.model import Model
from edgesparse.names import short_name
from edgesparse.report.summary import expected_zeros

SCHEMA_VERSION = 1


def _alternatives(node: EncodedNode | None) -> list[dict[str, Any]]:
    """All ways to run a node, the chosen one among them, with what each takes and why."""
    return [
        {
            "kernel": variant.kernel,
            "encoding": variant.encoding,
            "band": variant.candidate.params.get("band"),
            "list_zeros": _limit(variant),
            "predicted": variant.cost,
            "flash_bytes": variant.flash_bytes,
            "scratch_bytes": variant.scratch_bytes,
            "reason": variant.reason,
        }
        for variant in (() if node is None else node.variants)
    ]


def _limit(variant: Variant) -> Any:
    """Zeros in the input from which on they are skipped; None for never."""
    limit = variant.candidate.params.get("list_zeros", NEVER)
    return None if limit == NEVER else limit


def _measured(image: Image, run: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """By layer, what a run's document counted; nothing without a run.

    Raises UsageError for a run of another model.
    """
    layers = image.meta.layers
    if run is None:
        return [{} for _ in layers]
    if [row["op"] for row in run["layers"]] != [layer.op for layer in layers]:
        raise UsageError(f"the run is one of another model, {run['model']}")
    keys = ("count", "modelled_cycles")
    return [{f"measured_{key}": row[key] for key in keys if key in row} for row in run["layers"]]


def analyze(
    model: Model, image: Image, encoded: Encoded, *, measured: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The model's layers and totals as a document for JSON.

    Shapes are in elements, NHWC; bytes of weights are dense (one a weight) and as encoded.
    Predicted costs are in the unit of "goal", activation thresholds in codes of the outputs.
    `measured` is the document of a run, whose counts then stand beside.
    """
    nodes = {node.layer: node for node in encoded.nodes}
    counts = _measured(image, measured)
    layers: list[dict[str, Any]] = []
    for layer, node in zip(image.meta.layers, model.nodes, strict=True):
        tensors = [model.tensors[i] for i in node.inputs if i >= 0]
        layers.append(
            {
                "index": layer.index,
                "name": layer.name,
                "op": layer.op,
                "encoding": layer.encoding,
                "kernel": layer.kernel,
                "input_shapes": [list(t.shape) for t in tensors if not t.is_constant],
                "output_shapes": [list(model.tensors[i].shape) for i in node.outputs],
                "macs": layer.macs,
                "macs_done": 0 if layer.node is None else image.macs_done[layer.node],
                "weights": layer.weights,
                "weight_zeros": layer.weight_zeros,
                "dense_bytes": layer.dense_bytes,
                "encoded_bytes": layer.encoded_bytes,
                "activations": layer.activations,
                "activation_threshold": layer.activation_threshold,
                "predicted": layer.predicted_cost,
                **counts[layer.index],
                "alternatives": _alternatives(nodes.get(layer.index)),
            }
        )
    summed: tuple[str, ...] = (
        "macs",
        "macs_done",
        "weights",
        "weight_zeros",
        "dense_bytes",
        "encoded_bytes",
    )
    summed += ("predicted", *(key for key in counts[0] if counts))
    totals = {key: sum(layer[key] for layer in layers) for key in summed}
    totals |= {
        "flash_bytes": len(image.device_bytes()),
        "arena_bytes": image.arena_bytes,
        "scratch_bytes": image.meta.scratch_bytes,
        "tflite_bytes": len(model.source),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "source_sha256": model.sha256(),
        "goal": None if image.meta.goal is None else image.meta.goal.model_dump(mode="json"),
        "activations": expected_zeros(image.meta),
        "totals": totals,
        "layers": layers,
    }


def _shape(shapes: list[list[int]]) -> str:
    return "x".join(str(size) for size in shapes[0][1:]) if shapes and shapes[0] else ""


def _predicted_word(document: Mapping[str, Any]) -> str:
    """For which core and what the kernels were chosen, and what was expected of activations."""
    goal, zeros = document["goal"], document["activations"]
    if goal is None:
        return ""
    source = "" if zeros is None else f"; zeros in activations: {zeros['source']}"
    return f"kernels chosen for {goal['optimize']} on {goal['cpu']}{source}\n"


def _some(number: int) -> str:
    return f"{number:,}" if number else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ""


def _cost_columns(document: Mapping[str, Any]) -> dict[str, str]:
    """Headers of the columns with costs, and the keys in a row."""
    goal, totals = document["goal"], document["totals"]
    columns = {} if goal is None else {f"predicted\n{goal['unit']}": "predicted"}
    if "measured_count" in totals:
        columns["measured\ncount"] = "measured_count"
    if "measured_modelled_cycles" in totals:
        columns["modelled\ncycles"] = "measured_modelled_cycles"
    return columns


def _threshold_word(row: Mapping[str, Any]) -> str:
    return "" if row["list_zeros"] is None else f"from {row['list_zeros']:,}"


def analysis_tables(document: dict[str, Any], *, alternatives: bool) -> list[Any]:
    """What `analyze` shows: the layers, and all ways to run each of them if wanted."""
    tables: list[Any] = [render_analysis(document)]
    return [*tables, render_alternatives(document)] if alternatives else tables


def render_alternatives(document: Mapping[str, Any]) -> Table:
    """All ways to run each layer that has more than one."""
    zeros = document["activations"]
    source = "" if zeros is None else f"; zeros in activations: {zeros['source']}"
    goal = document["goal"]
    title = f"alternatives on {goal['cpu']}, for {goal['optimize']}{source}"
    table = Table(title=title, box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("layer", "kernel"):
        table.add_column(name, no_wrap=True)
    for name in ("band", "skips", f"predicted\n{goal['unit']}", "flash\nbytes", "scratch\nbytes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why")
    for layer in document["layers"]:
        rows = layer["alternatives"]
        if len(rows) < 2:
            continue
        table.add_section()
        for i, row in enumerate(rows):
            table.add_row(
                short_name(layer["name"]) if i == 0 else "",
                row["kernel"],
                str(row["band"] or ""),
                _threshold_word(row),
                *(_some(row[key] or 0) for key in ("predicted", "flash_bytes", "scratch_bytes")),
                row["reason"],
                style="bold" if row["reason"] == "chosen" else "",
            )
    return table


def render_analysis(document: dict[str, Any]) -> Table:
    """The document as a table for people, 100 columns wide."""
    totals = document["totals"]
    caption = _predicted_word(document) + (
        f"image {totals['flash_bytes']:,} bytes of flash (.tflite {totals['tflite_bytes']:,}), "
        f"arena {totals['arena_bytes']:,} bytes of RAM, scratch {totals['scratch_bytes']:,} of it"
    )
    table = Table(title=document["model"], box=box.SIMPLE_HEAD, show_edge=False, caption=caption)
    table.add_column("#", justify="right")
    table.add_column("layer", overflow="ellipsis", no_wrap=True)
    for name in ("operator", "output"):
        table.add_column(name, no_wrap=True)
    for name in ("MACs", "weights", "zero %", "encoded\nbytes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("encoding")
    thresholds = any(row["activation_threshold"] for row in document["layers"])
    if thresholds:
        table.add_column("activ.\nthreshold", justify="right", no_wrap=True)
    costs = _cost_columns(document)
    for header in costs:
        table.add_column(header, justify="right", no_wrap=True)
    rows: list[dict[str, Any]] = [*document["layers"], totals]
    for row in rows:
        is_total = row is totals
        table.add_row(
            "" if is_total else str(row["index"]),
            "total" if is_total else short_name(row["name"]),
            row.get("op", "").removesuffix("_2D"),
            _shape(row.get("output_shapes", [])),
            *(_some(row[key]) for key in ("macs", "weights")),
            _percent(row["weight_zeros"], row["weights"]),
            _some(row["encoded_bytes"]),
            row.get("encoding", "").removesuffix("none"),
            *((_some(row.get("activation_threshold", 0)),) if thresholds else ()),
            *(_some(round(row.get(key) or 0)) for key in costs.values()),
            style="bold" if is_total else "",
        )
    return table
