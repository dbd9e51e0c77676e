"""A run's log as a table: a row for each layer of each inference, or window of some."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgesparse.export.samples import LayerSample, Sample, read_samples

__all__ = ["COLUMNS", "read_rows"]

Cell = int | str | None

COLUMNS: dict[str, type[int] | type[str]] = {
    "boot": int,
    "run": int,
    "runs": int,
    "node": int,
    "layer": int,
    "name": str,
    "op": str,
    "encoding": str,
    "kernel": str,
    "weights": int,
    "weight_zeros": int,
    "activations": int,
    "activation_zeros": int,
    "activation_zeros_min": int,
    "activation_zeros_max": int,
    "saturated": int,
    "thresholded": int,
    "macs": int,
    "macs_done": int,
    "count": int,
    "modelled_cycles": int,
    "run_count": int,
    "unit": str,
}
"""Names and types.

boot and run tell inferences apart; a row stands for `runs` of them from number run on.  layer is
the node of the .tflite.  weights, activations and macs are those of one inference;
activation_zeros, saturated, thresholded, macs_done, count and modelled_cycles are sums over the
runs, activation_zeros_min and _max those of a single one.  count is the layer's and run_count the
whole run's, both in unit.  thresholded is empty where the layer has no activation threshold,
modelled_cycles where there are none."""


def read_rows(folder: Path) -> Iterator[tuple[Cell, ...]]:
    """Yield the rows of a log, cells in the order of COLUMNS.  Raises what read_samples raises."""
    _, samples = read_samples(folder)
    for sample in samples:
        for layer in sample.layers:
            yield _cells(sample, layer)


def _cells(sample: Sample, layer: LayerSample) -> tuple[Cell, ...]:
    meta = layer.meta
    return (
        sample.boot,
        sample.run,
        sample.runs,
        layer.node,
        meta.index,
        meta.name,
        meta.op,
        meta.encoding,
        meta.kernel,
        meta.weights,
        meta.weight_zeros,
        meta.activations,
        layer.activation_zeros,
        layer.zeros_min,
        layer.zeros_max,
        layer.saturated,
        layer.thresholded,
        meta.macs,
        layer.macs_done,
        layer.count,
        layer.modelled_cycles,
        sample.count,
        sample.unit,
    )
