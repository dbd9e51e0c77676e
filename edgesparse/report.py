"""Runs -> one document for JSON, and a table for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from edgesparse.blocks import block_rows
from edgesparse.console import widen
from edgesparse.errors import FormatError
from edgesparse.meta import LayerMeta, Meta, unknown_layer
from edgesparse.names import short_name
from edgesparse.outputs import finish_outputs, first_maximum, same_values
from edgesparse.telemetry.cycles import CycleLog, RunCycles, add_cycles, check_cycles
from edgesparse.telemetry.record import (
    Event,
    Hello,
    LayerRecord,
    LayerWindow,
    Memory,
    Record,
    Sparsified,
    fields_of,
)
from edgesparse.telemetry.runs import DUMP_RUNS_FROM, RunResult, WindowResult
from edgesparse.telemetry.setup import Setup
from edgesparse.telemetry.tally import Tally

__all__ = [
    "LiveTable",
    "Summary",
    "expected_zeros",
    "render_table",
    "short_name",
    "summarize",
    "unknown_layers",
]

SCHEMA_VERSION = 1
"""Of the document: keys may be added to it, but never change."""


def summarize(setup: Setup, hello: Hello | None, runs: Iterable[RunResult]) -> dict[str, Any]:
    """Return the document of some runs.  See Summary."""
    summary = Summary(setup)
    if hello is not None:
        summary.greet(hello)
    for run in runs:
        summary.add(run)
    return summary.document()


def expected_zeros(meta: Meta) -> dict[str, Any] | None:
    """Where the zeros that were expected in activations come from."""
    if meta.profile is None:
        return None
    return {"source": meta.profile.source, "rows": meta.profile.rows}


class Summary:
    """Adds runs up, one after another; the document depends on setup, events and runs alone."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._layers = setup.meta.layers
        self._hello: Hello | None = None
        self._memory: Memory | None = None
        self._tally = Tally(setup.nonce)
        self._runs = 0
        self._unit = "none"
        self._count = 0
        self._by_node = _sums_of(self._layers)
        self._input_zeros = [_Values() for _ in setup.meta.inputs]
        self._has_outputs = True
        self._golden = [array.array() for array in setup.golden]
        self._correct = 0
        self._mismatches: set[int] = set()
        self._part: str | None = None
        self._cycles_by_run: dict[int, RunCycles] = {}
        self._cycles = 0
        self._cycle_runs = 0
        self._sparsified: dict[int, Sparsified] = {}

    @property
    def runs(self) -> int:
        """How many it has taken."""
        return self._runs

    def greet(self, hello: Hello) -> None:
        """Take who the device is, from its first answer to the host's PING."""
        if self._hello is None and hello.nonce == self._setup.nonce:
            self._hello = hello
            self._unit = hello.unit

    def observe(self, event: Event) -> None:
        """Take an event: who the device is, what memory it used, what arrived and what did not."""
        self._tally.push(event)
        if not isinstance(event, Record):
            return
        if event.type == "hello":
            self.greet(fields_of(event, Hello))
        elif event.type == "memory" and event.boot_id >> 16 == self._setup.nonce & 0xFFFF:
            self._memory = fields_of(event, Memory)
        elif event.type == "sparsified":
            done = fields_of(event, Sparsified)
            if done.node in self._by_node:
                self._sparsified[done.node] = done

    def model_cycles(self, cycles: CycleLog) -> None:
        """Take the part whose cycles are modelled, and the cycles known so far."""
        self._part = cycles.part
        self._cycles_by_run.update(cycles.runs)

    def add_cycles(self, cycles: RunCycles) -> None:
        """Take modelled cycles of a run that add() is going to take."""
        self._cycles_by_run[cycles.run] = cycles

    def _take_cycles(self, run: RunResult | WindowResult) -> None:
        """Add the modelled cycles of a run, or of all runs of a window; drop those left out."""
        numbers = _numbers(run)
        found = [self._cycles_by_run.pop(i, None) for i in numbers]
        for number in [number for number in self._cycles_by_run if number < run.run]:
            del self._cycles_by_run[number]
        known = [cycles for cycles in found if cycles is not None]
        if len(known) < len(numbers):
            return
        cycles = add_cycles(known)
        check_cycles(cycles, run)
        self._cycle_runs += len(numbers)
        self._cycles += cycles.cycles
        for node, (_, node_cycles) in enumerate(cycles.nodes):
            self._by_node[node].cycles += node_cycles

    def add(self, run: RunResult | WindowResult) -> None:
        """Take a run or a window of runs; those that only dumped tensors do not count.

        Raises FormatError where it is not a run of this model.
        """
        if run.run >= DUMP_RUNS_FROM:
            return
        if not self._setup.meta.layers and self._runs == 0:
            self._layers = unknown_layers(run.layers)
            self._by_node = _sums_of(self._layers)
        if len(run.layers) != len(self._by_node):
            raise FormatError(
                f"a run with {len(run.layers)} nodes, the image has {len(self._by_node)}"
            )
        numbers = _numbers(run)
        self._runs += len(numbers)
        self._unit = run.end.unit
        self._count += run.end.count_sum if isinstance(run, WindowResult) else run.end.count
        for layer in run.layers:
            self._by_node[layer.node].add(layer)
        for (node, _), bins in run.histograms.items():
            self._by_node[node].add_histogram(bins)
        for values, zeros in zip(self._input_zeros, self._setup.input_zeros, strict=True):
            for number in numbers:
                values.add(zeros[number % self._setup.rows])
        if isinstance(run, RunResult):
            self._compare(run)
        else:
            self._has_outputs = False
        self._take_cycles(run)

    def _compare(self, run: RunResult) -> None:
        """Hold a run's outputs against label and expected outputs of its row."""
        if not self._setup.meta.layers:
            return  # nor are the outputs known
        outputs = finish_outputs(self._setup.meta, run.outputs)
        row = run.run % self._setup.rows
        if self._setup.labels is not None:
            self._correct += first_maximum(outputs[0]) == self._setup.labels[row]
        if any(not same_values(outputs[i], g[row]) for i, g in enumerate(self._golden)):
            self._mismatches.add(row)

    def document(self) -> dict[str, Any]:
        """Return the document, for JSON.

        Counts, macs_done, activation_zeros and thresholded are means a run; thresholded are the
        zeros that an activation threshold (in codes of the output) made.  `accuracy` is the share
        of runs whose output 0 has its first maximum at the label; `mismatches` the number of rows
        with an output that differs from the expected one.  Both are null where there is nothing to
        compare, as in windows of runs, which have no outputs.  `activation_zeros_min` and `_max`
        are those of a single run, `saturated` is a mean a run, `histogram` the sum over all runs
        (null where none was asked for).  `memory` and `reset_reason` are null until the device has
        told them.  `records` are those that the device had to send: received, not sent by it, or
        lost on the line.  `sparsify_on_device`, only where the device set weights to zero itself,
        has a row a node with what that took.  `modelled_cycles` are an estimate for the part in
        `cycles_part`; without a model these keys are absent.
        """
        setup, meta = self._setup, self._setup.meta
        sums = self._by_node.values()
        in_layers = sum(node.count for node in sums)
        has_outputs = self._has_outputs and self._runs > 0
        has_accuracy = setup.labels is not None and has_outputs
        has_mismatches = bool(self._golden) and has_outputs
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "model": meta.name,
            "board": setup.board,
            "unit": self._unit,
            "runs": self._runs,
            "accuracy": self._correct / self._runs if has_accuracy else None,
            "mismatches": len(self._mismatches) if has_mismatches else None,
            "totals": {
                "count": self._mean(self._count),
                "macs": sum(layer.macs for layer in self._layers),
                "macs_done": self._mean(sum(node.macs_done for node in sums)),
                "flash_bytes": setup.flash_bytes,
                "arena_bytes": setup.arena_bytes,
                "scratch_bytes": meta.scratch_bytes,
                "count_outside_layers": self._mean(self._count - in_layers),
            },
            "layers": [self._layer(layer) for layer in self._layers],
            "runs_requested": setup.runs,
            "rows": setup.rows,
            "goal": None if meta.goal is None else meta.goal.model_dump(mode="json"),
            "activations": expected_zeros(meta),
            "sparsify": None if meta.sparsify is None else meta.sparsify.model_dump(mode="json"),
            "model_sha256": meta.source_sha256,
            "image_sha256": setup.image_sha256,
            "inputs_sha256": setup.inputs_sha256,
            "firmware_build_id": None if self._hello is None else self._hello.build_id.hex(),
            "reset_reason": None if self._hello is None else self._hello.reset_reason,
            "memory": None if self._memory is None else _memory_document(self._memory),
            "records": self._tally.document(),
            "command": list(setup.command),
        }
        if meta.sparsify is not None and meta.sparsify.blocks:
            document["blocks"] = block_rows(meta.sparsify.blocks, document["layers"])
        if self._sparsified:
            document["sparsify_on_device"] = [asdict(done) for done in self._sparsified.values()]
        if self._has_cycles():
            document["cycles_part"] = self._part
            document["totals"]["modelled_cycles"] = self._mean(self._cycles)
        return document

    def _has_cycles(self) -> bool:
        """Whether every run has modelled cycles."""
        return self._part is not None and 0 < self._runs == self._cycle_runs

    def _mean(self, total: int) -> int | float:
        """A mean a run; whole numbers stay exact, however large."""
        if self._runs == 0:
            return 0
        mean, rest = divmod(total, self._runs)
        return mean if rest == 0 else total / self._runs

    def _layer(self, layer: LayerMeta) -> dict[str, Any]:
        sums = _NodeSums() if layer.node is None else self._by_node[layer.node]
        zeros = self._zeros(layer)
        described: dict[str, Any] = {
            "index": layer.index,
            "name": layer.name,
            "op": layer.op,
            "encoding": layer.encoding,
            "macs": layer.macs,
            "macs_done": self._mean(sums.macs_done),
            "weights": layer.weights,
            "weight_zeros": self._weight_zeros(layer),
            "activations": layer.activations,
            "activation_zeros": self._mean(zeros.total),
            "activation_zeros_min": zeros.least,
            "activation_zeros_max": zeros.most,
            "activation_threshold": layer.activation_threshold,
            "thresholded": self._mean(sums.thresholded),
            "saturated": self._mean(sums.saturated),
            "histogram": sums.histogram,
            "count": self._mean(sums.count),
            "kernel": layer.kernel,
        }
        if self._has_cycles():
            described["modelled_cycles"] = self._mean(sums.cycles)
        return described | self._prediction(layer, described)

    def _prediction(self, layer: LayerMeta, described: Mapping[str, Any]) -> dict[str, Any]:
        """What was predicted, in the unit of the document's goal, and what of it came true.

        The ratio is what was measured by what was predicted; null where that unit was not measured.
        """
        goal = self._setup.meta.goal
        if goal is None:
            return {}
        key = "count" if goal.unit == self._unit else "modelled_cycles"
        measured = described.get(key)
        known = measured is not None and layer.predicted_cost > 0 and self._runs > 0
        ratio = measured / layer.predicted_cost if known and measured is not None else None
        return {"predicted": layer.predicted_cost, "measured_by_predicted": ratio}

    def _weight_zeros(self, layer: LayerMeta) -> int:
        done = None if layer.node is None else self._sparsified.get(layer.node)
        return layer.weight_zeros if done is None else done.zeros

    def _zeros(self, layer: LayerMeta) -> _Values:
        """Zeros among a layer's outputs; a free layer's are those of the values that it renames."""
        if layer.node is not None:
            return self._by_node[layer.node].zeros.shifted(layer.constant_zeros)
        if layer.same_as_input is not None:
            return self._input_zeros[layer.same_as_input]
        if layer.same_as_layer is not None:
            source = self._layers[layer.same_as_layer]
            return _Values() if source.node is None else self._zeros(source)
        return _Values()


