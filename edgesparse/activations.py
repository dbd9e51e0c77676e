"""How many zeros to expect in activations: from input rows, from an earlier run, or assumed.

Kernels that skip zero activations pay where there are enough of them, so the choice of kernels
depends on what a model is fed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgesparse.edges import device_input, device_output
from edgesparse.encode import Zeros
from edgesparse.errors import UsageError
from edgesparse.inputs import Inputs
from edgesparse.meta import LayerMeta, Meta, ProfileMeta, TensorZerosMeta
from edgesparse.model import Model
from edgesparse.rows import Rows, count_zeros, device_part, device_rows, fast_image, root_of
from edgesparse.telemetry.log import open_log
from edgesparse.telemetry.runs import RunResult

__all__ = [
    "ASSUMED_AFTER_RELU",
    "Profile",
    "assumed",
    "profile_fed",
    "profile_rows",
    "profile_run",
]

ASSUMED_AFTER_RELU = 0.4
"""Share of zeros behind a ReLU where nothing is known: the least of the public models on real
inputs, layers with more being the rule."""

_RELUS = ("RELU", "RELU6")


@dataclass(frozen=True, slots=True)
class Profile:
    """Shares of zeros by index of the tensor in the .tflite.

    source: where they come from, for people.  rows: runs that they are the mean of; 0: assumed.
    """

    source: str
    rows: int
    zeros: Mapping[int, Zeros]

    def meta(self) -> ProfileMeta:
        """As it is kept in the image."""
        tensors = tuple(
            TensorZerosMeta(
                tensor=i,
                mean=round(each.mean, 6),
                spread=round(each.spread, 6),
                pairs=None if each.pairs is None else round(each.pairs, 6),
            )
            for i, each in sorted(self.zeros.items())
        )
        return ProfileMeta(source=self.source, rows=self.rows, tensors=tensors)


def assumed(model: Model) -> Profile:
    """ASSUMED_AFTER_RELU for what a ReLU gives, its zero the least value; no zeros elsewhere."""
    found: dict[int, Zeros] = {}
    for node in model.nodes:
        activation = getattr(node.options, "activation", node.op)
        if activation in _RELUS:
            found |= dict.fromkeys(node.outputs, Zeros(ASSUMED_AFTER_RELU))
    return Profile(f"assumed: {ASSUMED_AFTER_RELU:g} behind a ReLU", 0, found)


class _Shares:
    """Shares of zeros of tensors, run by run; of pairs of zeros over all runs."""

    def __init__(self) -> None:
        self._by_tensor: dict[int, list[float]] = {}
        self.pairs: dict[int, float] = {}

    def add(self, tensors: Iterable[int], zeros: int, elements: int) -> None:
        for tensor in tensors:
            self._by_tensor.setdefault(tensor, []).append(zeros / elements)

    def profile(self, source: str, runs: int) -> Profile:
        zeros = {
            i: Zeros(float(np.mean(shares)), float(np.std(shares)), self.pairs.get(i))
            for i, shares in self._by_tensor.items()
        }
        return Profile(source, runs, zeros)


def _add_layer(shares: _Shares, model: Model, layer: LayerMeta, zeros: int) -> None:
    if layer.activations:
        shares.add(model.nodes[layer.index].outputs, zeros, layer.activations)


def _pairs(values: Rows, zero_point: int) -> float:
    """Share of pairs that are both zero, see encode.Zeros; of [rows, elements]."""
    zeros = values == zero_point
    fours = np.pad(zeros, ((0, 0), (0, -zeros.shape[1] % 4)), constant_values=True)
    fours = fours.reshape(-1, 4)
    return float(np.mean(fours[:, :2] & fours[:, 2:]))


def _vectors(model: Model, fed: Mapping[int, Rows]) -> list[int]:
    """What FULLY_CONNECTED reads, whose kernels may skip by pairs."""
    read = {node.inputs[0] for node in model.nodes if node.op == "FULLY_CONNECTED"}
    return sorted({root_of(model, index, fed) for index in read})


def profile_rows(model: Model, inputs: Inputs, rows: Sequence[int], source: str) -> Profile:
    """Run rows on this computer: the zeros are the same with all kernels.

    Raises what rows_for raises.
    """
    return profile_fed(model, device_rows(model, inputs, rows), source)


def profile_fed(model: Model, fed: Mapping[int, Rows], source: str) -> Profile:
    """As profile_rows, of rows that are given as the device gets them; see rows.device_rows."""
    vectors = _vectors(model, fed)
    outputs = {device_output(model, index) for index in model.outputs}
    wanted = sorted(outputs.union(vectors) - fed.keys())
    part = device_part(model, fed, wanted)
    image = fast_image(part)
    counted, values = count_zeros(image, [fed[index] for index in part.inputs])
    shares = _Shares()
    for counts in counted:
        for node, zeros in zip(image.nodes, counts, strict=True):
            _add_layer(shares, part, image.meta.layers[node["layer"]], int(zeros))
    for index, rows in fed.items():
        for row in rows == model.tensors[index].affine()[1]:
            shares.add([index], int(np.count_nonzero(row)), row.size)
    known = {**fed, **dict(zip(wanted, values, strict=True))}
    shares.pairs = {i: _pairs(known[i], model.tensors[i].affine()[1]) for i in vectors}
    return shares.profile(source, len(counted))


def _check_same(model: Model, meta: Meta, folder: Path) -> None:
    """Raise UsageError unless a run was of this model, however thinned."""
    mine = [(node.op, model.tensors[i].elements) for node in model.nodes for i in node.outputs[:1]]
    theirs = [(layer.op, layer.activations) for layer in meta.layers]
    same = len(meta.layers) == len(model.nodes) and all(
        layer.op == node.op for layer, node in zip(meta.layers, model.nodes, strict=True)
    )
    if not same or not set(theirs) & set(mine):
        raise UsageError(f"{folder} is the log of a run of another model, {meta.name}")


def profile_run(model: Model, folder: Path) -> Profile:
    """The zeros that the log of an earlier run counted.

    Raises UsageError where there is no log, no run in it, or it is of another model.
    """
    log = open_log(folder)
    setup = log.setup
    runs = [result for result in log.results() if isinstance(result, RunResult)]
    _check_same(model, setup.meta, folder)
    shares = _Shares()
    for run in runs:
        for record in run.layers:
            layer = setup.meta.layers[record.layer]
            _add_layer(shares, model, layer, record.activation_zeros)
        row = run.run % setup.rows
        for index, meta, zeros in zip(
            model.inputs, setup.meta.inputs, setup.input_zeros, strict=True
        ):
            shares.add([device_input(model, index)], zeros[row], max(math.prod(meta.shape), 1))
    if not runs:
        raise UsageError(f"{folder} has no whole run to take the zeros from")
    return shares.profile(f"the run in {folder.name}", len(runs))
