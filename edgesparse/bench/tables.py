"""The document of a bench, and its comparison with an earlier one, as tables for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from edgesparse.bench.compare import entry_name
from edgesparse.names import short_name

__all__ = ["render_bench", "render_comparison", "render_profiles"]

# Functions that are shown by name: of a layer, and of all layers together.
_TOP = 5
_TOP_OVERALL = 12


def _some(number: float) -> str:
    return f"{number:,.0f}" if number else ""


def _ratio(part: float, whole: float) -> str:
    return f"{part / whole:.3f}" if whole and part else ""


def _table(title: str, words: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, show_edge=False
    )
    for name in words:
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _costs(row: Mapping[str, Any], unit: str, *, modelled: bool) -> list[str]:
    """Count and modelled cycles of a row, each also per dense MAC."""
    keys = ([] if unit == "none" else ["count"]) + (["modelled_cycles"] if modelled else [])
    found = []
    for key in keys:
        value = row.get(key) or 0
        found += [_some(value), _ratio(value, row.get("macs", 0))]
    return found


def _cost_headers(unit: str, *, modelled: bool) -> list[str]:
    headers = [] if unit == "none" else [unit, "per MAC"]
    return headers + (["modelled\ncycles", "per MAC"] if modelled else [])


def _activations(entry: Mapping[str, Any]) -> int:
    """Activations whose zeros are counted: those that layers with a node write."""
    layers = entry["layers"]
    return sum(layer.get("activations", 0) for layer in layers if layer.get("kernel"))


def _entry_rows(entry: Mapping[str, Any]) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """Words and numbers of each line: layers, the rest, all, and what telemetry costs."""
    for layer in entry["layers"]:
        encoding = layer["encoding"] if layer["weights"] else ""
        words = [short_name(layer["name"]), layer["op"].removesuffix("_2D"), encoding]
        yield words, layer
    totals = entry["totals"]
    if entry["unit"] != "none":
        in_layers = sum(layer.get("modelled_cycles", 0) for layer in entry["layers"])
        cycles = totals.get("modelled_cycles", in_layers) - in_layers
        rest = {"count": totals["count_outside_layers"], "modelled_cycles": cycles}
        yield ["rest of run", "", ""], rest
    flash_ram = {"encoded_bytes": totals["flash_bytes"], "scratch_bytes": totals["scratch_bytes"]}
    yield ["total", "", ""], totals | flash_ram
    if entry["unit"] != "none":
        activations = _activations(entry)
        for what in ("zeros", "saturated"):
            count = entry["telemetry"].get(what, 0)  # older documents have no saturated
            each = f"in total, {count / activations:.2f} each" if activations else "in total"
            yield [f"telemetry: {what}", "", each], {"count": count}
        yield ["telemetry: records", "", "beside it"], {"count": entry["telemetry"]["records"]}


def _entry_table(entry: Mapping[str, Any]) -> Table:
    unit, totals = entry["unit"], entry["totals"]
    modelled = "modelled_cycles" in totals
    runs = "1 run" if entry["runs"] == 1 else f"mean of {entry['runs']:,} runs"
    numbers = ["MACs", "MACs\ndone", *_cost_headers(unit, modelled=modelled)]
    table = _table(
        f"{entry_name(entry)}, {runs}",
        ["layer", "operator", "encoding"],
        [*numbers, "flash\nbytes", "scratch\nbytes"],
    )
    for words, row in _entry_rows(entry):
        table.add_row(
            *words,
            _some(row.get("macs", 0)),
            _some(row.get("macs_done", 0)),
            *_costs(row, unit, modelled=modelled),
            _some(row.get("encoded_bytes", 0)),
            _some(row.get("scratch_bytes", 0)),
            style="bold" if words[0] == "total" else "" if row.get("macs") else "dim",
        )
    return table


def _summary_table(entries: Sequence[Mapping[str, Any]]) -> Table:
    modelled = any("modelled_cycles" in entry["totals"] for entry in entries)
    numbers = ["zeros\n%", "MACs", "MACs\ndone", "count", "per MAC"]
    numbers += ["modelled\ncycles", "per MAC"] if modelled else []
    table = _table("all", ["model", "board"], [*numbers, "flash\nbytes", "RAM\nbytes"])
    for entry in entries:
        totals = entry["totals"]
        table.add_row(
            entry["model"],
            entry["board"] + (f" ({entry['cycles_part']})" if entry.get("cycles_part") else ""),
            f"{100 * entry['sparsity']:g}",
            _some(totals["macs"]),
            _some(totals["macs_done"]),
            *_costs(totals, "any", modelled=modelled),
            _some(totals["flash_bytes"]),
            _some(totals["arena_bytes"]),
        )
    return table


def render_bench(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A table for each entry, layer by layer, and one of all totals."""
    for entry in document["entries"]:
        yield _entry_table(entry)
        yield ""
    yield _summary_table(document["entries"])


def _function_rows(costs: Mapping[str, Any], top: int) -> Iterator[tuple[str, int]]:
    """Name and cycles of the costliest functions, then of all others together."""
    for function in costs["functions"][:top]:
        yield function["name"], function["cycles"]
    others = costs["functions"][top:]
    if others:
        yield "others", sum(function["cycles"] for function in others)


def _profile_table(entry: Mapping[str, Any]) -> Table:
    profile = entry["profile"]
    title = f"{entry_name(entry)}, one run by function"
    table = _table(title, ["layer", "function"], ["modelled\ncycles", "%"])
    parts = [(short_name(layer["name"]), layer, _TOP) for layer in profile["layers"]]
    parts.append(("all", profile, _TOP_OVERALL))
    for name, costs, top in parts:
        table.add_section()
        for i, (function, cycles) in enumerate(_function_rows(costs, top)):
            share = 100 * cycles / costs["cycles"] if costs["cycles"] else 0.0
            style = "dim" if function == "others" else "bold" if costs is profile else ""
            words = [name if i == 0 else "", function]
            table.add_row(*words, f"{cycles:,}", f"{share:.1f}", style=style)
    return table


def render_profiles(document: Mapping[str, Any]) -> Iterator[RenderableType]:
    """For each entry with a profile its functions, layer by layer and over all layers."""
    for entry in document["entries"]:
        if "profile" in entry:
            yield ""
            yield _profile_table(entry)


def render_comparison(comparison: Mapping[str, Any]) -> Iterator[RenderableType]:
    """A table of the changes, and lines with the entries that could not be compared."""
    table = _table("against the earlier result", ["entry", "quantity"], ["before", "after", "%"])
    for row in comparison["changes"]:
        before, after = (f"{row[key]:,.10g}" for key in ("before", "after"))
        change = 100 * row["change"]
        style = "red" if change > 0 else "green" if change < 0 else ""
        table.add_row(row["entry"], row["quantity"], before, after, f"{change:+.2f}", style=style)
    yield table
    notes = {
        "only_before": "only in the earlier result",
        "only_after": "not in the earlier result",
        "not_comparable": "another model file or unit",
    }
    for key, note in notes.items():
        if comparison[key]:
            yield Text(f"{note}: {', '.join(comparison[key])}")