def _numbers(run: RunResult | WindowResult) -> range:
    """The numbers of the runs that it stands for."""
    return range(run.run, run.run + (run.runs if isinstance(run, WindowResult) else 1))


def unknown_layers(records: Sequence[LayerRecord | LayerWindow]) -> tuple[LayerMeta, ...]:
    """Return the layers of an image of which nothing is known but a run's records."""
    return tuple(unknown_layer(each.node, each.layer, each.activations) for each in records)


def _sums_of(layers: Iterable[LayerMeta]) -> dict[int, _NodeSums]:
    return {layer.node: _NodeSums() for layer in layers if layer.node is not None}


def _memory_document(memory: Memory) -> dict[str, int]:
    return {
        "arena_used_bytes": memory.arena_used_bytes,
        "arena_high_bytes": memory.arena_high_bytes,
        "stack_bytes": memory.stack_bytes,
        "stack_high_bytes": memory.stack_high_bytes,
    }


@dataclass(slots=True)
class _Values:
    """A figure of each of `runs` runs: sum, least and most; all 0 of no runs."""

    runs: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        self.add_all(1, value, value, value)

    def add_all(self, runs: int, total: int, least: int, most: int) -> None:
        self.least = min(self.least, least) if self.runs else least
        self.most = max(self.most, most)
        self.total += total
        self.runs += runs

    def shifted(self, by: int) -> _Values:
        """The figures, each larger by a constant."""
        if self.runs == 0:
            return self
        return _Values(self.runs, self.total + self.runs * by, self.least + by, self.most + by)


