"""Cross-layer repair: all compensated layers together, towards the dense network's own outputs.

Solved one by one, layers make up for their own zeros; what is left adds up on the way.  Here the
weights that stay and the biases move on together, so that the logits, and to a lesser part each
layer's outputs, come closer to those of the dense network on the calibration rows.  Labels are not
used, zeros stay zeros, and weights are rounded to int8 in every step, so that the search sees what
the device will compute.

Some hundred rows are soon learnt by heart.  So every fifth is held back from the steps, and those
decide which network on the way is taken; the one at the start is among them.

Source of the goal: Hinton, Vinyals, Dean, "Distilling the Knowledge in a Neural Network", 2015, on
logits without labels; of the steps: Kingma, Ba, "Adam", 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops
from edgesparse.model import Model, Node
from edgesparse.rows import Rows, logits_of, run_tensors
from edgesparse.sparsify.compensate.allocate import output_distance
from edgesparse.sparsify.compensate.layer import Layer, Solution
from edgesparse.sparsify.compensate.rounding import LIMIT
from edgesparse.sparsify.compensate.steps import Step, Values, Weighted, step_of

__all__ = ["repair"]

_STEPS = 200
_LEAST_STEPS = 50
_MACS = 120e9
"""Most multiply-accumulates in all steps, which takes minutes on one core; then there are fewer."""
_BATCH = 32
_CODE_STEP = 0.5
"""Length of the first steps, in weight codes."""
_BIAS_STEP = 0.05
"""The same for biases, in steps of the layer's output."""
_HELD_BACK = 5
"""One in how many rows is held back."""
_LOOK = 25
"""After how many steps the rows held back are looked at."""
_LAYERS = 0.3
"""What the outputs of the layers weigh together against the logits."""
_FADE, _FADE_SQUARES = 0.9, 0.99


def repair(
    model: Model,
    dense: Model,
    layers: Collection[Layer],
    rows: Mapping[int, Rows],
    *,
    progress: Callable[[str], None],
) -> Model:
    """Move weights that are not zero, and biases, to bring the outputs closer to the dense ones.

    Args:
        model: the network with zeros.
        dense: the network as it was.
        layers: those of `model` whose weights may move.
        rows: calibration rows of the device's inputs.
        progress: is told how far it is.

    Layers that reach the logits through an operator without a gradient here stay as they are.
    """
    net = _Network(model)
    steps = [(layer, net.steps.get(layer.node.index)) for layer in layers]
    searched = [_Searched.of(layer, step) for layer, step in steps if isinstance(step, Weighted)]
    if not searched:
        return model
    fit, held_back = _parted(rows)
    watched = dict.fromkeys([*net.ends, *(each.layer.node.outputs[0] for each in searched)])
    given = run_tensors(model, fit, net.sources)
    goal = _Goal(model, net.ends, run_tensors(dense, fit, list(watched)))
    before = run_tensors(dense, held_back, list(net.ends))

    def distance(found: Model) -> float:
        return output_distance(net.ends, before, run_tensors(found, held_back, list(net.ends)))

    best, least = model, distance(model)
    for found in _way(model, net, searched, given, goal, progress):
        now = distance(found)
        if now < least:
            best, least = found, now
    return best


def _parted(rows: Mapping[int, Rows]) -> tuple[dict[int, Rows], dict[int, Rows]]:
    """The rows to fit, and those that are held back."""
    count = min(len(values) for values in rows.values())
    is_back = np.arange(count) % _HELD_BACK == _HELD_BACK // 2
    fit = {index: values[:count][~is_back] for index, values in rows.items()}
    return fit, {index: values[:count][is_back] for index, values in rows.items()}


def _way(
    model: Model,
    net: _Network,
    searched: Sequence[_Searched],
    given: Mapping[int, Rows],
    goal: _Goal,
    progress: Callable[[str], None],
) -> Iterator[Model]:
    """The networks on the way downhill, each _LOOK steps after the one before."""
    count = _step_count(model, net)
    picks = _batches(min(len(values) for values in given.values()), count)
    for at, pick in enumerate(picks, start=1):
        if at % 10 == 1:
            progress(f"all layers together: step {at} of {count}")
        for each in searched:
            each.put()
        values = net.forward({i: _real(model, i, array[pick]) for i, array in given.items()})
        net.backward(goal.gradients(values, pick))
        for each in searched:
            each.move(at, 0.5 + 0.5 * float(np.cos(np.pi * at / count)))
        if at % _LOOK == 0 or at == count:
            found = model
            for each in searched:
                found = each.layer.written(found, each.solution())
            yield found


def _step_count(model: Model, net: _Network) -> int:
    macs = sum(ops.macs(model, model.nodes[index]) for index in net.steps)
    return int(np.clip(_MACS / (max(macs, 1) * _BATCH), _LEAST_STEPS, _STEPS))


