"""What a model is made of, layer by layer, without running it."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from edgesparse.image import Image
from edgesparse.model import Model
from edgesparse.report import short_name

SCHEMA_VERSION = 1


def analyze(model: Model, image: Image) -> dict[str, Any]:
    """The model's layers and totals as a document for JSON.

    Shapes are in elements, NHWC; bytes of weights are dense (one a weight) and as encoded.
    """
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
            }
        )
    summed = ("macs", "macs_done", "weights", "weight_zeros", "dense_bytes", "encoded_bytes")
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
        "totals": totals,
        "layers": layers,
    }


def _shape(shapes: list[list[int]]) -> str:
    return "x".join(str(size) for size in shapes[0][1:]) if shapes and shapes[0] else ""


def _some(number: int) -> str:
    return f"{number:,}" if number else ""


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}" if whole else ""


def render_analysis(document: dict[str, Any]) -> Table:
    """The document as a table for people, 100 columns wide."""
    totals = document["totals"]
    caption = (
        f"image {totals['flash_bytes']:,} bytes of flash (.tflite {totals['tflite_bytes']:,}), "
        f"arena {totals['arena_bytes']:,} bytes of RAM, scratch {totals['scratch_bytes']:,} of it"
    )
    table = Table(title=document["model"], box=box.SIMPLE_HEAD, show_edge=False, caption=caption)
    table.add_column("#", justify="right")
    table.add_column("layer", overflow="ellipsis", no_wrap=True)
    for name in ("operator", "output"):
        table.add_column(name, no_wrap=True)
    for name in ("MACs", "weights", "zero %", "dense\nbytes", "encoded\nbytes"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("encoding")
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
            *(_some(row[key]) for key in ("dense_bytes", "encoded_bytes")),
            row.get("encoding", "").removesuffix("none"),
            style="bold" if is_total else "",
        )
    return table
