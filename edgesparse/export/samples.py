"""A run's log as samples: what each layer did in an inference, or in a window of some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgesparse.errors import FormatError
from edgesparse.meta import LayerMeta
from edgesparse.names import short_name
from edgesparse.report.summary import unknown_layers
from edgesparse.telemetry.cycles import CycleLog, RunCycles, add_cycles
from edgesparse.telemetry.log import open_log
from edgesparse.telemetry.record import LayerRecord, LayerWindow
from edgesparse.telemetry.runs import RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = ["LayerSample", "Sample", "read_samples"]

Result = RunResult | WindowResult


@dataclass(frozen=True, slots=True)
class LayerSample:
    """A layer in the inferences of a sample; all figures but those of `meta` are sums over them.

    Args:
        node: of the image.
        meta: what is known of the layer.
        runs: inferences.
        macs_done: products of a real weight and a real activation.
        activation_zeros: elements of its outputs equal to their zero point.
        zeros_min: least of them in one inference.
        zeros_max: most of them in one inference.
        saturated: elements of its outputs at a limit of their type that an activation does not set.
        thresholded: those of activation_zeros that its activation threshold made; None where it has
            none.
        count: instructions or cycles, by the sample's unit; 0 with none.
        modelled_cycles: an estimate; None where none was made.
    """

    node: int
    meta: LayerMeta
    runs: int
    macs_done: int
    activation_zeros: int
    zeros_min: int
    zeros_max: int
    saturated: int
    thresholded: int | None
    count: int
    modelled_cycles: int | None

    @property
    def label(self) -> str:
        """Place and short name, such as "3 conv2d_5"."""
        return f"{self.meta.index} {short_name(self.meta.name)}"

    @property
    def zeros_percent(self) -> float:
        """Share of zeros in its outputs."""
        return 100 * self.activation_zeros / max(self.runs * self.meta.activations, 1)

    @property
    def thresholded_percent(self) -> float | None:
        """Share of its outputs that its activation threshold set to zero; None without one."""
        if self.thresholded is None:
            return None
        return 100 * self.thresholded / max(self.runs * self.meta.activations, 1)

    @property
    def skipped_percent(self) -> float | None:
        """Share of MACs that were skipped; None for a layer without any."""
        macs = self.runs * self.meta.macs
        return 100 * (macs - self.macs_done) / macs if macs else None


@dataclass(frozen=True, slots=True)
class Sample:
    """An inference, or a window of some.

    Args:
        boot: which start of the device, by its own count.
        run: number of the first inference; it starts anew with each boot.
        runs: inferences.
        layers: those that the device runs, in order.
        count: of all of it, in `unit`.
        unit: what counts are: instructions, cycles or none.
        histograms: by (node, tensor of the image), counts of values q, bin i those with
            (q + 128) >> 4 == i; empty unless asked for.
    """

    boot: int
    run: int
    runs: int
    layers: tuple[LayerSample, ...]
    count: int
    unit: str
    histograms: Mapping[tuple[int, int], Sequence[int]]

    @property
    def label(self) -> str:
        """Such as "run 3" or "runs 0-99"."""
        last = self.run + self.runs - 1
        return f"run {self.run}" if self.runs == 1 else f"runs {self.run}-{last}"

    @property
    def skipped_percent(self) -> float | None:
        """Share of all MACs that were skipped; None for a model without any."""
        macs = self.runs * sum(layer.meta.macs for layer in self.layers)
        done = sum(layer.macs_done for layer in self.layers)
        return 100 * (macs - done) / macs if macs else None


def read_samples(folder: Path) -> tuple[Setup, Iterator[Sample]]:
    """What was known before the runs of a log, and its samples in order of arrival.

    Raises UsageError where there is no log, FormatError where it is malformed or its runs belong to
    another model.
    """
    log = open_log(folder)
    return log.setup, _samples(log.setup, log.results(), log.cycles)


def _samples(setup: Setup, results: Iterator[Result], cycles: CycleLog | None) -> Iterator[Sample]:
    layers = setup.meta.layers
    for result in results:
        layers = layers or unknown_layers(result.layers)
        by_node = {layer.node: layer for layer in layers if layer.node is not None}
        yield _sample(result, by_node, _cycles_of(result, cycles))


def _cycles_of(result: Result, cycles: CycleLog | None) -> RunCycles | None:
    """The modelled cycles of all its inferences; None if one has none."""
    if cycles is None:
        return None
    runs = result.runs if isinstance(result, WindowResult) else 1
    known = [cycles.runs.get(run) for run in range(result.run, result.run + runs)]
    found = [each for each in known if each is not None]
    return add_cycles(found) if len(found) == runs else None


def _sample(result: Result, layers: Mapping[int, LayerMeta], cycles: RunCycles | None) -> Sample:
    if len(result.layers) != len(layers):
        raise FormatError(f"a run with {len(result.layers)} nodes, the image has {len(layers)}")
    of_nodes = None if cycles is None else cycles.nodes
    if of_nodes is not None and len(of_nodes) != len(layers):
        raise FormatError(f"modelled cycles of {len(of_nodes)} nodes, the image has {len(layers)}")
    records: Sequence[LayerRecord | LayerWindow] = result.layers
    sampled = tuple(
        _layer(record, layers[record.node], None if of_nodes is None else of_nodes[i][1])
        for i, record in enumerate(records)
    )
    runs = result.runs if isinstance(result, WindowResult) else 1
    count = result.end.count_sum if isinstance(result, WindowResult) else result.end.count
    boot = result.boot_id & 0xFFFF
    return Sample(boot, result.run, runs, sampled, count, result.end.unit, result.histograms)


def _layer(record: LayerRecord | LayerWindow, meta: LayerMeta, cycles: int | None) -> LayerSample:
    constant = meta.constant_zeros
    if isinstance(record, LayerRecord):
        zeros = record.activation_zeros + constant
        figures = (1, record.macs_done, zeros, zeros, zeros, record.saturated)
        thresholded, count = record.thresholded, record.count
    else:
        figures = (
            record.runs,
            record.macs_done_sum,
            record.activation_zeros_sum + record.runs * constant,
            record.activation_zeros_min + constant,
            record.activation_zeros_max + constant,
            record.saturated_sum,
        )
        thresholded, count = record.thresholded_sum, record.count_sum
    of_threshold = thresholded if meta.activation_threshold else None
    return LayerSample(record.node, meta, *figures, of_threshold, count, cycles)
