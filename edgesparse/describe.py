"""Encoded model -> Meta: what the host has to know of an image to feed it and to report on it."""

from __future__ import annotations

import numpy as np

from edgesparse import ops
from edgesparse.edges import device_input, input_meta, output_meta
from edgesparse.encode import Encoded, Goal
from edgesparse.encode.narrow import Narrowing
from edgesparse.meta import (
    GoalMeta,
    LayerMeta,
    Meta,
    NarrowedMeta,
    ProfileMeta,
    SparsifyMeta,
    UnevenMeta,
)
from edgesparse.model import Model, Node


def weight_counts(model: Model, node: Node) -> tuple[int, int]:
    """Weights of a node and how many of them are zero; (0, 0) without weights."""
    index = ops.weight_index(node)
    data = None if index is None else model.tensors[index].data
    return (0, 0) if data is None else (int(data.size), int(data.size - np.count_nonzero(data)))


def _same_as(encoded: Encoded, node: Node) -> dict[str, int]:
    """Whose zeros a free node's output has: a layer's, a model input's; for a variable nobody's."""
    model = encoded.model
    root = encoded.root(node.outputs[0])
    if root in encoded.persistent:
        return {}
    inputs = [device_input(model, i) for i in model.inputs]
    producer = model.producer(root)
    if root in inputs:
        return {"same_as_input": inputs.index(root)}
    return {} if producer is None else {"same_as_layer": producer.index}


def _activations(encoded: Encoded, node: Node) -> int:
    """Elements of a node's outputs; 0 where it computes none, as a free READ_VARIABLE.

    Constant channels that the device leaves out are among them, those that nobody reads are not.
    """
    if node.op == "ASSIGN_VARIABLE":
        return encoded.model.tensors[node.inputs[1]].elements
    roots = {encoded.root(i) for i in node.outputs}
    if node.index in encoded.folded:
        return 0
    if node.op in ops.DECLARATIONS or not roots.isdisjoint(encoded.persistent):
        return 0
    return sum(encoded.tensor(i).elements + _constants(encoded, i) for i in node.outputs)


def _constants(encoded: Encoded, tensor_index: int, *, zeros: bool = False) -> int:
    """Elements of a tensor, or zeros only, in the constant channels that the device leaves out."""
    narrowing = encoded.narrowings.get(tensor_index)
    if narrowing is None:
        return 0
    tensor = encoded.source.tensors[tensor_index]
    places = tensor.elements // narrowing.width
    if not zeros:
        return places * len(narrowing.constants)
    zero_point = tensor.affine()[1]
    return sum(
        places // values.size * int(np.count_nonzero(values == zero_point))
        for values in narrowing.constants.values()
    )


def _name(model: Model, node: Node) -> str:
    """The name of a node's output, or of the variable that it assigns."""
    named = node.outputs or (node.inputs[:1] if node.op == "ASSIGN_VARIABLE" else ())
    return model.tensors[named[0]].name if named else ""


def _reads(model: Model, node: Node) -> tuple[int, ...]:
    """The layers whose outputs a node reads, in running order."""
    producers = (model.producer(tensor) for tensor in node.inputs if tensor >= 0)
    return tuple(sorted({each.index for each in producers if each is not None}))


def _layer(encoded: Encoded, node: Node, device: dict[int, int]) -> LayerMeta:
    model = encoded.source
    weights, zeros = weight_counts(model, node)
    place = device.get(node.index)
    row = None if place is None else encoded.nodes[place]
    quantizes = node.op == "QUANTIZE" and node.inputs[0] in model.inputs and place is None
    renames = quantizes or not encoded.aliases.keys().isdisjoint(node.outputs)
    return LayerMeta(
        index=node.index,
        name=_name(model, node),
        op=node.op,
        encoding="none" if row is None else row.encoding,
        kernel="" if row is None else row.choice.kernel,
        node=place,
        macs=ops.macs(model, node),
        weights=weights,
        weight_zeros=zeros,
        activations=_activations(encoded, node),
        constant_zeros=sum(_constants(encoded, i, zeros=True) for i in node.outputs),
        activation_threshold=max((model.thresholds.get(i, 0) for i in node.outputs), default=0),
        dense_bytes=weights,
        encoded_bytes=0 if row is None else len(row.choice.weights),
        predicted_cost=0 if row is None else row.chosen.cost or 0,
        dense_cost=0 if row is None else row.dense_cost(),
        reads=_reads(model, node),
        **(_same_as(encoded, node) if renames else {}),
    )


def _narrowed(index: int, narrowing: Narrowing) -> NarrowedMeta:
    """Channels of one value, and those whose values go by class of place."""
    even = {i: int(v[0, 0]) for i, v in narrowing.constants.items() if v.size == 1}
    others = {i: v.reshape(-1) for i, v in narrowing.constants.items() if v.size != 1}
    if not others:
        uneven = None
    else:
        found, classes = np.unique(np.stack(list(others.values())), axis=1, return_inverse=True)
        uneven = UnevenMeta(
            classes=tuple(classes.reshape(-1).tolist()),
            channels=tuple(others),
            values=tuple(tuple(row) for row in found.tolist()),
        )
    return NarrowedMeta(
        tensor=index,
        width=narrowing.width,
        kept=narrowing.kept,
        constants=tuple(even.items()),
        uneven=uneven,
    )


def _goal(goal: Goal) -> GoalMeta:
    return GoalMeta(
        optimize=goal.optimize,
        cpu=goal.cpu,
        unit=goal.unit,
        max_ram=goal.max_ram,
        max_flash=goal.max_flash,
        skip_activations=goal.skip_activations,
    )


def describe(
    encoded: Encoded,
    sparsify: SparsifyMeta | None,
    profile: ProfileMeta | None = None,
    *,
    scratch_bytes: int,
) -> Meta:
    """Meta of an image; `scratch_bytes` is the largest scratch of a node."""
    model = encoded.source
    device = {node.layer: i for i, node in enumerate(encoded.nodes)}
    return Meta(
        name=model.name,
        source_sha256=model.sha256(),
        sparsify=sparsify,
        goal=_goal(encoded.goal),
        profile=profile,
        layers=tuple(_layer(encoded, node, device) for node in model.nodes),
        inputs=tuple(input_meta(model, i) for i in model.inputs),
        outputs=tuple(output_meta(model, i) for i in model.outputs),
        tensors=tuple(encoded.device_tensors()),
        narrowed=tuple(_narrowed(*each) for each in encoded.narrowings.items()),
        scratch_bytes=scratch_bytes,
    )