def _batches(rows: int, count: int) -> list[NDArray[np.int64]]:
    """Rows to look at in each step: all of them in turn, in an order drawn by a fixed seed."""
    rng = np.random.default_rng(0)
    rounds = -(-count * _BATCH // rows)
    order = np.concatenate([rng.permutation(rows) for _ in range(rounds)])
    return [order[i * _BATCH : (i + 1) * _BATCH] for i in range(count)]


def _real(model: Model, index: int, codes: Rows) -> Values:
    return codes.astype(np.float32) - np.float32(model.tensors[index].affine()[1])


class _Network:
    """The part of a model between the first gradient that is known and the logits.

    steps: by index of their node.  sources: tensors that the part is given.  ends: the logits, see
    logits_of; those of an output that the part does not reach are left out.
    """

    def __init__(self, model: Model) -> None:
        self.ends = logits_of(model)
        self.steps: dict[int, Step] = {}
        self.nodes: list[Node] = []
        self.inputs: dict[int, list[int]] = {}
        needed, blocked = set(self.ends), set[int]()
        for node in reversed(model.nodes):
            made = needed.intersection(node.outputs)
            if not made:
                continue
            inputs = [i for i in node.inputs if i >= 0 and not model.tensors[i].is_constant]
            # A tensor that also feeds an operator without gradient would get half of its own.
            step = None if made & blocked else step_of(model, node)
            if step is None:
                blocked.update(inputs)
            else:
                self.steps[node.index] = step
                self.nodes.insert(0, node)
                self.inputs[node.index] = inputs
            needed.update(inputs)
        results = {node.outputs[0] for node in self.nodes}
        read = {i for inputs in self.inputs.values() for i in inputs}
        self.sources = sorted(read - results)
        self.ends = {index: how for index, how in self.ends.items() if index in results}
        for node in self.nodes:
            step = self.steps[node.index]
            if isinstance(step, Weighted):
                step.passes_back = node.inputs[0] in results

    def forward(self, given: Mapping[int, Values]) -> dict[int, Values]:
        """The values of all tensors."""
        values = dict(given)
        for node in self.nodes:
            inputs = [values[i] for i in self.inputs[node.index]]
            values[node.outputs[0]] = self.steps[node.index].forward(inputs)
        return values

    def backward(self, gradients: dict[int, Values]) -> None:
        """Leave each step its gradients, from those of some tensors."""
        for node in reversed(self.nodes):
            back = self.steps[node.index].backward(gradients.pop(node.outputs[0]))
            for index, gradient in zip(self.inputs[node.index], back, strict=True):
                before = gradients.get(index)
                gradients[index] = gradient if before is None else before + gradient


class _Goal:
    """How far logits and layers are from the dense network's: squares over their variance."""

    def __init__(self, model: Model, ends: Mapping[int, bool], rows: Mapping[int, Rows]) -> None:
        self.model, self.ends, self.rows = model, ends, rows
        self.weights: dict[int, float] = {}
        for index, values in rows.items():
            channels = model.tensors[index].shape[-1]
            by_channel = values.reshape(-1, channels).astype(np.float32)
            is_end = index in ends
            spread = values.astype(float).var() if is_end else by_channel.var(axis=0).mean()
            share = 1.0 / len(ends) if is_end else _LAYERS / len(rows)
            self.weights[index] = share / max(float(spread), 1e-6)

    def gradients(self, values: Mapping[int, Values], pick: NDArray[np.int64]) -> dict[int, Values]:
        """Of each tensor watched; a constant on all elements before a SOFTMAX changes nothing."""
        found: dict[int, Values] = {}
        for index, array in self.rows.items():
            error = values[index] - _real(self.model, index, array[pick])
            if self.ends.get(index):
                error = error - error.mean(axis=1, keepdims=True)
            found[index] = error * np.float32(self.weights[index] / error.size)
        return found


@dataclass(slots=True)
class _Moments:
    """Means of a gradient and of its squares, which fade: Adam."""

    mean: Values
    square: Values

    @classmethod
    def like(cls, values: Values) -> _Moments:
        return cls(np.zeros_like(values), np.zeros_like(values))

    def direction(self, gradient: Values, at: int) -> Values:
        self.mean += np.float32(1 - _FADE) * (gradient - self.mean)
        self.square += np.float32(1 - _FADE_SQUARES) * (gradient**2 - self.square)
        mean = self.mean / np.float32(1 - _FADE**at)
        square = self.square / np.float32(1 - _FADE_SQUARES**at)
        direction: Values = mean / (np.sqrt(square) + np.float32(1e-12))
        return direction


@dataclass(slots=True)
class _Searched:
    """A layer on its way: real weights and bias, and which weights stay zero."""

    layer: Layer
    step: Weighted
    weights: Values
    bias: NDArray[Any]
    kept: NDArray[np.bool_]
    weight_moments: _Moments = field(init=False)
    bias_moments: _Moments = field(init=False)

    @classmethod
    def of(cls, layer: Layer, step: Weighted) -> _Searched:
        """At its beginning."""
        step.is_searched = True
        found = cls(layer, step, step.weights.copy(), step.bias.copy(), step.weights != 0)
        found.weight_moments = _Moments.like(found.weights)
        found.bias_moments = _Moments.like(step.bias)
        return found

    def codes(self) -> Values:
        """What the weights are rounded to, those that stay never to 0."""
        codes = np.clip(np.rint(self.weights), -LIMIT, LIMIT)
        codes = np.where(codes == 0, np.where(self.weights < 0, -1, 1), codes)
        return np.where(self.kept, codes, 0).astype(np.float32)

    def put(self) -> None:
        """Give the step the rounded weights and bias."""
        self.step.weights = self.codes()
        self.step.bias = np.rint(self.bias).astype(np.float32)

    def move(self, at: int, length: float) -> None:
        """One step down the gradient."""
        gradient = np.where(self.kept, self.step.weights_gradient, np.float32(0.0))
        change = self.weight_moments.direction(gradient, at)
        self.weights -= np.float32(length * _CODE_STEP) * change
        np.clip(self.weights, -LIMIT, LIMIT, out=self.weights)
        if self.layer.bias is not None:
            change = self.bias_moments.direction(self.step.bias_gradient, at)
            self.bias -= np.float32(length * _BIAS_STEP) / self.step.factors * change

    def solution(self) -> Solution:
        """The layer as it is now."""
        bias = np.rint(self.bias).astype(np.float64)
        return Solution(self.codes().astype(np.float64), bias, np.ones(len(bias)))
