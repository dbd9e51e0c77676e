"""A run's log as samples: what each layer did in one inference."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgesparse.errors import FormatError
from edgesparse.meta import LayerMeta
from edgesparse.names import short_name
from edgesparse.telemetry.cycles import RunCycles
from edgesparse.telemetry.log import open_log
from edgesparse.telemetry.record import LayerRecord
from edgesparse.telemetry.runs import RunResult
from edgesparse.telemetry.setup import Setup

__all__ = ["LayerSample", "Sample", "read_samples"]


@dataclass(frozen=True, slots=True)
class LayerSample:
    """A layer in one inference.

    Args:
        node: of the image.
        meta: what is known of the layer.
        macs_done: products of a real weight and a real activation.
        activation_zeros: elements of its outputs equal to their zero point.
        count: instructions or cycles, by the sample's unit; 0 with none.
        modelled_cycles: an estimate; None where none was made.
    """

    node: int
    meta: LayerMeta
    macs_done: int
    activation_zeros: int
    count: int
    modelled_cycles: int | None

    @property
    def label(self) -> str:
        """Place and short name, such as "3 conv2d_5"."""
        return f"{self.meta.index} {short_name(self.meta.name)}"

    @property
    def zeros_percent(self) -> float:
        """Share of zeros in its outputs."""
        return 100 * self.activation_zeros / max(self.meta.activations, 1)

    @property
    def skipped_percent(self) -> float | None:
        """Share of MACs that were skipped; None for a layer without any."""
        macs = self.meta.macs
        return 100 * (macs - self.macs_done) / macs if macs else None


@dataclass(frozen=True, slots=True)
class Sample:
    """One inference.

    Args:
        boot: which start of the device, by its own count.
        run: number of the run; it starts anew with each boot.
        layers: those that the device runs, in order.
        count: of the whole run, in `unit`.
        unit: what counts are: instructions, cycles or none.
    """

    boot: int
    run: int
    layers: tuple[LayerSample, ...]
    count: int
    unit: str

    @property
    def skipped_percent(self) -> float | None:
        """Share of all MACs that were skipped; None for a model without any."""
        macs = sum(layer.meta.macs for layer in self.layers)
        done = sum(layer.macs_done for layer in self.layers)
        return 100 * (macs - done) / macs if macs else None


def read_samples(folder: Path) -> tuple[Setup, Iterator[Sample]]:
    """What was known before the runs of a log, and its whole inferences in order of arrival.

    Raises UsageError where there is no log, FormatError where it is malformed or its runs belong to
    another model.
    """
    log = open_log(folder)
    layers = {layer.node: layer for layer in log.setup.meta.layers if layer.node is not None}
    cycles = {} if log.cycles is None else log.cycles.runs
    return log.setup, (_sample(run, layers, cycles.get(run.run)) for run in log.results())


def _sample(run: RunResult, layers: Mapping[int, LayerMeta], cycles: RunCycles | None) -> Sample:
    if len(run.layers) != len(layers):
        raise FormatError(f"a run with {len(run.layers)} nodes, the image has {len(layers)}")
    of_nodes = None if cycles is None else cycles.nodes
    if of_nodes is not None and len(of_nodes) != len(layers):
        raise FormatError(f"modelled cycles of {len(of_nodes)} nodes, the image has {len(layers)}")
    sampled = tuple(
        _layer(record, layers[record.node], None if of_nodes is None else of_nodes[i][1])
        for i, record in enumerate(run.layers)
    )
    return Sample(run.boot_id & 0xFFFF, run.run, sampled, run.end.count, run.end.unit)


def _layer(record: LayerRecord, meta: LayerMeta, cycles: int | None) -> LayerSample:
    zeros = record.activation_zeros + meta.constant_zeros
    return LayerSample(record.node, meta, record.macs_done, zeros, record.count, cycles)
