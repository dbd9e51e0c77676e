"""Many rows through a model, or through a part of it, in this process.

The device's own C code runs them, compiled for the host, so that all values are those of a board.
A part of a model is a model again, with tensors in its middle for inputs and outputs; what is known
of the tensors before it need not be computed twice.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgesparse import native, ops
from edgesparse.edges import device_input, device_output, input_meta, output_meta
from edgesparse.encode import Goal, encode
from edgesparse.image import Image, build_image
from edgesparse.inputs import Inputs, rows_for
from edgesparse.model import Model, Node

__all__ = [
    "Rows",
    "count_zeros",
    "device_part",
    "device_rows",
    "fast_image",
    "follows",
    "has_state",
    "logits_of",
    "root_of",
    "run_image_rows",
    "run_tensors",
]

Rows = NDArray[np.int8]
"""The values of one tensor in every row, of shape [rows, elements]."""

_LEAST_ROWS_A_THREAD = 8


def has_state(model: Model) -> bool:
    """Whether a row's outputs depend on the rows before it."""
    return any(node.op in ops.DECLARATIONS for node in model.nodes)


def device_rows(model: Model, inputs: Inputs, rows: Sequence[int]) -> dict[int, Rows]:
    """What the device is given for rows of an input file, by the index of its int8 tensor.

    Raises FormatError for rows that do not fit the model.
    """
    arrays = rows_for([input_meta(model, index) for index in model.inputs], inputs, rows)
    return {
        device_input(model, index): array for index, array in zip(model.inputs, arrays, strict=True)
    }


def logits_of(model: Model) -> dict[int, bool]:
    """The int8 tensors from which outputs are made: before the SOFTMAX, where there is one.

    True where there is one: then a constant on all elements of a row changes nothing.
    """
    found = {}
    for output in model.outputs:
        meta = output_meta(model, output)
        is_softmax = any(step.op in ("SOFTMAX", "LOG_SOFTMAX") for step in meta.steps)
        index = device_output(model, output)
        node = model.producer(index)
        while node is not None and (node.op == "SOFTMAX" or _is_free(node)):
            is_softmax = is_softmax or node.op == "SOFTMAX"
            index = node.inputs[0]
            node = model.producer(index)
        found[index] = is_softmax
    return found


def follows(model: Model, indices: Iterable[int]) -> set[int]:
    """Some tensors and all that is computed from them."""
    found = set(indices)
    for node in model.nodes:
        if not found.isdisjoint(node.inputs):
            found.update(node.outputs)
    return found


def fast_image(model: Model) -> Image:
    """An image of dense kernels, in this process the fastest but for hardly any weights left.

    Outputs and zeros are those of any image of the model.  Raises what encode raises.
    """
    return build_image(encode(model, encoding="dense", goal=Goal(skip_activations=False)))


def run_tensors(
    model: Model,
    given: Mapping[int, Rows],
    wanted: Sequence[int],
    *,
    threads: int | None = None,
) -> dict[int, Rows]:
    """The values of int8 tensors, from those of tensors before them.

    Args:
        model: any supported model.
        given: values of tensors, by index, the same rows of each.  A model with state must be given
            its inputs, and its rows are run in order from the reset state.
        wanted: indices of the tensors to compute.
        threads: that may run rows; None: one a processor.

    Raises UnsupportedModelError for a model that cannot run, and where a tensor does not follow
    from those given.
    """
    roots = {index: root_of(model, index, given) for index in wanted}
    needed = sorted(set(roots.values()) - given.keys())
    found = dict(given)
    if needed:
        part = _part(model, given, needed)
        arrays = [given[index] for index in part.inputs]
        found |= zip(needed, run_image_rows(fast_image(part), arrays, threads=threads), strict=True)
    return {index: found[root] for index, root in roots.items()}


def run_image_rows(
    image: Image, arrays: Sequence[Rows], *, threads: int | None = None
) -> tuple[Rows, ...]:
    """An image's outputs, [rows, elements] each, for the rows of its inputs.

    Rows are shared out among threads, by default one a processor, unless the model keeps state.
    """
    data = image.device_bytes()
    rows = np.concatenate(list(arrays), axis=1)
    most = 1 if image.has_state else threads or os.cpu_count() or 1
    pieces = np.array_split(rows, max(1, min(most, len(rows) // _LEAST_ROWS_A_THREAD)))
    with ThreadPoolExecutor(len(pieces)) as pool:
        found = pool.map(lambda piece: _run(data, image, piece), pieces)
        return _outputs(image, np.concatenate(list(found)))


def count_zeros(
    image: Image, arrays: Sequence[Rows]
) -> tuple[NDArray[np.uint32], tuple[Rows, ...]]:
    """How many outputs of each device node were zeros, [rows, nodes], as the device counts them.

    Takes what run_image_rows takes; what that gives comes second.
    """
    rows = np.concatenate(list(arrays), axis=1)
    zeros = np.zeros((len(rows), len(image.nodes)), np.uint32)
    return zeros, _outputs(image, _run(image.device_bytes(), image, rows, zeros))


def _run(data: bytes, image: Image, rows: Rows, zeros: NDArray[np.uint32] | None = None) -> Rows:
    """All outputs of an image whose bytes are `data`, side by side [rows, elements]."""
    size = sum(_sizes(image))
    out = native.run_rows(data, len(rows), rows.tobytes(), out_bytes=len(rows) * size, zeros=zeros)
    return np.frombuffer(out, np.int8).reshape(len(rows), size)


def _outputs(image: Image, values: Rows) -> tuple[Rows, ...]:
    """Outputs side by side as one array each."""
    return tuple(np.split(values, np.cumsum(_sizes(image))[:-1], axis=1))


def _sizes(image: Image) -> list[int]:
    """Elements of each output."""
    return [math.prod(output.shape) for output in image.meta.outputs]


def device_part(model: Model, given: Iterable[int], wanted: Sequence[int]) -> Model:
    """All that the device runs, from its inputs `given` on; `wanted` are outputs too."""
    on_device = [node for node in model.nodes if not ops.on_host(model, node)]
    return _of_nodes(model, on_device, given, wanted)


def _is_free(node: Node) -> bool:
    return node.options.IS_FREE and node.op not in ops.DECLARATIONS


def root_of(model: Model, index: int, given: Mapping[int, Rows]) -> int:
    """The tensor whose bytes a tensor is, where that follows from RESHAPEs alone."""
    node = model.producer(index)
    while index not in given and node is not None and _is_free(node):
        index = node.inputs[0]
        node = model.producer(index)
    return index


def _part(model: Model, given: Mapping[int, Rows], wanted: Sequence[int]) -> Model:
    """The model from some tensors to others; all that the device runs, if it keeps state."""
    if has_state(model):
        return device_part(model, given, wanted)
    missing, kept = set(wanted), list[Node]()
    for node in reversed(model.nodes):
        if missing.isdisjoint(node.outputs):
            continue
        kept.append(node)
        missing |= {i for i in node.inputs if i >= 0 and not model.tensors[i].is_constant}
        missing -= given.keys()
    read = {i for node in kept for i in node.inputs}
    return _of_nodes(model, kept[::-1], [index for index in given if index in read], wanted)


def _of_nodes(
    model: Model, nodes: Sequence[Node], inputs: Iterable[int], outputs: Iterable[int]
) -> Model:
    numbered = tuple(replace(node, index=i) for i, node in enumerate(nodes))
    return replace(model, nodes=numbered, inputs=tuple(inputs), outputs=tuple(outputs))
