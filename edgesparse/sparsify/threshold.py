"""Zero the smallest weights of each layer, by the magnitude |scale · code|.

METHODS is the table of methods; a further one is one more function and one more row.  Magnitudes
are in float64, the exact product of a float32 scale and an int8 code, so that equal weights under
one scale tie exactly, and weights of different output channels compare as real numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import ModelError, UsageError
from edgesparse.model import Model, Node, Tensor, with_weights
from edgesparse.ops import check_supported, weight_index
from edgesparse.sparsify.granularity import GRANULARITIES, group_norms

Method = Callable[[NDArray[np.float64], int], tuple[NDArray[np.bool_], float]]
"""From a layer's magnitudes (flat) and the number of zeros asked for, to the mask of the weights to
zero and the threshold (the largest magnitude zeroed; 0 where nothing is).  Groups of weights are
given by their norms."""


@dataclass(frozen=True, slots=True)
class LayerSparsity:
    """What became of one layer's weights.

    The name is that of the tensor of weights; the threshold is in real units (scale · code): no
    weight above it was zeroed.
    """

    node_index: int
    name: str
    weights: int
    zeros_before: int
    zeros_after: int
    threshold: float

    @property
    def share(self) -> float:
        """Zeros per weight, as reached."""
        return self.zeros_after / self.weights


def sparsify(
    model: Model,
    *,
    method: str,
    sparsity: float,
    depthwise: bool = False,
    granularity: str = "1x1",
) -> tuple[Model, tuple[LayerSparsity, ...]]:
    """Zero the smallest weights of every CONV_2D and FULLY_CONNECTED layer.

    Args:
        model: the model, which stays as it is.
        method: a key of METHODS.
            "none" changes nothing.
            "relative" zeroes all weights at or below the k-th smallest magnitude; ties go together,
            so that the share reached can exceed the one asked for.
            "topk" leaves exactly k zeros: ties go by position in the tensor, lowest first; a layer
            that has more than k zeros already keeps them.
        sparsity: share of zeros S asked of each layer, in 0 ... 1; k = round(S · n) of a
            layer's n weights.  k = 0 leaves a layer untouched.
        depthwise: treat DEPTHWISE_CONV_2D layers too.
        granularity: a key of GRANULARITIES.  With "1x4" four neighbouring input channels become
            zero together, by their L2 norm, and k counts such groups; layers whose rows do not
            divide into them, and depthwise ones, are treated weight by weight.

    Returns:
        The new model and one row per layer, in running order.  Weights that several nodes share are
        treated once, under the first of them.

    Raises UsageError for an unknown method or a sparsity outside 0 ... 1, UnsupportedModelError for
    a model that cannot run, ModelError where weights share their bytes with another tensor.
    """
    choose = METHODS.get(method)
    if choose is None:
        raise UsageError(f"unknown method '{method}', there are: {', '.join(METHODS)}")
    size = GRANULARITIES.get(granularity)
    if size is None:
        known = ", ".join(GRANULARITIES)
        raise UsageError(f"unknown granularity '{granularity}', there are: {known}")
    if not 0.0 <= sparsity <= 1.0:
        raise UsageError(f"sparsity {sparsity} is outside 0 ... 1")
    check_supported(model)
    arrays: dict[int, NDArray[Any]] = {}
    rows: dict[int, LayerSparsity] = {}
    for node in model.nodes:
        index = _sparsifiable_weights(node, depthwise)
        if index is None or index in rows:
            continue
        tensor = model.tensors[index]
        whole = node.op != "DEPTHWISE_CONV_2D" and math.prod(tensor.shape[1:]) % size == 0
        codes, rows[index] = _sparsify_layer(node, tensor, choose, sparsity, size if whole else 1)
        if rows[index].zeros_after != rows[index].zeros_before:
            arrays[index] = codes
    return with_weights(model, arrays) if arrays else model, tuple(rows.values())


def magnitudes(tensor: Tensor) -> NDArray[np.float64]:
    """Return |scale · code| of constant int8 weights in real units, in the tensor's shape.

    Raises ModelError for a tensor without values or scales.
    """
    if tensor.data is None or tensor.quantization is None:
        raise ModelError(f"tensor '{tensor.label}' has no values or no scales")
    scales = np.array(tensor.quantization.scales, dtype=np.float64)
    if scales.size > 1:
        along = [1] * tensor.data.ndim
        along[tensor.quantization.axis] = scales.size
        scales = scales.reshape(along)
    return np.asarray(np.abs(tensor.data.astype(np.float64) * scales))


def _sparsifiable_weights(node: Node, depthwise: bool) -> int | None:
    wanted = node.op in ("CONV_2D", "FULLY_CONNECTED")
    return weight_index(node) if wanted or (depthwise and node.op == "DEPTHWISE_CONV_2D") else None


def _sparsify_layer(
    node: Node, tensor: Tensor, choose: Method, sparsity: float, size: int
) -> tuple[NDArray[Any], LayerSparsity]:
    assert tensor.data is not None
    codes = tensor.data.copy()
    norms = group_norms(magnitudes(tensor), size)
    wanted = round(sparsity * norms.size)
    zeros_before = codes.size - int(np.count_nonzero(codes))
    threshold = 0.0
    if wanted > 0:
        mask, threshold = choose(norms, wanted)
        codes[np.repeat(mask, size).reshape(codes.shape)] = 0
    zeros_after = codes.size - int(np.count_nonzero(codes))
    row = LayerSparsity(node.index, tensor.label, codes.size, zeros_before, zeros_after, threshold)
    return codes, row


def _none(values: NDArray[np.float64], wanted: int) -> tuple[NDArray[np.bool_], float]:
    del wanted
    return np.zeros(values.shape, dtype=np.bool_), 0.0


def _relative(values: NDArray[np.float64], wanted: int) -> tuple[NDArray[np.bool_], float]:
    threshold = float(np.partition(values, wanted - 1)[wanted - 1])
    return values <= threshold, threshold


def _topk(values: NDArray[np.float64], wanted: int) -> tuple[NDArray[np.bool_], float]:
    smallest = np.argsort(values, kind="stable")[:wanted]
    mask = np.zeros(values.shape, dtype=np.bool_)
    mask[smallest] = True
    return mask, float(values[smallest[-1]])


METHODS: dict[str, Method] = {"none": _none, "relative": _relative, "topk": _topk}
"""Every method by its name on the command line."""
