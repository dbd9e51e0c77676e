"""Logs of runs -> what the report shows, as one plain document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.compare import compare_documents
from edgesparse.errors import UsageError
from edgesparse.html_report.cuts import good_cuts
from edgesparse.names import short_name
from edgesparse.outputs import finish_outputs, first_maximum
from edgesparse.telemetry.log import read_log, read_runs
from edgesparse.telemetry.runs import RunResult
from edgesparse.telemetry.setup import Setup

__all__ = ["gather_report"]

SCHEMA_VERSION = 1

_Document = Mapping[str, Any]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _sparsity(setup: Setup, runs: Sequence[RunResult]) -> dict[int, NDArray[np.float64]]:
    """By layer with a node: the share of zeros in its outputs, of each run."""
    layers = [layer for layer in setup.meta.layers if layer.node is not None and layer.activations]
    return {
        layer.index: np.array(
            [
                (run.layers[layer.node or 0].activation_zeros + layer.constant_zeros)
                / layer.activations
                for run in runs
            ]
        )
        for layer in layers
    }


def _over_inputs(
    series: NDArray[np.float64], runs: Sequence[RunResult], rows: int
) -> dict[str, float]:
    """How the share of zeros spreads over different input rows: five quantiles."""
    by_row: dict[int, list[float]] = defaultdict(list)
    for run, value in zip(runs, series, strict=True):
        by_row[run.run % rows].append(float(value))
    means = [float(np.mean(values)) for values in by_row.values()]
    names = ("min", "q1", "median", "q3", "max")
    return dict(zip(names, map(float, np.quantile(means, (0, 0.25, 0.5, 0.75, 1))), strict=True))


def _class_rows(setup: Setup, runs: Sequence[RunResult]) -> list[dict[str, Any]]:
    """By label: inferences, and those that were right."""
    if setup.labels is None:
        return []
    seen: dict[int, list[bool]] = defaultdict(list)
    for run in runs:
        label = setup.labels[run.run % setup.rows]
        scores = finish_outputs(setup.meta, run.outputs)[0]
        seen[label].append(first_maximum(scores) == label)
    return [
        {"label": label, "runs": len(right), "right": sum(right)}
        for label, right in sorted(seen.items())
    ]


def _cost(row: _Document, document: _Document) -> float | None:
    """What a layer cost in the unit that dense costs are predicted in; None: not measured."""
    goal = document["goal"]
    if goal is None:
        return None
    key = "count" if goal["unit"] == document["unit"] else "modelled_cycles"
    cost: float | None = row.get(key)
    return cost


def _cost_unit(document: _Document, *, measured: bool) -> str | None:
    """What the dense cost of layers is counted in."""
    if measured:
        return str(document["unit"])
    goal = document["goal"]
    if goal is None or document["unit"] == "none":
        return None
    if goal["unit"] == document["unit"]:
        return f"{goal['unit']}, dense predicted"
    part = document.get("cycles_part")
    return None if part is None else f"modelled cycles ({part}), dense predicted"


def _dense_costs(document: _Document, setup: Setup, against: _Document | None) -> dict[str, Any]:
    """Unit, and by layer the cost of dense and of this run.

    `against` is the document of a dense run; without one the prediction for dense kernels stands.
    """
    if against is not None:
        compared = compare_documents(against, document)["layers"]
        rows = [(each["a"]["count"], each["b"]["count"]) for each in compared]
    else:
        metas = setup.meta.layers
        rows = [
            (meta.dense_cost or None, _cost(row, document))
            for meta, row in zip(metas, document["layers"], strict=True)
        ]
    return {"unit": _cost_unit(document, measured=against is not None), "rows": rows}


def _layer_rows(
    document: _Document, setup: Setup, runs: Sequence[RunResult], costs: _Document
) -> list[dict[str, Any]]:
    series = _sparsity(setup, runs)
    layers = []
    for row, meta, (dense, done) in zip(
        document["layers"], setup.meta.layers, costs["rows"], strict=True
    ):
        over_time = series.get(row["index"], np.empty(0))
        layers.append(
            {
                **row,
                "short": short_name(row["name"]),
                "node": meta.node,
                "reads": list(meta.reads),
                "weight_sparsity": _share(row["weight_zeros"], row["weights"]),
                "activation_sparsity": _share(row["activation_zeros"], row["activations"]),
                "macs_skipped": _share(row["macs"] - row["macs_done"], row["macs"]),
                "dense_cost": dense,
                "cost": done,
                "speedup": dense / done if dense and done else None,
                "over_time": over_time.tolist(),
                "over_inputs": _over_inputs(over_time, runs, setup.rows)
                if len(over_time)
                else None,
            }
        )
    return layers


def _gather_run(folder: Path, against: _Document | None) -> dict[str, Any]:
    document = read_log(folder)[1]
    setup, runs = read_runs(folder)
    if not runs:
        raise UsageError(f"{folder} has no whole inference", hint="deploy again")
    if not setup.meta.layers:
        hint = "watch the device with its model: edgesparse monitor MODEL.esm --port …"
        raise UsageError(f"{folder} is of an image that nothing is known of", hint=hint)
    costs = _dense_costs(document, setup, against)
    layers = _layer_rows(document, setup, runs, costs)
    return {
        **document,
        "log": str(folder),
        "cost_unit": costs["unit"],
        "layers": layers,
        "classes": _class_rows(setup, runs),
        "cuts": good_cuts(layers),
    }


def gather_report(folders: Sequence[Path], against: Path | None = None) -> dict[str, Any]:
    """What a report of these logs shows.

    Args:
        folders: logs of runs, at least one.
        against: the log of the same model and inputs, dense, that the others are held against;
            None: against what dense kernels were predicted to cost.

    Returns a document with "runs": for each log its summary's document with more for each layer
    (shares of zeros, their course over runs and spread over inputs, dense cost, speed-up), the
    accuracy by class and good places to cut the network.

    Raises UsageError and FormatError for what is no log, has no inference, or cannot be compared.
    """
    dense = None if against is None else read_log(against)[1]
    return {
        "schema_version": SCHEMA_VERSION,
        "against": None if against is None else str(against),
        "runs": [_gather_run(folder, dense) for folder in folders],
    }
