"""Model -> encoded nodes: which kernel runs each node, with which constant data.

One file a weight encoding (dense.py, delta8.py); lower/ has one function an operator; fold.py finds
the PADs that go into the convolution behind them, narrow/ the channels that need not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesparse import native, ops
from edgesparse.edges import device_input, device_output
from edgesparse.encode.fold import folded_pads, with_padding
from edgesparse.encode.lower import LOWER, Candidate
from edgesparse.encode.narrow import Narrowing, narrow
from edgesparse.encode.state import Persistent, free_reads, persistent_tensors
from edgesparse.errors import UsageError
from edgesparse.model import Model, Node, Tensor

__all__ = ["Candidate", "Encoded", "EncodedNode", "encode"]


@dataclass(frozen=True, slots=True)
class EncodedNode:
    """A node as the device will run it.  `layer` is its index in the .tflite."""

    layer: int
    op: str
    encoding: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    macs: int
    choice: Candidate


@dataclass(frozen=True, slots=True)
class Encoded:
    """All device nodes of a model, in order, and which tensor lies where another one does.

    `model`: as the device sees it, which is `source` without the channels that `narrowings` names,
    by tensor.  `aliases`: index of the output of a free node (RESHAPE, READ_VARIABLE) -> index of
    the tensor whose bytes it is.  `folded`: indices of the PADs that are part of the convolution
    behind them.  `persistent`: the variables, by the index of the tensor that is their handle.
    """

    source: Model
    model: Model
    nodes: tuple[EncodedNode, ...]
    aliases: dict[int, int]
    folded: frozenset[int] = frozenset()
    persistent: Mapping[int, Persistent] = field(default_factory=dict)
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


def _encode_node(
    model: Model, node: Node, encoding: str | None, pads: Mapping[int, Node]
) -> EncodedNode:
    candidates = LOWER[node.op](model, node)
    if node.index in pads:
        candidates = [with_padding(model, pads[node.index], each) for each in candidates]
    kernels = native.table("kernel")
    wanted = [c for c in candidates if kernels[c.kernel].columns[1] == encoding]
    choice = min(wanted or candidates, key=lambda candidate: candidate.cost)
    kernel = kernels[choice.kernel]
    return EncodedNode(
        layer=node.index,
        op=kernel.columns[0],
        encoding=kernel.columns[1],
        inputs=choice.inputs or node.inputs[:1],
        outputs=choice.outputs or node.outputs,
        macs=ops.macs(model, node),
        choice=choice,
    )


def encode(model: Model, *, encoding: str | None = None, keep_dead: bool = False) -> Encoded:
    """Choose a kernel for every node of a supported model by predicted cost.

    `encoding`: take this weight encoding wherever a kernel of the operator has it, whatever it
    costs.  `keep_dead`: keep the channels that no output depends on.  Raises UnsupportedModelError
    with all offenders, UsageError for an unknown encoding.
    """
    if encoding is not None and encoding not in native.table("encoding"):
        known = ", ".join(native.table("encoding"))
        raise UsageError(f"unknown encoding {encoding!r}; there are {known}")
    ops.check_supported(model)
    for index in model.inputs:
        device_input(model, index)  # refuses inputs that no QUANTIZE makes int8
    source = model
    narrowings: Mapping[int, Narrowing] = {}
    if not keep_dead:
        narrowed = narrow(model)
        model, narrowings = narrowed.model, narrowed.narrowings
    pads = folded_pads(model)
    folded = {pad.index: pad for pad in pads.values()}
    nodes: list[Node] = []
    aliases: dict[int, int] = {}
    for node in model.nodes:
        if ops.on_host(model, node) or node.op in ops.DECLARATIONS or node.index in folded:
            continue
        if node.options.IS_FREE:
            renamed = node.inputs[0]
            aliases[node.outputs[0]] = aliases.get(renamed, renamed)
        else:
            nodes.append(node)
    outputs = [device_output(model, index) for index in model.outputs]
    # Whoever reads a folded PAD's output really reads its input.
    read_as = {pad.outputs[0]: aliases.get(pad.inputs[0], pad.inputs[0]) for pad in folded.values()}
    free = free_reads(model, nodes, aliases | read_as, outputs)
    aliases = {index: free.get(root, root) for index, root in aliases.items()} | free
    encoded = [
        _encode_node(model, node, encoding, pads)
        for node in nodes
        if free.keys().isdisjoint(node.outputs)
    ]
    persistent = persistent_tensors(model)
    return Encoded(
        source, model, tuple(encoded), aliases, frozenset(folded), persistent, narrowings
    )
