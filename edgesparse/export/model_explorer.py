"""Node data for Google's Model Explorer: the .tflite's graph in the colours of what was measured.

A file a measure, each ``{"results": {operator: {"value": …}}, "thresholds" or "gradient": […]}``
as ``model_explorer.node_data_builder.GraphNodeData`` writes it.  Operators go by their index in the
.tflite, which is the node's id in Model Explorer's own reader of .tflite files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgesparse.errors import UsageError
from edgesparse.files import write_file
from edgesparse.telemetry.log import read_log

__all__ = ["export_model_explorer"]

_STEPS = 10
_LIGHT, _DARK = (0xF7, 0xFB, 0xFF), (0x08, 0x51, 0x9C)

_Measure = Callable[[Mapping[str, Any]], float | None]


def _percent(part: str, whole: str) -> _Measure:
    return lambda layer: 100 * layer[part] / layer[whole] if layer[whole] else None


def _skipped(layer: Mapping[str, Any]) -> float | None:
    macs = layer["macs"]
    return 100 * (macs - layer["macs_done"]) / macs if macs else None


_SHARES: Mapping[str, _Measure] = {
    "activation_zeros_percent": _percent("activation_zeros", "activations"),
    "weight_zeros_percent": _percent("weight_zeros", "weights"),
    "macs_skipped_percent": _skipped,
}


def export_model_explorer(folder: Path, output: Path) -> list[Path]:
    """Write a file for each measure into the folder `output`; values are means of the runs."""
    document = read_log(folder).document
    if document["runs"] == 0:
        raise UsageError(f"{folder} has no whole run")
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot write {output}: {error.strerror}") from error
    files = {
        name: _graph(document, measure, _percent_colours()) for name, measure in _SHARES.items()
    }
    if document["unit"] != "none":
        # No scale is right for all models: from the least to the most.
        colours = {"gradient": [{"stop": 0, "bgColor": _hex(0)}, {"stop": 1, "bgColor": _hex(1)}]}
        files[document["unit"]] = _graph(document, lambda layer: layer["count"] or None, colours)
    written = []
    for name, graph in files.items():
        path = output / f"{name}.json"
        write_file(path, json.dumps(graph, indent=1).encode() + b"\n")
        written.append(path)
    return written


def _graph(
    document: Mapping[str, Any], measure: _Measure, colours: Mapping[str, Any]
) -> dict[str, Any]:
    values = {layer["index"]: measure(layer) for layer in document["layers"]}
    results = {
        str(index): {"value": round(value, 2)}
        for index, value in values.items()
        if value is not None
    }
    return {"results": results, **colours}


def _percent_colours() -> dict[str, Any]:
    """The same colour for the same share in every file; a threshold is the end of its colour."""
    thresholds = []
    for step in range(1, _STEPS + 1):
        share = step / _STEPS
        text = "#ffffff" if share > 0.5 else "#041d3a"
        thresholds.append({"value": round(100 * share), "bgColor": _hex(share), "textColor": text})
    return {"thresholds": thresholds}


def _hex(share: float) -> str:
    mixed = (round(a + share * (b - a)) for a, b in zip(_LIGHT, _DARK, strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
