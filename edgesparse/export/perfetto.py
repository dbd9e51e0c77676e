"""A trace for the Perfetto UI: layers as slices, sparsity as counters.

The trace event format in JSON, which ui.perfetto.dev and chrome://tracing open.  Its times are in
microseconds and kept here as whole numbers, so that no slice ends a little after the one that holds
it: **one instruction (or cycle) is shown as one microsecond.**  That is said in the track's name.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgesparse.errors import UsageError
from edgesparse.export.samples import LayerSample, Sample, read_samples
from edgesparse.files import write_file

__all__ = ["export_perfetto"]

_THREAD = 1


def export_perfetto(folder: Path, output: Path) -> list[Path]:
    """Write a trace with all runs of a log, one behind the other, a process for each boot.

    Raises UsageError where the device had no time base, or there is no run.
    """
    setup, samples = read_samples(folder)
    events: list[dict[str, Any]] = []
    ends: dict[int, int] = {}
    unit = ""
    for sample in samples:
        if sample.unit == "none":
            hint = "run the model on a board in QEMU: edgesparse deploy --board qemu"
            raise UsageError(
                f"{folder}: {setup.board} does not count, so there is no time", hint=hint
            )
        unit = sample.unit
        if sample.boot not in ends:
            name = f"{setup.meta.name} on {setup.board}, start {sample.boot}"
            events += _names(sample.boot, name, f"layers (1 us = 1 {unit.removesuffix('s')})")
        start = ends.get(sample.boot, 0)
        events += _events(sample, start)
        ends[sample.boot] = start + sample.count
    if not events:
        raise UsageError(f"{folder} has no whole run")
    document = {
        "displayTimeUnit": "ms",
        "otherData": {"time base": f"1 us = 1 of {unit}", "model": setup.meta.name},
        "traceEvents": events,
    }
    write_file(output, json.dumps(document, separators=(",", ":")).encode() + b"\n")
    return [output]


def _names(boot: int, process: str, thread: str) -> Iterator[dict[str, Any]]:
    for name, tid, text in (("process_name", 0, process), ("thread_name", _THREAD, thread)):
        yield {"ph": "M", "pid": boot, "tid": tid, "ts": 0, "name": name, "args": {"name": text}}


def _events(sample: Sample, start: int) -> Iterator[dict[str, Any]]:
    """A slice for the run or window, one for each layer in it, and counters from its start on."""
    totals = {"macs_done": sum(layer.macs_done for layer in sample.layers)}
    yield _slice(sample, sample.label, start, sample.count, totals)
    if sample.skipped_percent is not None:
        yield _counter(sample.boot, "MACs skipped %, run", start, sample.skipped_percent)
    at = start
    for layer in sample.layers:
        yield _slice(sample, layer.label, at, layer.count, _arguments(layer))
        name = f"zeros %, {layer.label}"
        yield _counter(sample.boot, name, at, layer.zeros_percent)
        yield _counter(sample.boot, "zeros %, running layer", at, layer.zeros_percent)
        if layer.skipped_percent is not None:
            yield _counter(sample.boot, "MACs skipped %, running layer", at, layer.skipped_percent)
        at += layer.count


def _arguments(layer: LayerSample) -> dict[str, Any]:
    meta = layer.meta
    made = {} if layer.thresholded is None else {"thresholded": layer.thresholded}
    return {
        "tensor": meta.name,
        "op": meta.op,
        "encoding": meta.encoding,
        "kernel": meta.kernel,
        "macs": meta.macs,
        "macs_done": layer.macs_done,
        "activations": meta.activations,
        "activation_zeros": layer.activation_zeros,
        **made,
        "weights": meta.weights,
        "weight_zeros": meta.weight_zeros,
    }


def _slice(
    sample: Sample, name: str, start: int, length: int, arguments: dict[str, Any]
) -> dict[str, Any]:
    return {
        "ph": "X",
        "pid": sample.boot,
        "tid": _THREAD,
        "ts": start,
        "dur": length,
        "name": name,
        "args": {sample.unit: length, **arguments},
    }


def _counter(boot: int, name: str, at: int, value: float) -> dict[str, Any]:
    return {
        "ph": "C",
        "pid": boot,
        "tid": 0,
        "ts": at,
        "name": name,
        "args": {"percent": round(value, 2)},
    }
