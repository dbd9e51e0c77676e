"""A model as the device will run it: nodes with their kernels, and where tensors share bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesparse import native
from edgesparse.edges import device_input, device_output
from edgesparse.encode.goal import Goal
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.narrow import Narrowing
from edgesparse.encode.state import Persistent
from edgesparse.model import Model, Tensor

__all__ = ["Encoded", "EncodedNode", "Variant"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A candidate with all its parameters, and what it takes.

    cost: predicted, in the unit of the goal; None if it is not known.  flash_bytes: of its constant
    data.  scratch_bytes: as the kernel's C code says.  never_dearer: an input without zeros costs
    it no more than encoding dense, see encode.variants.  reason: why it was chosen, or why not.
    """

    candidate: Candidate
    cost: int | None
    flash_bytes: int
    scratch_bytes: int
    never_dearer: bool = True
    reason: str = ""

    @property
    def kernel(self) -> str:
        """Name of its kernel."""
        return self.candidate.kernel

    @property
    def encoding(self) -> str:
        """Name of its weights' encoding."""
        return native.table("kernel")[self.kernel].columns[1]

    @property
    def skips(self) -> bool:
        """Whether it skips zeros, of weights or of activations."""
        may_list = self.candidate.params.get("list_zeros", NEVER) != NEVER
        return may_list or self.encoding not in ("none", "dense")


@dataclass(frozen=True, slots=True)
class EncodedNode:
    """A node as the device will run it.

    layer: its index in the .tflite.  variants: all ways to run it, each with its reason.
    """

    layer: int
    macs: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    chosen: Variant
    variants: tuple[Variant, ...] = ()

    @property
    def choice(self) -> Candidate:
        """What it became."""
        return self.chosen.candidate

    @property
    def op(self) -> str:
        """Name of its row in ops.def."""
        return native.table("kernel")[self.chosen.kernel].columns[0]

    @property
    def encoding(self) -> str:
        """Name of its weights' encoding."""
        return self.chosen.encoding

    def dense_cost(self) -> int:
        """Predicted cost of the best kernel that skips nothing; 0 if it is not known."""
        return min((each.cost for each in self.variants if each.cost and not each.skips), default=0)


@dataclass(frozen=True, slots=True)
class Encoded:
    """All device nodes of a model, in order, and which tensor lies where another one does.

    `model`: as the device sees it, which is `source` without the channels that `narrowings` names,
    by tensor.  `aliases`: index of the output of a free node (RESHAPE, READ_VARIABLE) -> index of
    the tensor whose bytes it is.  `folded`: indices of the PADs that are part of the convolution
    behind them.  `persistent`: the variables, by the index of the tensor that is their handle.
    `goal`: what decided between the kernels.
    """

    source: Model
    model: Model
    nodes: tuple[EncodedNode, ...]
    aliases: dict[int, int]
    folded: frozenset[int] = frozenset()
    persistent: Mapping[int, Persistent] = field(default_factory=dict)
    goal: Goal = field(default_factory=Goal)
    narrowings: Mapping[int, Narrowing] = field(default_factory=dict)

    def tensor(self, tensor_index: int) -> Tensor:
        """A tensor as the device sees it; a variable's handle stands for its values."""
        variable = self.persistent.get(tensor_index)
        return self.model.tensors[tensor_index] if variable is None else variable.tensor

    def root(self, tensor_index: int) -> int:
        """The tensor whose bytes a tensor is: itself unless it is an alias."""
        return self.aliases.get(tensor_index, tensor_index)

    def device_inputs(self) -> tuple[int, ...]:
        """The int8 tensors that the device is given, one a model input."""
        return tuple(device_input(self.model, i) for i in self.model.inputs)

    def device_outputs(self) -> tuple[int, ...]:
        """The int8 tensors that the device gives back, one a model output."""
        return tuple(device_output(self.model, i) for i in self.model.outputs)

    def device_tensors(self) -> list[int]:
        """Indices of the tensors that the device knows, in order."""
        used = {i for node in self.nodes for i in (*node.inputs, *node.outputs)}
        return sorted(used.union(self.device_inputs(), self.device_outputs(), self.persistent))
