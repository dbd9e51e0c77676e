"""A model without the channels that it does without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode.narrow.classes import Classes, split
from edgesparse.encode.narrow.constants import (
    biases_of,
    constant_channels,
    is_even,
    is_known,
    sums_of,
    unknown,
)
from edgesparse.encode.narrow.drop import Dropped
from edgesparse.encode.requantisation import wrap_int32
from edgesparse.model import Model, Node, Quantization, Tensor
from edgesparse.ops import Conv2DOptions, DepthwiseConv2DOptions, FullyConnectedOptions


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What became of a tensor's channels.

    width: how many it has in the model.  kept: those that the device has, in order.  constants: the
    others' values, without those that nobody reads and whose values nobody knows: [1, 1], or
    [height, width] where they differ from place to place.
    """

    width: int
    kept: tuple[int, ...]
    constants: Mapping[int, NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A model with fewer channels, and which tensors have lost some."""

    model: Model
    narrowings: Mapping[int, Narrowing]


def _kept(dropped: Dropped, tensor: Tensor) -> NDArray[np.int64]:
    mask = dropped.get(tensor.index)
    every = np.arange(tensor.shape[-1])
    return every if mask is None else every[~mask]


def _quantization(tensor: Tensor, kept: NDArray[np.int64]) -> Quantization | None:
    """Scales of some rows of weights."""
    old = tensor.quantization
    if old is None or len(old.scales) == 1:
        return old
    points = old.zero_points
    return replace(
        old,
        scales=tuple(old.scales[i] for i in kept),
        zero_points=points if len(points) <= 1 else tuple(points[i] for i in kept),
    )


class _Rewriter:
    """Collects the new tensors and nodes of a model."""

    def __init__(self, model: Model, dropped: Dropped) -> None:
        self.model = model
        self.dropped = dropped
        self.known = constant_channels(model)
        self.tensors = list(model.tensors)

    def narrow_activations(self) -> dict[int, Narrowing]:
        found = {}
        for index, mask in self.dropped.items():
            tensor = self.model.tensors[index]
            kept = np.flatnonzero(~mask)
            self.tensors[index] = replace(tensor, shape=(*tensor.shape[:-1], len(kept)))
            values = self.known.get(index, unknown(mask.size))
            even = is_even(values)
            gone = np.flatnonzero(mask & is_known(values))
            constants = {int(i): values[:1, :1, i] if even[i] else values[:, :, i] for i in gone}
            found[index] = Narrowing(mask.size, tuple(kept.tolist()), constants)
        return found

    def add(
        self, like: Tensor, data: NDArray[np.generic], quantization: Quantization | None
    ) -> int:
        """A further constant tensor."""
        index = len(self.tensors)
        data.setflags(write=False)
        self.tensors.append(
            replace(like, index=index, shape=data.shape, data=data, quantization=quantization)
        )
        return index

    def added(self, node: Node, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Classes]:
        """What the dropped constants add to rows, see classes.split."""
        columns = self.model.tensors[node.inputs[0]].shape[-1]
        sums = sums_of(self.model, node, self.known.get(node.inputs[0], unknown(columns)))
        return split(sums.of_rows(rows), self.dropped[node.inputs[0]])

    def biases(self, node: Node, rows: NDArray[np.int64], width: int) -> tuple[int, ...]:
        """Biases with what the dropped constants add; classes of positions where that differs."""
        model = self.model
        values, classes = biases_of(model, node, width)[rows], None
        if not isinstance(node.options, DepthwiseConv2DOptions) and node.inputs[0] in self.dropped:
            amount, classes = self.added(node, rows)
            values = values + amount
        wrapped = np.array([wrap_int32(int(value)) for value in values], np.int32)
        old = node.inputs[2] if len(node.inputs) > 2 else -1
        like = model.tensors[old if old >= 0 else node.inputs[1]]
        quantization = like.quantization if old >= 0 else None
        biases = self.add(replace(like, dtype="int32"), wrapped, quantization)
        if classes is None or len(classes.amounts) == 1:
            return (biases,)
        amounts = self.add(replace(like, dtype="int16"), classes.amounts.astype(np.int16), None)
        return biases, amounts, self.add(replace(like, dtype="uint8"), classes.positions, None)

    def node(self, node: Node) -> Node:
        """The node with fewer weights, or as it is.

        Behind the biases of a CONV_2D there may be two more inputs: see classes.Classes.
        """
        options = node.options
        if not isinstance(
            options, Conv2DOptions | DepthwiseConv2DOptions | FullyConnectedOptions
        ) or self.dropped.keys().isdisjoint((node.inputs[0], *node.outputs)):
            return node
        weights = self.model.tensors[node.inputs[1]]
        assert weights.data is not None  # check_supported has seen to it
        result = self.model.tensors[node.outputs[0]]
        rows = _kept(self.dropped, result)
        if isinstance(options, DepthwiseConv2DOptions):
            data = weights.data[..., rows]
        else:
            columns = _kept(self.dropped, self.model.tensors[node.inputs[0]])
            data = weights.data[rows]
            data = data[..., columns] if node.inputs[0] in self.dropped else data
        narrow = self.add(weights, np.ascontiguousarray(data), _quantization(weights, rows))
        biases = self.biases(node, rows, result.shape[-1])
        return replace(node, inputs=(node.inputs[0], narrow, *biases))


def rewrite(model: Model, dropped: Dropped) -> Narrowed:
    """Take channels out of a model: `dropped` is what droppable found."""
    if not dropped:
        return Narrowed(model, {})
    rewriter = _Rewriter(model, dropped)
    narrowings = rewriter.narrow_activations()
    nodes = tuple(rewriter.node(node) for node in model.nodes)
    return Narrowed(replace(model, tensors=tuple(rewriter.tensors), nodes=nodes), narrowings)