@dataclass(slots=True)
class _NodeSums:
    """What a node did, over all runs."""

    count: int = 0
    macs_done: int = 0
    saturated: int = 0
    thresholded: int = 0
    cycles: int = 0
    zeros: _Values = field(default_factory=_Values)
    histogram: list[int] | None = None

    def add(self, layer: LayerRecord | LayerWindow) -> None:
        if isinstance(layer, LayerRecord):
            self.count += layer.count
            self.macs_done += layer.macs_done
            self.saturated += layer.saturated
            self.thresholded += layer.thresholded
            self.zeros.add(layer.activation_zeros)
            return
        self.count += layer.count_sum
        self.macs_done += layer.macs_done_sum
        self.saturated += layer.saturated_sum
        self.thresholded += layer.thresholded_sum
        self.zeros.add_all(
            layer.runs,
            layer.activation_zeros_sum,
            layer.activation_zeros_min,
            layer.activation_zeros_max,
        )

    def add_histogram(self, bins: Sequence[int]) -> None:
        before = self.histogram or [0] * len(bins)
        self.histogram = [a + b for a, b in zip(before, bins, strict=True)]


# --- The table ---------------------------------------------------------------------------------

_NAME_MIN_WIDTH = 10
_REFRESH_S = 0.1

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


_THRESHOLDED = _Column("set to\nzero %", _percent("thresholded", "activations"), drop=9)


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
            text = f"{100 * document['accuracy']:.2f} % on the device ({runs:,} runs)"
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


class LiveTable:
    """Shows runs as they come in: again and again on a terminal, once at the end elsewhere.

    Use it as a context manager.  It shows what there is also when it is left by an error or Ctrl-C,
    unless not even one run has ended.

    Args:
        console: where to.
        summary: adds up the runs.
        log: where the run's log lies.
    """

    def __init__(self, console: Console, summary: Summary, *, log: Path | None = None) -> None:
        self._console = console
        self._summary = summary
        self._log = log
        self._live: Live | None = None
        self._shown = 0.0

    def add(self, run: RunResult | WindowResult) -> None:
        """Take a run into the summary, and show it if the last time is long enough ago."""
        self._summary.add(run)
        if not self._console.is_terminal or time.monotonic() - self._shown < _REFRESH_S:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._rendered(), refresh=True)
        self._shown = time.monotonic()

    def _rendered(self) -> RenderableType:
        return render_table(self._summary.document(), log=self._log)

    def __enter__(self) -> Self:
        """Return the table itself."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Show the last state."""
        if self._live is not None:
            self._live.update(self._rendered())
            self._live.stop()
        elif self._summary.runs > 0:
            show_table(self._summary.document(), log=self._log, console=self._console)
