"""Runs -> one document, for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from edgesparse.blocks import block_rows
from edgesparse.errors import FormatError
from edgesparse.meta import LayerMeta, Meta, unknown_layer
from edgesparse.outputs import finish_outputs, first_maximum, same_values
from edgesparse.report.sums import NodeSums, Values
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

__all__ = ["Summary", "expected_zeros", "unknown_layers"]

SCHEMA_VERSION = 1
"""Of the document: keys may be added to it, but never change."""


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
        self._input_zeros = [Values() for _ in setup.meta.inputs]
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
        sums = NodeSums() if layer.node is None else self._by_node[layer.node]
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

    def _zeros(self, layer: LayerMeta) -> Values:
        """Zeros among a layer's outputs; a free layer's are those of the values that it renames."""
        if layer.node is not None:
            return self._by_node[layer.node].zeros.shifted(layer.constant_zeros)
        if layer.same_as_input is not None:
            return self._input_zeros[layer.same_as_input]
        if layer.same_as_layer is not None:
            source = self._layers[layer.same_as_layer]
            return Values() if source.node is None else self._zeros(source)
        return Values()


def _numbers(run: RunResult | WindowResult) -> range:
    """The numbers of the runs that it stands for."""
    return range(run.run, run.run + (run.runs if isinstance(run, WindowResult) else 1))


def unknown_layers(records: Sequence[LayerRecord | LayerWindow]) -> tuple[LayerMeta, ...]:
    """Return the layers of an image of which nothing is known but a run's records."""
    return tuple(unknown_layer(each.node, each.layer, each.activations) for each in records)


def _sums_of(layers: Iterable[LayerMeta]) -> dict[int, NodeSums]:
    return {layer.node: NodeSums() for layer in layers if layer.node is not None}


def _memory_document(memory: Memory) -> dict[str, int]:
    return {
        "arena_used_bytes": memory.arena_used_bytes,
        "arena_high_bytes": memory.arena_high_bytes,
        "stack_bytes": memory.stack_bytes,
        "stack_high_bytes": memory.stack_high_bytes,
    }
