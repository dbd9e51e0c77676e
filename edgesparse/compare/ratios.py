"""What became of the cost of each layer, from the documents of two runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgesparse.errors import UsageError
from edgesparse.telemetry.log import RebuiltLog, read_log
from edgesparse.telemetry.runs import RunResult

__all__ = ["compare_documents", "compare_logs", "growth"]

SCHEMA_VERSION = 1

_SIDES = ("a", "b")
_HEADER = (
    "model",
    "board",
    "runs",
    "rows",
    "accuracy",
    "mismatches",
    "model_sha256",
    "image_sha256",
    "firmware_build_id",
)
_LAYER_KEYS = (
    "encoding",
    "kernel",
    "weights",
    "weight_zeros",
    "activations",
    "activation_zeros",
    "macs_done",
    "count",
    "modelled_cycles",
)

_Document = Mapping[str, Any]


def growth(before: float, after: float) -> float:
    """Relative change; from nothing to something is without bound."""
    if before == after:
        return 0.0
    return (after - before) / before if before else math.inf


def _check_same(key: str, what: str, a: _Document, b: _Document, hint: str) -> None:
    if a[key] != b[key]:
        raise UsageError(f"the runs have different {what}: {a[key]} and {b[key]}", hint=hint)


def _check_inputs(a: _Document, b: _Document) -> None:
    known = [document.get("inputs_sha256", "") for document in (a, b)]
    if not all(known):
        hint = "run it again; logs of before do not say which rows they ran"
        raise UsageError("a run does not say which inputs it had", hint=hint)
    if known[0] != known[1] or a["rows"] != b["rows"]:
        raise UsageError(
            f"the runs have different inputs: {a['rows']} rows {known[0][:12]} and"
            f" {b['rows']} rows {known[1][:12]}",
            hint="deploy both with the same --inputs and --runs",
        )


def _check_layers(a: _Document, b: _Document) -> None:
    shapes = [
        [(layer["op"], layer["name"], layer["macs"]) for layer in document["layers"]]
        for document in (a, b)
    ]
    if shapes[0] == shapes[1]:
        return
    hint = "compare runs of one model, dense and sparse, or on two firmwares"
    if len(shapes[0]) != len(shapes[1]):
        counts = f"{len(shapes[0])} and {len(shapes[1])} layers"
        raise UsageError(f"the runs are of different models: {counts}", hint=hint)
    index = next(i for i, (x, y) in enumerate(zip(*shapes, strict=True)) if x != y)
    first, second = (" ".join(map(str, of_run[index])) for of_run in shapes)
    raise UsageError(f"the runs differ in layer {index}: {first}; {second}", hint=hint)


def check_comparable(a: _Document, b: _Document) -> None:
    """Raise UsageError that says what differs unless the runs are of one model, inputs and unit."""
    for name, document in zip(_SIDES, (a, b), strict=True):
        if document["runs"] == 0:
            raise UsageError(f"run {name.upper()} has no whole inference")
    hint = "instructions and cycles are not the same thing: run both on the same kind of board"
    _check_same("unit", "units", a, b, hint)
    _check_layers(a, b)
    _check_inputs(a, b)


def _layer(a: _Document, b: _Document) -> dict[str, Any]:
    sides = {
        name: {key: layer[key] for key in _LAYER_KEYS if key in layer}
        for name, layer in zip(_SIDES, (a, b), strict=True)
    }
    shared = {key: a[key] for key in ("index", "name", "op", "macs")}
    return {**shared, **sides, "speedup": _speedup(a["count"], b["count"])}


def _speedup(before: float, after: float) -> float | None:
    """How many times as fast; null where neither counted anything."""
    if before == 0 and after == 0:
        return None
    return before / after if after else math.inf


def _changes(a: _Document, b: _Document) -> Iterator[dict[str, Any]]:
    """Totals that may have grown."""
    comparable_cycles = a.get("cycles_part") == b.get("cycles_part")
    for key in ("count", "modelled_cycles", "flash_bytes", "arena_bytes"):
        if key == "modelled_cycles" and not comparable_cycles:
            continue
        before, after = a["totals"].get(key), b["totals"].get(key)
        if before is None or after is None or (key == "count" and a["unit"] == "none"):
            continue
        yield {
            "entry": "total",
            "quantity": a["unit"] if key == "count" else key.replace("_", " "),
            "before": before,
            "after": after,
            "change": growth(before, after),
        }


def compare_documents(a: _Document, b: _Document) -> dict[str, Any]:
    """What became of each layer and of the totals, from the documents of two runs.

    Returns a document with the runs "a" and "b", "unit", "layers" (for both runs kernel, zeros,
    products done and count, and the "speedup": count of a by that of b), and "changes", rows
    {entry, quantity, before, after, change} with `change` relative to a.

    Raises UsageError where the runs have another model, other inputs or another unit.
    """
    check_comparable(a, b)
    return {
        "schema_version": SCHEMA_VERSION,
        "unit": a["unit"],
        "cycles_part": a.get("cycles_part"),
        **{
            name: {key: document[key] for key in _HEADER} | {"totals": dict(document["totals"])}
            for name, document in zip(_SIDES, (a, b), strict=True)
        },
        "layers": [_layer(x, y) for x, y in zip(a["layers"], b["layers"], strict=True)],
        "speedup": _speedup(a["totals"]["count"], b["totals"]["count"]),
        "changes": list(_changes(a, b)),
    }


def _changed_outputs(a: RebuiltLog, b: RebuiltLog) -> tuple[int, int]:
    """Inferences of which the outputs differ, and those that both logs have."""
    outputs = [
        {each.run: each.outputs for each in log.results if isinstance(each, RunResult)}
        for log in (a, b)
    ]
    common = outputs[0].keys() & outputs[1].keys()
    return sum(outputs[0][run] != outputs[1][run] for run in common), len(common)


def compare_logs(a: Path, b: Path) -> dict[str, Any]:
    """compare_documents() of two logs, and how many inferences gave other "outputs".

    Raises UsageError and FormatError as read_log() and compare_documents() do.
    """
    log_a, log_b = read_log(a), read_log(b)
    comparison = compare_documents(log_a.document, log_b.document)
    changed, common = _changed_outputs(log_a, log_b)
    return comparison | {"outputs": {"changed": changed, "runs": common}}
