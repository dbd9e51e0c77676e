"""Channels that need not exist: everyone who reads them does without.

The largest such choice is found by starting with all channels of all eligible tensors and taking
back, until nothing changes, those that some operator cannot do without:

- CONV_2D and FULLY_CONNECTED do without an input channel whose sum is known, or is 0, for every
  output channel that stays; where the sum differs from place to place, only a CONV_2D for which
  amounts by class of position pay (classes.py);
- DEPTHWISE_CONV_2D, ADD, poolings and tables have the same channels before and behind;
- a free RESHAPE repeats the channels of its input; all other operators need everything.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.edges import device_input, device_output
from edgesparse.encode.narrow.classes import may_have_classes, pays, split
from edgesparse.encode.narrow.constants import (
    Values,
    constant_channels,
    sums_of,
    unknown,
    weights_of,
)
from edgesparse.model import Model, Node
from edgesparse.ops import (
    AddOptions,
    Conv2DOptions,
    DepthwiseConv2DOptions,
    FullyConnectedOptions,
    PadOptions,
)
from edgesparse.ops.lut import LutOptions
from edgesparse.ops.pooling import Pool2DOptions

Dropped = dict[int, NDArray[np.bool_]]
"""Per tensor and channel whether it goes; tensors that keep all channels are left out."""

_MULTIPLE = 4
"""Kernels take channels four at a time; a tensor that allows that goes on to do so."""


def _values_of(model: Model, known: dict[int, Values], index: int) -> Values:
    return known.get(index, unknown(model.tensors[index].shape[-1]))


def _stays(dropped: Dropped, index: int, width: int) -> NDArray[np.bool_]:
    return ~dropped[index] if index in dropped else np.ones(width, np.bool_)


def _need_of_matrix(
    model: Model, node: Node, values: Values, *, steady: bool
) -> Callable[[Dropped], None]:
    """The input channels whose sums are not known in rows that stay.

    steady: nor are those that differ from place to place.
    """
    sums = sums_of(model, node, values)
    known = sums.steady if steady or not may_have_classes(model, node, sums) else sums.known
    source, result = node.inputs[0], node.outputs[0]

    def take_back(dropped: Dropped) -> None:
        if source in dropped:
            dropped[source] &= known[_stays(dropped, result, len(known))].all(axis=0)

    return take_back


def _need_all(node: Node) -> Callable[[Dropped], None]:
    def take_back(dropped: Dropped) -> None:
        for index in (*node.inputs, *node.outputs):
            dropped.pop(index, None)

    return take_back


def _need_alike(
    node: Node, tensors: tuple[int, ...], repeats: int, *, tiled: bool
) -> Callable[[Dropped], None]:
    """The last tensor's channels are those of the others, each `repeats` times.

    tiled: as 0 1 2 0 1 2, else as 0 0 1 1 2 2.
    """
    result = tensors[-1]

    def take_back(dropped: Dropped) -> None:
        if not all(index in dropped for index in tensors):
            _need_all(node)(dropped)
            return
        shape = (repeats, -1) if tiled else (-1, repeats)
        alike = dropped[result].reshape(shape).all(axis=0 if tiled else 1)
        for index in tensors[:-1]:
            alike = alike & dropped[index]
        for index in tensors[:-1]:
            dropped[index] = alike
        dropped[result] = np.tile(alike, repeats) if tiled else np.repeat(alike, repeats)

    return take_back


def _need_of(
    model: Model, node: Node, known: dict[int, Values], *, steady: bool
) -> Callable[[Dropped], None]:
    """What takes back the channels that a node cannot do without; steady: see _need_of_matrix."""
    options = node.options
    if not node.inputs or node.inputs[0] < 0 or not node.outputs or ops.on_host(model, node):
        return _need_all(node)
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    ends = (source.index, result.index)
    if not source.shape or not result.shape:
        return _need_all(node)
    if isinstance(options, Conv2DOptions) or (
        isinstance(options, FullyConnectedOptions)
        and source.shape[-1] == model.tensors[node.inputs[1]].shape[1]
    ):
        values = _values_of(model, known, source.index)
        return _need_of_matrix(model, node, values, steady=steady)
    if isinstance(options, DepthwiseConv2DOptions):
        return _need_alike(node, ends, options.depth_multiplier, tiled=False)
    if isinstance(options, AddOptions):
        same = all(model.tensors[index].shape == result.shape for index in node.inputs)
        return (
            _need_alike(node, (*node.inputs, result.index), 1, tiled=True)
            if same
            else _need_all(node)
        )
    pads = isinstance(options, PadOptions) and options.paddings(model, node)[-1] == (0, 0)
    if pads or isinstance(options, LutOptions | Pool2DOptions):
        return _need_alike(node, ends, 1, tiled=True)
    if options.IS_FREE and result.shape[-1] % source.shape[-1] == 0:
        return _need_alike(node, ends, result.shape[-1] // source.shape[-1], tiled=True)
    return _need_all(node)


def _eligible(model: Model) -> Dropped:
    """All channels of all int8 tensors that nodes compute and only nodes read."""
    kept = {device_output(model, index) for index in model.outputs}
    kept |= {*model.outputs, *model.inputs} | {device_input(model, i) for i in model.inputs}
    found: Dropped = {}
    for node in model.nodes:
        for index in node.outputs:
            tensor = model.tensors[index]
            if index not in kept and tensor.dtype == "int8" and tensor.shape:
                found[index] = np.ones(tensor.shape[-1], np.bool_)
    return found


def _settle(dropped: Dropped, needs: list[Callable[[Dropped], None]]) -> None:
    """Take back until nothing changes; last nodes first, as most needs lead backwards."""
    while True:
        before = {index: mask.copy() for index, mask in dropped.items()}
        for take_back in reversed(needs):
            take_back(dropped)
        if before.keys() == dropped.keys() and all(
            np.array_equal(before[index], mask) for index, mask in dropped.items()
        ):
            return


def _surplus(mask: NDArray[np.bool_]) -> int:
    """How many more channels have to stay: at least one, and whole fours where it had those."""
    kept = mask.size - int(np.count_nonzero(mask))
    wanted = max(kept, 1)
    if mask.size % _MULTIPLE == 0:
        wanted = -(-wanted // _MULTIPLE) * _MULTIPLE
    return wanted - kept


def _largest(model: Model, known: dict[int, Values], steady: set[int]) -> Dropped:
    """The largest choice, where the nodes of these indices get no classes."""
    needs = [_need_of(model, n, known, steady=n.index in steady) for n in model.nodes]
    dropped = _eligible(model)
    _settle(dropped, needs)
    while True:
        short = next((i for i, mask in sorted(dropped.items()) if _surplus(mask)), None)
        if short is None:
            return {index: mask for index, mask in dropped.items() if mask.any()}
        mask = dropped[short]
        mask[np.flatnonzero(mask)[: _surplus(mask)]] = False
        _settle(dropped, needs)


def _does_not_pay(model: Model, known: dict[int, Values], dropped: Dropped, node: Node) -> bool:
    """Whether a convolution gets classes that do not fit, or for which too few channels go."""
    if not isinstance(node.options, Conv2DOptions) or node.inputs[0] not in dropped:
        return False
    sums = sums_of(model, node, _values_of(model, known, node.inputs[0]))
    rows = _stays(dropped, node.outputs[0], len(sums.known))
    sums, gone = sums.of_rows(rows), dropped[node.inputs[0]]
    uneven = gone & ~sums.steady.all(axis=0)
    if not uneven.any():
        return False
    classes = split(sums, gone)[1]
    weights = np.count_nonzero(weights_of(model, node)[rows][..., uneven])
    return not (classes.fits and pays(classes, int(np.count_nonzero(uneven)), int(weights)))


def droppable(model: Model) -> Dropped:
    """Return the channels that a supported model does without.

    Every tensor keeps a channel, and a multiple of four where it had that.
    """
    known = constant_channels(model)
    steady: set[int] = set()
    while True:
        dropped = _largest(model, known, steady)
        dear = {n.index for n in model.nodes if _does_not_pay(model, known, dropped, n)}
        if not dear:
            return dropped
        steady |= dear
