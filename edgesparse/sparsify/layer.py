"""Layers whose weights can become zero, and their weights as real numbers.

Magnitudes are in float64, the exact product of a float32 scale and an int8 code, so that equal
weights under one scale tie exactly, and weights of different output channels compare as real
numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import ModelError
from edgesparse.model import Model, Node, Tensor
from edgesparse.ops import weight_index

THINNED_OPS = ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D")
"""Operators whose weights can be set to zero; the last one only where that is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A node and its tensor of constant weights.

    names: the first parts of the names of its output and of its weights.  TFLite joins the names of
    all operators that were fused with ';', and those behind the first can be another layer's.
    """

    node: Node
    tensor: Tensor
    names: tuple[str, ...]


def layers_of(model: Model) -> list[Layer]:
    """Return the layers of a supported model that have weights to thin, in running order.

    Weights that several nodes read appear once for each of them.
    """
    found = []
    for node in model.nodes:
        index = weight_index(node) if node.op in THINNED_OPS else None
        if index is None:
            continue
        found.append(Layer(node, model.tensors[index], names_of(model, node)))
    return found


def names_of(model: Model, node: Node) -> tuple[str, ...]:
    """Return the first part of the name of a node's output, then of its weights'.

    A tensor without a name goes by its index, as "#7".
    """
    indices = [*node.outputs[:1], weight_index(node)]
    full = [model.tensors[index].label for index in indices if index is not None]
    return tuple(dict.fromkeys(name.split(";", maxsplit=1)[0] for name in full))


def real_weights(tensor: Tensor) -> NDArray[np.float64]:
    """Return scale · code of constant int8 weights, in real units and the tensor's shape.

    Raises ModelError for a tensor without values or scales.
    """
    if tensor.data is None or tensor.quantization is None:
        raise ModelError(f"tensor '{tensor.label}' has no values or no scales")
    scales = np.array(tensor.quantization.scales, dtype=np.float64)
    if scales.size > 1:
        along = [1] * tensor.data.ndim
        along[tensor.quantization.axis] = scales.size
        scales = scales.reshape(along)
    return np.asarray(tensor.data.astype(np.float64) * scales)


def magnitudes(tensor: Tensor) -> NDArray[np.float64]:
    """Return |scale · code| of constant int8 weights; shape, units and errors as real_weights."""
    return np.abs(real_weights(tensor))


def span(tensor: Tensor) -> float:
    """Return max w - min w over the real weights of a layer.

    Source: A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast On-the-fly Retraining-free
    Sparsification of Convolutional Neural Networks", 2018, where thresholds are fractions of it.
    """
    return float(np.ptp(real_weights(tensor)))
