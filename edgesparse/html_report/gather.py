"""Logs of runs -> what the report shows, as one plain document."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesparse.compare import compare_documents
from edgesparse.errors import UsageError
from edgesparse.html_report.course import Course, course_of
from edgesparse.html_report.cuts import good_cuts
from edgesparse.names import short_name
from edgesparse.outputs import finish_outputs, first_maximum
from edgesparse.telemetry.log import read_log
from edgesparse.telemetry.runs import RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = ["gather_report"]

SCHEMA_VERSION = 1

_Document = Mapping[str, Any]
_Results = Sequence[RunResult | WindowResult]


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _class_rows(setup: Setup, runs: _Results) -> list[dict[str, Any]]:
    """By label: inferences, and those that were right."""
    if setup.labels is None:
        return []
    seen: dict[int, list[bool]] = defaultdict(list)
    for run in runs:
        if not isinstance(run, RunResult):  # a window says nothing of single rows
            continue
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


def _listed(course: Course) -> dict[str, list[float]]:
    names = ("mean", "least", "most")
    return {name: getattr(course, name).tolist() for name in names}


def _layer_rows(
    document: _Document, setup: Setup, results: _Results, costs: _Document
) -> list[dict[str, Any]]:
    layers = []
    for row, meta, (dense, done) in zip(
        document["layers"], setup.meta.layers, costs["rows"], strict=True
    ):
        course = course_of(results, meta)
        layers.append(
            {
                **row,
                "short": short_name(row["name"]),
                "node": meta.node,
                "reads": list(meta.reads),
                "weight_sparsity": _share(row["weight_zeros"], row["weights"]),
                "activation_sparsity": _share(row["activation_zeros"], row["activations"]),
                "thresholded_share": _thresholded_share(row),
                "macs_skipped": _share(row["macs"] - row["macs_done"], row["macs"]),
                "dense_cost": dense,
                "cost": done,
                "speedup": dense / done if dense and done else None,
                "over_time": None if course is None else _listed(course),
                "over_inputs": None if course is None else course.over_inputs(results, setup.rows),
            }
        )
    return layers


def _thresholded_share(row: _Document) -> float | None:
    """Of its outputs what the layer's activation threshold set to zero; None without one."""
    has_threshold = row["activation_threshold"] > 0
    return _share(row["thresholded"], row["activations"]) if has_threshold else None


def _gather_run(folder: Path, against: _Document | None) -> dict[str, Any]:
    log = read_log(folder)
    setup, document, results = log.setup, log.document, log.results
    if not results:
        raise UsageError(f"{folder} has no whole inference", hint="deploy again")
    if not setup.meta.layers:
        hint = "watch the device with its model: edgesparse monitor MODEL.esm --port …"
        raise UsageError(f"{folder} is of an image that nothing is known of", hint=hint)
    costs = _dense_costs(document, setup, against)
    layers = _layer_rows(document, setup, results, costs)
    return {
        **document,
        "log": str(folder),
        "cost_unit": costs["unit"],
        "layers": layers,
        "classes": _class_rows(setup, results),
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
    dense = None if against is None else read_log(against).document
    return {
        "schema_version": SCHEMA_VERSION,
        "against": None if against is None else str(against),
        "runs": [_gather_run(folder, dense) for folder in folders],
    }
