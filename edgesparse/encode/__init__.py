"""Model -> encoded nodes: which kernel runs each node, with which constant data.

One file a weight encoding (dense.py, bitmap.py and so on); lower/ has one function an operator;
fold.py finds the PADs that go into the convolution behind them, narrow/ the channels that need not
exist.  work.py and cost.py predict what each kernel costs, variants.py lists the ways to run a
node, choose.py decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edgesparse import native, ops
from edgesparse.edges import device_input, device_output
from edgesparse.encode.choose import choose
from edgesparse.encode.encoded import Encoded, EncodedNode, Variant
from edgesparse.encode.fold import folded_pads, with_padding
from edgesparse.encode.goal import Goal
from edgesparse.encode.job import Zeros
from edgesparse.encode.known import known_variants
from edgesparse.encode.lower import LOWER, Candidate
from edgesparse.encode.narrow import Narrowing, narrow
from edgesparse.encode.state import free_reads, persistent_tensors
from edgesparse.errors import UsageError
from edgesparse.model import Model, Node

__all__ = ["Candidate", "Encoded", "EncodedNode", "Goal", "Variant", "Zeros", "encode"]

NO_ZEROS: Mapping[int, Zeros] = {}


def _candidates(
    model: Model, node: Node, encoding: str | None, pads: Mapping[int, Node], goal: Goal
) -> list[Candidate]:
    """The candidates for a node, in the encoding asked for where there is one.

    Kernels that the firmware lacks are no candidates, unless it lacks all: the loader says so then.
    """
    found = LOWER[node.op](model, node)
    if goal.kernels is not None:
        found = [each for each in found if each.kernel in goal.kernels] or found
    if node.index in pads:
        found = [with_padding(model, pads[node.index], each) for each in found]
    kernels = native.table("kernel")
    return [c for c in found if kernels[c.kernel].columns[1] == encoding] or found


def _encode_node(
    model: Model, node: Node, candidates: list[Candidate], goal: Goal, zeros: Zeros
) -> EncodedNode:
    """A node with all its variants; which one it is to be is not decided yet."""
    outputs = candidates[0].outputs or node.outputs
    variants = known_variants(candidates, goal.price, zeros, skip=goal.skip_activations)
    added = goal.price.thresholds(model, outputs)
    if added:
        variants = tuple(v if v.cost is None else replace(v, cost=v.cost + added) for v in variants)
    return EncodedNode(
        layer=node.index,
        macs=ops.macs(model, node),
        inputs=candidates[0].inputs or node.inputs[:1],
        outputs=outputs,
        chosen=variants[0],
        variants=variants,
    )


def encode(
    model: Model,
    *,
    encoding: str | Mapping[int, str] | None = None,
    keep_dead: bool = False,
    goal: Goal | None = None,
    zeros: Mapping[int, Zeros] = NO_ZEROS,
    weights_limit_bytes: int | None = None,
) -> Encoded:
    """Choose a kernel for every node of a supported model by predicted cost.

    Args:
        model: the model.
        encoding: take this weight encoding wherever a kernel of the operator has it, whatever it
            costs; or one for each node, by index.
        keep_dead: keep the channels that no output depends on.
        goal: what decides.
        zeros: share of zeros to expect in tensors, by index; none where it is not known.
        weights_limit_bytes: what the constant data of all nodes may take.

    Raises:
        UnsupportedModelError: the model is not supported; with all offenders.
        UsageError: an unknown encoding.
        DoesNotFitError: no choice keeps to the goal's limits.
    """
    if isinstance(encoding, str) and encoding not in native.table("encoding"):
        known = ", ".join(native.table("encoding"))
        raise UsageError(f"unknown encoding {encoding!r}; there are {known}")
    goal = Goal() if goal is None else goal
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
    encoded = []
    for node in nodes:
        if free.keys().isdisjoint(node.outputs):
            wanted = encoding.get(node.index) if isinstance(encoding, Mapping) else encoding
            candidates = _candidates(model, node, wanted, pads, goal)
            read = (candidates[0].inputs or node.inputs)[0]
            expected = zeros.get(aliases.get(read, read), Zeros())
            encoded.append(_encode_node(model, node, candidates, goal, expected))
    persistent = persistent_tensors(model)
    whole = Encoded(
        source, model, tuple(encoded), aliases, frozenset(folded), persistent, goal, narrowings
    )
    return choose(whole, weights_limit_bytes=weights_limit_bytes)
