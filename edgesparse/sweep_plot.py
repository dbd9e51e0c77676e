"""The curves of a sweep as an SVG or PNG.  Needs matplotlib: `pip install edgesparse[plot]`."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgesparse.errors import MissingToolError, UsageError
from edgesparse.files import check_writable, write_file

__all__ = ["check_plot", "plot_sweep"]

_FORMATS = (".svg", ".png")
_PREDICTED = "predicted_instructions"


def check_plot(path: Path) -> None:
    """See before a sweep whether its plot can be drawn.

    Raises UsageError for a file that is neither .svg nor .png or that cannot be written,
    MissingToolError without matplotlib.
    """
    check_writable(path)
    if path.suffix not in _FORMATS:
        raise UsageError(f"--plot {path} is neither .svg nor .png")
    if importlib.util.find_spec("matplotlib") is None:
        raise MissingToolError("matplotlib", "pip install 'edgesparse[plot]'")


def plot_sweep(document: dict[str, Any], path: Path) -> None:
    """Draw accuracy, bytes and cost over zeros, a line for every method and granularity.

    The model as it is begins each line; rings mark the Pareto front.  Every line of the SVG has an
    id: what it shows, method, granularity.  The same points give the same file.

    Raises what check_plot raises.
    """
    check_plot(path)
    import matplotlib as mpl

    with mpl.rc_context({"svg.hashsalt": "edgesparse", "svg.fonttype": "none"}):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(12, 4), layout="constrained")
        figure.suptitle(document["model"])
        accuracy, flash, cost = figure.subplots(1, 3)
        points = document["points"]
        _curves(accuracy, points, "accuracy", "accuracy, %", factor=100.0)
        _curves(flash, points, "flash_bytes", "flash, bytes")
        units = [point["unit"] for point in points if point["unit"] is not None]
        label = f"{units[0] if units else 'instructions'} an inference"
        _curves(cost, points, _PREDICTED, label, style="--")
        if units:
            _curves(cost, points, "measured", f"{label} (dashed: predicted)", style="-")
        accuracy.legend(fontsize="small")
        data = io.BytesIO()
        kind = path.suffix[1:]
        metadata = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(data, format=kind, metadata=metadata, dpi=150)
    write_file(path, data.getvalue())


def _series(points: Sequence[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Points by method and granularity, by rising zeros, the model as it is among each."""
    dense = [point for point in points if point["method"] == "none"]
    keys = dict.fromkeys(
        (point["method"], point["granularity"]) for point in points if point["method"] != "none"
    )
    found = {
        key: dense + [point for point in points if (point["method"], point["granularity"]) == key]
        for key in keys or {("none", "element"): None}
    }
    return {key: sorted(own, key=lambda point: point["sparsity"]) for key, own in found.items()}


def _curves(
    panel: Any,
    points: Sequence[dict[str, Any]],
    key: str,
    label: str,
    *,
    factor: float = 1.0,
    style: str = "-",
) -> None:
    for number, ((method, granularity), own) in enumerate(_series(points).items()):
        there = [point for point in own if point[key] is not None]
        panel.plot(
            [100 * point["sparsity"] for point in there],
            [factor * point[key] for point in there],
            style,
            marker=".",
            color=f"C{number % 10}",
            label=method if granularity == "element" else f"{method}, {granularity}",
            gid=f"{key} {method} {granularity}",
        )
    front = [point for point in points if point["pareto"] and point[key] is not None]
    panel.scatter(
        [100 * point["sparsity"] for point in front],
        [factor * point[key] for point in front],
        s=60,
        facecolors="none",
        edgecolors="black",
        linewidths=0.8,
        gid=f"{key} front",
        label="Pareto front",
    )
    panel.set(xlabel="zeros in weights, %", ylabel=label)
    panel.grid(alpha=0.3)
