"""The document of runs as a table for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from edgesparse.console import widen
from edgesparse.names import short_name

__all__ = ["render_table", "show_table"]

_NAME_MIN_WIDTH = 10

_Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Column:
    """A column: its header, and what it shows of a row, which need not have every key.

    Where the terminal is narrow, columns with `drop` go, the lowest number first; 0 stays.
    """

    header: str
    cell: Callable[[_Row], str]
    right: bool = True
    drop: int = 0

    def width(self, rows: Sequence[_Row]) -> int:
        texts = [*self.header.split("\n"), *map(self.cell, rows)]
        return max(cell_len(text) for text in texts)


def _text(key: str) -> Callable[[_Row], str]:
    return lambda row: str(row.get(key, ""))


def _number(key: str) -> Callable[[_Row], str]:
    """Whole numbers with separators; nothing for 0, which is what most free layers have."""
    return lambda row: f"{row[key]:,.0f}" if row.get(key) else ""


def _percent(part: str, whole: str, places: int = 1) -> Callable[[_Row], str]:
    return lambda row: f"{100 * row[part] / row[whole]:.{places}f}" if row.get(whole) else ""


_NAME = _Column("layer", lambda row: short_name(row["name"]), right=False)
_SATURATED = _Column("satur.\n%", _percent("saturated", "activations", 2), drop=9)
"""Only where something is saturated."""
_THRESHOLDED = _Column("set to\nzero %", _percent("thresholded", "activations"), drop=9)
"""Only where activations have thresholds."""
_COLUMNS = (
    _Column("#", _text("index"), drop=3),
    _NAME,
    _Column("operator", lambda row: row.get("op", "").removesuffix("_2D"), right=False),
    _Column(
        "encoding",
        lambda row: row.get("encoding", "") if row.get("weights") else "",
        right=False,
        drop=2,
    ),
    _Column("weights\nzero %", _percent("weight_zeros", "weights"), drop=6),
    _Column("activ.\nzero %", _percent("activation_zeros", "activations"), drop=7),
    _SATURATED,
    _Column("MACs", _number("macs"), drop=5),
    _Column("MACs\ndone", _number("macs_done"), drop=1),
    _Column("skip\n%", _percent("macs_skipped", "macs")),
)


def _thinned(rows: Sequence[_Row]) -> str:
    """What the device did to the weights of all layers, and what that took."""
    zeros, weights, count = (sum(r[key] for r in rows) for key in ("zeros", "weights", "count"))
    unit = rows[0]["unit"]
    took = "" if unit == "none" else f", in {count:,} {unit}"
    return f"{zeros:,} of {weights:,} weights{took}"


def _has_thresholds(document: _Row) -> bool:
    return any(layer["activation_threshold"] for layer in document["layers"])


def _count_columns(unit: str) -> tuple[_Column, ...]:
    share = _Column("share\n%", _percent("count", "total_count"), drop=4)
    return () if unit == "none" else (_Column(unit, _number("count")), share)


def _cycle_columns(part: str | None) -> tuple[_Column, ...]:
    """Always labelled as what they are: an estimate, for a part."""
    if part is None:
        return ()
    return (_Column(f"modelled\ncycles\n({part})", _number("modelled_cycles"), drop=8),)


def _rows(document: dict[str, Any]) -> list[_Row]:
    """The layers, then what the run counted beside them, then everything together."""
    layers, totals = document["layers"], document["totals"]
    keys = (
        "weights",
        "weight_zeros",
        "activations",
        "activation_zeros",
        "thresholded",
        "saturated",
    )
    sums = {key: sum(layer[key] for layer in layers) for key in keys}
    rows = [*layers, {"name": "total", **sums, **totals}]
    if document["unit"] != "none":
        rest = {"name": "rest of run", "count": totals["count_outside_layers"]}
        if "modelled_cycles" in totals:
            in_layers = sum(layer["modelled_cycles"] for layer in layers)
            rest["modelled_cycles"] = totals["modelled_cycles"] - in_layers
        rows.insert(-1, rest)
    total = {"total_count": totals["count"]}
    skipped = [row.get("macs", 0) - row.get("macs_done", 0) for row in rows]
    return [row | total | {"macs_skipped": n} for row, n in zip(rows, skipped, strict=True)]


def _fitting(
    columns: Sequence[_Column], rows: Sequence[_Row], width: int
) -> tuple[list[_Column], int]:
    """The columns that fit into a width, and the blanks between them; the name gives way first."""
    widths = {column: column.width(rows) for column in columns}
    name_width = min(widths[_NAME], _NAME_MIN_WIDTH)
    kept = list(columns)

    def needed() -> int:
        return sum(widths[column] for column in kept) + len(kept) - 1

    for column in sorted((c for c in columns if c.drop), key=lambda c: c.drop):
        if needed() - widths[_NAME] + name_width > width:
            kept.remove(column)
    return kept, 2 if needed() + len(kept) - 1 <= width else 1


class _RunTable:
    """The document as a table that fits the terminal."""

    def __init__(self, document: dict[str, Any], log: Path | None) -> None:
        self._document = document
        self._log = log

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._heading()
        yield self._table(options.max_width)
        yield self._facts()

    def _heading(self) -> Text:
        document = self._document
        runs, wanted = document["runs"], document["runs_requested"]
        done = f"{runs:,}" if wanted in (0, runs) else f"{runs:,} of {wanted:,}"
        noun = "run" if wanted == 1 else "runs"
        return Text.assemble(
            (document["model"], "bold"),
            " on ",
            (document["board"], "bold"),
            f", mean of {done} {noun}",
        )

    def _table(self, width: int) -> Table:
        document = self._document
        *rows, total = _rows(document)
        unit = document["unit"]
        has_saturated = any(layer["saturated"] for layer in document["layers"])
        all_columns = (
            *(column for column in _COLUMNS if has_saturated or column is not _SATURATED),
            *((_THRESHOLDED,) if _has_thresholds(document) else ()),
            *_count_columns(unit),
            *_cycle_columns(document.get("cycles_part")),
        )
        columns, gap = _fitting(all_columns, [*rows, total], width)
        table = Table(
            box=box.SIMPLE,
            padding=(0, gap - 1, 0, 0),  # the box draws a blank as well
            pad_edge=False,
            show_edge=False,
            show_footer=True,
        )
        for column in columns:
            table.add_column(
                column.header,
                column.cell(total),
                justify="right" if column.right else "left",
                no_wrap=column is not _NAME,
            )
        for row in rows:
            cells = [Text(c.cell(row), no_wrap=True, overflow="ellipsis") for c in columns]
            table.add_row(*cells, style="" if row.get("macs") else "dim")
        return table

    def _facts(self) -> Table:
        grid = Table.grid(padding=(0, 2, 0, 0))
        for name, text in self._fact_rows():
            grid.add_row(Text(name, style="dim"), text)
        return grid

    def _fact_rows(self) -> Iterator[tuple[str, Text]]:
        document, totals = self._document, self._document["totals"]
        runs, unit = document["runs"], document["unit"]
        if document["accuracy"] is not None:
            of = f"{runs:,} run" if runs == 1 else f"{runs:,} runs"
            text = f"{100 * document['accuracy']:.2f} % on the device ({of})"
            yield "accuracy", Text(text)
        if document["mismatches"] is not None:
            rows, wrong = min(runs, document["rows"]), document["mismatches"]
            text = f"{wrong:,} of {rows:,} rows differ from golden"
            yield "outputs", Text(text, style="red" if wrong else "green")
        macs, done = totals["macs"], totals["macs_done"]
        if macs and runs:
            text = f"{done:,.0f} of {macs:,} done, {100 * (macs - done) / macs:.1f} % skipped"
            yield "MACs", Text(text)
        if "sparsify_on_device" in document:
            yield "set to zero on device", Text(_thinned(document["sparsify_on_device"]))
        if _has_thresholds(document):
            number = sum(layer["thresholded"] for layer in document["layers"])
            yield "thresholds", Text(f"{number:,.0f} activations set to zero")
        if unit == "none":
            yield "cost", Text("not counted: this target has no time base")
        elif macs and done:
            count = totals["count"]
            yield unit, Text(f"{count / macs:.3f} per MAC, {count / done:.3f} per MAC done")
        if macs and "modelled_cycles" in totals:
            cycles, part = totals["modelled_cycles"], document["cycles_part"]
            text = f"{cycles:,.0f} in all, {cycles / macs:.3f} per MAC"
            yield f"modelled cycles ({part})", Text(text)
        yield "memory", Text(_memory_text(totals) + _high_water(document["memory"]))
        records = document["records"]
        if records["unsent"] or records["lost"]:
            text = f"{records['received']:,} of {records['sent']:,} received"
            parts = {"left out by the device": "unsent", "lost on the line": "lost"}
            text += "".join(f", {records[key]:,} {what}" for what, key in parts.items())
            yield "records", Text(text)
        if self._log is not None:
            yield "log", Text(str(self._log), overflow="fold")


def _memory_text(totals: Mapping[str, Any]) -> str:
    ram = f"{totals['arena_bytes']:,} bytes of RAM"
    if totals["flash_bytes"] is None:  # nor is it known what the RAM is for
        return ram
    flash = f"{totals['flash_bytes']:,} bytes of flash"
    return f"{flash}, {ram} ({totals['scratch_bytes']:,} of them scratch)"


def _high_water(memory: Mapping[str, int] | None) -> str:
    """What of arena and stack was ever used, as far as the device knows."""
    if memory is None:
        return ""
    text = f"; used at most {memory['arena_high_bytes']:,} bytes of arena"
    if memory["stack_bytes"]:
        text += f", {memory['stack_high_bytes']:,} of {memory['stack_bytes']:,} bytes of stack"
    return text


def render_table(document: dict[str, Any], *, log: Path | None = None) -> RenderableType:
    """Return the document as a table with facts below; `log` is where the run's log lies."""
    return _RunTable(document, log)


def show_table(
    document: dict[str, Any], *, log: Path | None = None, console: Console | None = None
) -> None:
    """Print the document as render_table gives it, on stdout, at full width where nobody looks."""
    console = Console() if console is None else console
    widen(console)
    console.print(render_table(document, log=log))
