"""Runs -> one document for JSON, and a table for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
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
from edgesparse.errors import FormatError
from edgesparse.meta import LayerMeta, Meta, unknown_layer
from edgesparse.names import short_name
from edgesparse.outputs import finish_outputs, first_maximum, same_values
from edgesparse.telemetry.cycles import CycleLog, RunCycles, check_cycles
from edgesparse.telemetry.record import Hello, LayerRecord, LayerWindow
from edgesparse.telemetry.runs import DUMP_RUNS_FROM, RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

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
    """Adds runs up, one after another; the document depends on setup, HELLO and runs alone."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._layers = setup.meta.layers
        self._hello: Hello | None = None
        self._runs = 0
        self._compared = 0
        self._unit = "none"
        self._count = 0
        self._by_node = _sums_of(self._layers)
        self._input_zeros = [0] * len(setup.meta.inputs)
        self._golden = [array.array() for array in setup.golden]
        self._correct = 0
        self._mismatches: set[int] = set()
        self._part: str | None = None
        self._cycles_by_run: dict[int, RunCycles] = {}
        self._cycles = 0
        self._cycle_runs = 0

    @property
    def runs(self) -> int:
        """How many it has taken."""
        return self._runs

    def greet(self, hello: Hello) -> None:
        """Take who the device is, from its first answer to the host's PING."""
        if self._hello is None and hello.nonce == self._setup.nonce:
            self._hello = hello
            self._unit = hello.unit

    def model_cycles(self, cycles: CycleLog) -> None:
        """Take the part whose cycles are modelled, and the cycles known so far."""
        self._part = cycles.part
        self._cycles_by_run.update(cycles.runs)

    def add_cycles(self, cycles: RunCycles) -> None:
        """Take modelled cycles of a run that add() is going to take."""
        self._cycles_by_run[cycles.run] = cycles

    def _take_cycles(self, run: RunResult) -> None:
        cycles = self._cycles_by_run.pop(run.run, None)
        if cycles is None:
            return
        check_cycles(cycles, run)
        self._cycle_runs += 1
        self._cycles += cycles.cycles
        for layer, (_, node_cycles) in zip(run.layers, cycles.nodes, strict=True):
            self._by_node[layer.node].cycles += node_cycles

    def add(self, run: RunResult) -> None:
        """Take a run; those that only dumped tensors do not count.

        Raises FormatError where it is not a run of this model.
        """
        if run.run >= DUMP_RUNS_FROM:
            return
        self._check_layers(run.layers)
        row = run.run % self._setup.rows
        self._compare(row, run.outputs)
        self._runs += 1
        self._unit = run.end.unit
        self._count += run.end.count
        for layer in run.layers:
            self._by_node[layer.node].add(layer)
        self._take_cycles(run)
        for i, zeros in enumerate(self._setup.input_zeros):
            self._input_zeros[i] += zeros[row]

    def add_window(self, window: WindowResult) -> None:
        """Take a window of runs, of which there are no outputs.

        Raises FormatError where it is not one of this model.
        """
        self._check_layers(window.layers)
        end = window.end
        self._runs += end.runs
        self._unit = end.unit
        self._count += end.count_sum
        for layer in window.layers:
            self._by_node[layer.node].add_window(layer)
        for i, zeros in enumerate(self._setup.input_zeros):
            rows = (zeros[run % self._setup.rows] for run in range(end.run, end.run + end.runs))
            self._input_zeros[i] += sum(rows)

    def _check_layers(self, records: Sequence[LayerRecord | LayerWindow]) -> None:
        """Raise FormatError for another model; of an unknown one, take what the first run says."""
        if not self._setup.meta.layers and self._runs == 0:
            self._layers = unknown_layers(records)
            self._by_node = _sums_of(self._layers)
        if len(records) != len(self._by_node):
            raise FormatError(
                f"a run with {len(records)} nodes, the image has {len(self._by_node)}"
            )

    def _compare(self, row: int, given: Sequence[bytes]) -> None:
        if not self._setup.meta.layers:
            return  # nor are there shapes of outputs
        outputs = finish_outputs(self._setup.meta, given)
        self._compared += 1
        if self._setup.labels is not None:
            self._correct += first_maximum(outputs[0]) == self._setup.labels[row]
        if any(not same_values(outputs[i], g[row]) for i, g in enumerate(self._golden)):
            self._mismatches.add(row)

    def document(self) -> dict[str, Any]:
        """Return the document, for JSON.

        Counts, macs_done and activation_zeros are means a run.  `accuracy` is the share of runs
        whose output 0 has its first maximum at the label; `mismatches` the number of rows with an
        output that differs from the expected one.  Both are null where there is nothing to compare.
        `modelled_cycles` are an estimate for the part in `cycles_part`; without a model these keys
        are absent.
        """
        setup, meta = self._setup, self._setup.meta
        sums = self._by_node.values()
        in_layers = sum(node.count for node in sums)
        has_accuracy = setup.labels is not None and self._compared > 0
        has_mismatches = bool(self._golden) and self._compared > 0
        document: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "model": meta.name,
            "board": setup.board,
            "unit": self._unit,
            "runs": self._runs,
            "accuracy": self._correct / self._compared if has_accuracy else None,
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
            "firmware_build_id": None if self._hello is None else self._hello.build_id.hex(),
            "command": list(setup.command),
        }
        if meta.sparsify is not None and meta.sparsify.blocks:
            document["blocks"] = block_rows(meta.sparsify.blocks, document["layers"])
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
        described: dict[str, Any] = {
            "index": layer.index,
            "name": layer.name,
            "op": layer.op,
            "encoding": layer.encoding,
            "macs": layer.macs,
            "macs_done": self._mean(sums.macs_done),
            "weights": layer.weights,
            "weight_zeros": layer.weight_zeros,
            "activations": layer.activations,
            "activation_zeros": self._mean(self._zeros(layer)),
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

    def _zeros(self, layer: LayerMeta) -> int:
        """Zeros among a layer's outputs; a free layer's are those of the values that it renames."""
        if layer.node is not None:
            return self._by_node[layer.node].zeros + self._runs * layer.constant_zeros
        if layer.same_as_input is not None:
            return self._input_zeros[layer.same_as_input]
        if layer.same_as_layer is not None:
            source = self._layers[layer.same_as_layer]
            return 0 if source.node is None else self._zeros(source)
        return 0


@dataclass(slots=True)
class _NodeSums:
    """What a node did, over all runs."""

    count: int = 0
    macs_done: int = 0
    zeros: int = 0
    cycles: int = 0

    def add(self, layer: LayerRecord) -> None:
        self.count += layer.count
        self.macs_done += layer.macs_done
        self.zeros += layer.activation_zeros

    def add_window(self, layer: LayerWindow) -> None:
        self.count += layer.count_sum
        self.macs_done += layer.macs_done_sum
        self.zeros += layer.activation_zeros_sum


def _sums_of(layers: Iterable[LayerMeta]) -> dict[int, _NodeSums]:
    return {layer.node: _NodeSums() for layer in layers if layer.node is not None}


def unknown_layers(records: Sequence[LayerRecord | LayerWindow]) -> tuple[LayerMeta, ...]:
    """Return the layers of an image that nothing is known of but a run's records."""
    return tuple(unknown_layer(each.node, each.layer, each.activations) for each in records)


# --- The table ---------------------------------------------------------------------------------

_NAME_MIN_WIDTH = 10
# In a file or a pipe nothing has to be left out.
_PLAIN_WIDTH = 160
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


def _percent(part: str, whole: str) -> Callable[[_Row], str]:
    return lambda row: f"{100 * row[part] / row[whole]:.1f}" if row.get(whole) else ""


_NAME = _Column("layer", lambda row: short_name(row["name"]), right=False)
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
    _Column("MACs", _number("macs"), drop=5),
    _Column("MACs\ndone", _number("macs_done"), drop=1),
    _Column("skip\n%", _percent("macs_skipped", "macs")),
)


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
    keys = ("weights", "weight_zeros", "activations", "activation_zeros")
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
        all_columns = (
            *_COLUMNS,
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
        if unit == "none":
            yield "cost", Text("not counted: this target has no time base")
        elif macs and done:
            count = totals["count"]
            yield unit, Text(f"{count / macs:.3f} per MAC, {count / done:.3f} per MAC done")
        if macs and "modelled_cycles" in totals:
            cycles, part = totals["modelled_cycles"], document["cycles_part"]
            text = f"{cycles:,.0f} in all, {cycles / macs:.3f} per MAC"
            yield f"modelled cycles ({part})", Text(text)
        yield "memory", Text(_memory_text(totals))
        if self._log is not None:
            yield "log", Text(str(self._log), overflow="fold")


def _memory_text(totals: Mapping[str, Any]) -> str:
    ram = f"{totals['arena_bytes']:,} bytes of RAM"
    if totals["flash_bytes"] is None:  # nor is it known what the RAM is for
        return ram
    flash = f"{totals['flash_bytes']:,} bytes of flash"
    return f"{flash}, {ram} ({totals['scratch_bytes']:,} of them scratch)"


def render_table(document: dict[str, Any], *, log: Path | None = None) -> RenderableType:
    """Return the document as a table with facts below; `log` is where the run's log lies."""
    return _RunTable(document, log)


def show_table(
    document: dict[str, Any], *, log: Path | None = None, console: Console | None = None
) -> None:
    """Print the document as render_table gives it, on stdout, at full width where nobody looks."""
    console = Console() if console is None else console
    if not console.is_terminal:
        console.width = max(console.width, _PLAIN_WIDTH)
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

    def add(self, run: RunResult) -> None:
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
