"""One trial: an assignment, measured.  The same function for every runner.

What a trial has in common with its base up to the first layer that differs is not computed again: a
worker keeps the base's tensors for all rows and runs the rest of the network from there
(rows.run_tensors), which gives the same values to the bit.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from edgesparse import native
from edgesparse.activations import profile_fed
from edgesparse.describe import weight_counts
from edgesparse.edges import device_output
from edgesparse.encode import Goal, Zeros, encode
from edgesparse.encode.cost import CYCLES, INSTRUCTIONS
from edgesparse.encode.predict import predicted
from edgesparse.errors import TargetError
from edgesparse.image import build_image
from edgesparse.model import Model, parse_model
from edgesparse.rows import Rows, follows, has_state, logits_of, run_tensors
from edgesparse.sparsify.compensate.allocate import output_distance
from edgesparse.sparsify.evaluate import classes_of
from edgesparse.tune.space import Assignment, Space

__all__ = ["Evaluator", "Job", "Result", "Trial", "install", "run_trial"]

CACHE_BYTES = 512 * 2**20
"""Tensors of a base that a worker keeps at most, the small ones first."""


@dataclass(frozen=True, slots=True, eq=False)
class Job:
    """What all trials of a search have in common; goes to every worker once.

    Args:
        tflite: the model's bytes.
        name: its name.
        depthwise: whether its depthwise layers are among those of the space.
        rows: what the device is given, by index of the tensor; see rows.device_rows.
        judged: which of these rows count, as numbers; all run for a model that keeps state.
        classes: what each of the judged rows should give.
        goal: what the kernels are chosen for.
        profile: rows of the device's inputs that tell the zeros of activations, as rows.
        build_id: of the native module; a worker with another one would give other results.
        calibration: rows of the device's inputs that compensation is calibrated on.
        activation_thresholds: whether those are part of the space.
    """

    tflite: bytes
    name: str
    depthwise: bool
    rows: Mapping[int, Rows]
    judged: NDArray[np.int64]
    classes: NDArray[np.int64]
    goal: Goal
    profile: Mapping[int, Rows]
    build_id: bytes
    calibration: Mapping[int, Rows] = field(default_factory=dict)
    activation_thresholds: bool = False

    def key(self) -> str:
        """Tells jobs of one worker apart."""
        found = hashlib.sha256(self.tflite + self.build_id + repr(self.goal).encode())
        found.update(repr((self.depthwise, self.activation_thresholds)).encode())
        for arrays in (self.rows, self.profile, self.calibration):
            for array in arrays.values():
                found.update(array.tobytes())
        found.update(self.judged.tobytes() + self.classes.tobytes())
        return found.hexdigest()

    def space(self) -> Space:
        """The layers of the model."""
        model = parse_model(self.tflite, name=self.name)
        return Space.of(
            model,
            depthwise=self.depthwise,
            calibration=self.calibration,
            activation_thresholds=self.activation_thresholds,
        )

    def zeros_of(self, model: Model) -> Mapping[int, Zeros]:
        """The zeros that a model has in its activations, by what the rows of the profile give."""
        return profile_fed(model, self.profile, "rows of the search").zeros

    def costs(self, model: Model, zeros: Mapping[int, Zeros]) -> dict[str, int]:
        """What a model costs: predicted "cycles" and "instructions", "bytes" of its image.

        zeros: to expect in its activations.
        """
        encoded = encode(model, goal=self.goal, zeros=zeros)
        return {
            "cycles": predicted(encoded, zeros, CYCLES),
            "instructions": predicted(encoded, zeros, INSTRUCTIONS),
            "bytes": len(build_image(encoded).device_bytes()),
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """An assignment to measure.

    stage: what it is for, for people.  base: an assignment that has its first layers in common.
    """

    stage: str
    assignment: Assignment
    base: Assignment


@dataclass(frozen=True, slots=True)
class Result:
    """What a trial gave; its fields are keys of the store's lines.

    right: of `rows` rows; lost, gained: those that the dense model alone has right, and those that
    it alone has wrong.  distance: of the logits from those of the dense model, see
    sparsify.compensate.allocate.output_distance.  predicted_cycles, predicted_instructions: of an
    inference on the goal's core, with the zeros in activations that this very model has on the rows
    of the profile.  flash_bytes: of the image.  zeros, weights: in all layers that can be thinned.
    seconds: that it took.
    """

    right: int
    rows: int
    lost: int
    gained: int
    distance: float
    predicted_cycles: int
    predicted_instructions: int
    flash_bytes: int
    zeros: int
    weights: int
    seconds: float
    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    @property
    def accuracy(self) -> float:
        """Right ones a row."""
        return self.right / self.rows

    def cost(self, optimize: str) -> int:
        """What is to become small: "cycles", "instructions" or "bytes"."""
        costs = {
            "cycles": self.predicted_cycles,
            "instructions": self.predicted_instructions,
            "bytes": self.flash_bytes,
        }
        return costs[optimize]


@dataclass(frozen=True, slots=True, eq=False)
class _Base:
    """An assignment, its model, and as many of its tensors as can be kept."""

    assignment: Assignment
    model: Model
    tensors: Mapping[int, Rows]


class Evaluator:
    """Measures trials of one job in this process.  Several threads may do so at once."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._space = job.space()
        self._model = self._space.model
        self._output = device_output(self._model, self._model.outputs[0])
        self._logits = logits_of(self._model)
        self._lock = Lock()
        self._dense = _Base(self._space.dense, self._model, self._tensors(self._model, {}))
        self._dense_right = self._right(self._dense.tensors)
        self._base = self._dense

    def measure(self, trial: Trial) -> Result:
        """The result of a trial.  Raises what Space.thin and encode raise."""
        start = time.perf_counter()
        base = self._base_of(trial.base)
        thinned = self._thinned(trial.assignment, base)
        known = self._given(trial.assignment, base)
        found = run_tensors(thinned, known, [self._output, *self._logits], threads=1)
        right = self._right(found)
        costs = self._job.costs(thinned, self._job.zeros_of(thinned))
        counts = [weight_counts(thinned, layer.node) for layer in self._space.layers]
        return Result(
            right=int(right.sum()),
            rows=len(right),
            lost=int((self._dense_right & ~right).sum()),
            gained=int((right & ~self._dense_right).sum()),
            distance=output_distance(
                self._logits, self._judged(self._dense.tensors), self._judged(found)
            ),
            predicted_cycles=costs["cycles"],
            predicted_instructions=costs["instructions"],
            flash_bytes=costs["bytes"],
            zeros=sum(zeros for _, zeros in counts),
            weights=sum(weights for weights, _ in counts),
            seconds=round(time.perf_counter() - start, 3),
        )

    def _judged(self, tensors: Mapping[int, Rows]) -> dict[int, Rows]:
        """The logits of the judged rows."""
        return {index: tensors[index][self._job.judged] for index in self._logits}

    def _right(self, tensors: Mapping[int, Rows]) -> NDArray[np.bool_]:
        """Which of the judged rows are right."""
        classes = classes_of(self._model, tensors[self._output][self._job.judged])
        return np.asarray(classes == self._job.classes)

    def _thinned(self, assignment: Assignment, base: _Base) -> Model:
        """The model of an assignment, with the base's weights where it has them."""
        if assignment.rules == base.assignment.rules:
            return self._space.cut(base.model, assignment)
        return self._space.thin(assignment)[0]

    def _given(self, assignment: Assignment, base: _Base) -> dict[int, Rows]:
        """What of a base's tensors holds for an assignment as well.

        A layer that is compensated depends on all others, unless all have their rules.
        """
        if has_state(self._model):
            return dict(self._job.rows)
        ours, theirs = assignment, base.assignment
        same_rules = ours.rules == theirs.rules
        rules = enumerate(zip(ours.rules, theirs.rules, strict=True))
        changed = [
            i
            for at, (a, b) in rules
            if a != b or (a.compensate and not same_rules)
            for i in self._space.reached(at)
        ]
        for output, a, b in zip(self._space.outputs, ours.fractions, theirs.fractions, strict=True):
            changed += output.node.outputs if a != b else ()
        later = follows(self._model, changed)
        return {i: values for i, values in base.tensors.items() if i not in later}

    def _base_of(self, assignment: Assignment) -> _Base:
        """A base; the last one is kept."""
        with self._lock:
            if assignment == self._space.dense:
                return self._dense
            if assignment != self._base.assignment:
                model = self._thinned(assignment, self._dense)
                known = self._given(assignment, self._dense)
                self._base = _Base(assignment, model, self._tensors(model, known))
            return self._base

    def _tensors(self, model: Model, known: Mapping[int, Rows]) -> Mapping[int, Rows]:
        """All tensors of a model that can be kept, and what is needed to judge it."""
        given = {**self._job.rows, **known}
        wanted = [self._output, *self._logits]
        if not has_state(model):
            count = len(self._job.judged)
            sizes = {
                i: model.tensors[i].elements
                for node in model.nodes
                for i in node.outputs
                if model.tensors[i].dtype == "int8"
            }
            room = CACHE_BYTES
            for index in sorted(sizes, key=sizes.__getitem__):
                room -= sizes[index] * count
                if room >= 0:
                    wanted.append(index)
        return {**self._job.rows, **run_tensors(model, given, wanted, threads=1)}


_evaluators: dict[str, Evaluator] = {}


def install(job: Job) -> None:
    """Make this process ready for trials of a job.

    Raises TargetError where the native module was built from other sources than the search's.
    """
    if native.build_id() != job.build_id:
        raise TargetError(
            "a worker has another build of edgesparse",
            hint="install the same version on every worker",
        )
    key = job.key()
    if key not in _evaluators:
        _evaluators.clear()
        _evaluators[key] = Evaluator(job)


def run_trial(key: str, trial: Trial) -> Result:
    """Measure a trial of the job with this key, which `install` has made known."""
    return _evaluators[key].measure(trial)
