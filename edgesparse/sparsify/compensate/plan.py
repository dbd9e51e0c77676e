"""How many groups of which layer become zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgesparse.model import Model
from edgesparse.sparsify.compensate.layer import Layer
from edgesparse.sparsify.compensate.trace import Members

__all__ = ["Task", "Wanted"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Of a layer: how many groups of weights are to be zero, those that are so already included.

    granularity: what a group is, see sparsify.granularity.
    """

    groups: int
    granularity: str = "element"


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """A layer that is to lose groups of weights; members: the taps of each group of an output."""

    layer: Layer
    members: Members

    @classmethod
    def of(cls, model: Model, layer: Layer, granularity: str) -> Task:
        """A layer with its groups."""
        return cls(layer, layer.groups(model, granularity))

    @property
    def groups(self) -> int:
        """Number of groups of all outputs."""
        return len(self.layer.codes) * len(self.members)

    @property
    def zeros(self) -> int:
        """Number of groups that are zero."""
        padded = np.pad(self.layer.codes, ((0, 0), (0, 1)))  # tap -1 reads the 0 at the end
        return int((padded[:, self.members] == 0).all(axis=2).sum())
