"""A comparison of two runs for people: a row a layer, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from edgesparse.names import short_name

__all__ = ["render_comparison", "verdict"]

_ALIKE = 0.0005  # a change that a verdict with one decimal would not show


def _ratio(value: float | None) -> str:
    if value is None:
        return ""
    return "∞" if math.isinf(value) else f"{value:.2f}x"


def _percent(side: Mapping[str, Any], part: str, whole: str) -> str:
    return f"{100 * side[part] / side[whole]:.1f}" if side[whole] else ""


def _style(speedup: float | None) -> str:
    if speedup is None or abs(speedup - 1) < _ALIKE:
        return ""
    return "green" if speedup > 1 else "red"


def _layer_cells(layer: Mapping[str, Any]) -> Iterator[str]:
    a, b = layer["a"], layer["b"]
    yield short_name(layer["name"])
    yield layer["op"].removesuffix("_2D")
    for part, whole in (("weight_zeros", "weights"), ("activation_zeros", "activations")):
        yield from (_percent(side, part, whole) for side in (a, b))
    for key in ("macs_done", "count"):
        yield from (f"{side[key]:,.0f}" if side[key] else "" for side in (a, b))
    yield _ratio(layer["speedup"])


def _table(comparison: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False, show_footer=True)
    totals = [comparison[side]["totals"] for side in ("a", "b")]
    foot = [f"{of_run[key]:,.0f}" for key in ("macs_done", "count") for of_run in totals]
    feet = ["total", "", "", "", "", "", *foot, _ratio(comparison["speedup"])]
    headers = ["layer", "operator"]
    pairs = ("weights\nzero %", "activ.\nzero %", "MACs\ndone", comparison["unit"])
    headers += [f"{what} {side}" for what in pairs for side in ("A", "B")]
    headers.append("A / B")
    for i, (header, foot_text) in enumerate(zip(headers, feet, strict=True)):
        table.add_column(header, foot_text, justify="left" if i < 2 else "right")
    for layer in comparison["layers"]:
        table.add_row(*_layer_cells(layer), style=_style(layer["speedup"]))
    return table


def _run_line(name: str, run: Mapping[str, Any]) -> Text:
    build = (run["firmware_build_id"] or "unknown")[:12]
    text = f"{name}: {run['model']} on {run['board']}, mean of {run['runs']:,} runs,"
    return Text(f"{text} image {run['image_sha256'][:12]}, firmware {build}", style="dim")


def verdict(comparison: Mapping[str, Any]) -> Iterator[str]:
    """Lines that say what B is against A."""
    for change in comparison["changes"]:
        before, after = change["before"], change["after"]
        factor = _ratio(after / before if before else None)
        grown = f"{100 * change['change']:+.1f} %"
        yield f"{change['quantity']}: {before:,.10g} -> {after:,.10g}, {grown}, {factor}"
    a, b = (comparison[side]["accuracy"] for side in ("a", "b"))
    if a is not None and b is not None:
        yield f"accuracy: {100 * a:.2f} % -> {100 * b:.2f} %, {100 * (b - a):+.2f} points"
    outputs = comparison.get("outputs")
    if outputs:
        yield f"outputs: differ in {outputs['changed']:,} of {outputs['runs']:,} inferences"


def render_comparison(comparison: Mapping[str, Any]) -> RenderableType:
    """The runs, a row for each layer, and the verdict."""
    heads = (_run_line(side.upper(), comparison[side]) for side in ("a", "b"))
    return Group(*heads, "", _table(comparison), *(Text(line) for line in verdict(comparison)))
