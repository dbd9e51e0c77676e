"""Figures added up over runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgesparse.telemetry.record import LayerRecord, LayerWindow

__all__ = ["NodeSums", "Values"]


@dataclass(slots=True)
class Values:
    """A figure of each of `runs` runs: sum, least and most; all 0 of no runs."""

    runs: int = 0
    total: int = 0
    least: int = 0
    most: int = 0

    def add(self, value: int) -> None:
        """Take the figure of one more run."""
        self.add_all(1, value, value, value)

    def add_all(self, runs: int, total: int, least: int, most: int) -> None:
        """Take those of `runs` more runs: their sum, least and most."""
        self.least = min(self.least, least) if self.runs else least
        self.most = max(self.most, most)
        self.total += total
        self.runs += runs

    def shifted(self, by: int) -> Values:
        """The figures, each larger by a constant."""
        if self.runs == 0:
            return self
        return Values(self.runs, self.total + self.runs * by, self.least + by, self.most + by)


@dataclass(slots=True)
class NodeSums:
    """What a node did, over all runs."""

    count: int = 0
    macs_done: int = 0
    saturated: int = 0
    thresholded: int = 0
    cycles: int = 0
    zeros: Values = field(default_factory=Values)
    histogram: list[int] | None = None

    def add(self, layer: LayerRecord | LayerWindow) -> None:
        """Take what it did in one more run, or in a window of them."""
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
        """Take the counts of one of its outputs."""
        before = self.histogram or [0] * len(bins)
        self.histogram = [a + b for a, b in zip(before, bins, strict=True)]
