"""Trials as lines of a file: the first says of which search, each other one is a trial.

A search with compensation has a line more for each granularity: the curves of its layers.

A line is written in one piece as soon as its trial is done, so that whatever stops a search leaves
a file that can be read, and starting it again repeats nothing.  A result does not depend on which
strategy asked for it, so another strategy or budget goes on with the same file.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from edgesparse.errors import FormatError, UsageError
from edgesparse.files import append_line, read_lines
from edgesparse.sparsify import Rule
from edgesparse.sparsify.compensate.allocate import SHARES
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.trial import Result, Trial

__all__ = ["CurvesOf", "SearchKey", "Store"]

CurvesOf = dict[str, tuple[float, ...]]
"""What compensated layers cost the outputs, by what a policy calls them; see allocate.Curves."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class SearchKey(_Line):
    """All that decides the result of a trial beside its assignment; the first line of the file.

    search: counts up where the same trial gives another result than before; 2: costs are predicted
    with the zeros of the trial's own model.
    """

    search: int = 2
    build: str
    model: str
    model_sha256: str
    data: str
    data_sha256: str
    compensate: bool = False
    rows: int
    depthwise: bool
    optimize: str
    cpu: str


class _LayerLine(_Line):
    match: str
    method: str
    value: tuple[float, ...]
    granularity: str
    compensate: bool = False


class _ActivationLine(_Line):
    match: str
    threshold: float


class _TrialLine(_Line, extra="allow"):
    """A trial; its other keys are the fields of Result."""

    stage: str
    accuracy: float
    policy: tuple[_LayerLine, ...]
    activations: tuple[_ActivationLine, ...] = ()

    def result(self) -> Result:
        return _RESULT.validate_python(self.model_extra)


class _CurvesLine(_Line):
    granularity: str
    curves: CurvesOf


_RESULT = TypeAdapter(Result)
_LINE: TypeAdapter[_TrialLine | _CurvesLine] = TypeAdapter(_TrialLine | _CurvesLine)


class Store:
    """The trials of a search.

    Args:
        path: the file; made if there is none.
        key: of the search.
        space: its layers.

    Raises FormatError for a file of something else, UsageError for that of another search, and
    where it cannot be written.
    """

    def __init__(self, path: Path, key: SearchKey, space: Space) -> None:
        self.path = path
        self._space = space
        self._results: dict[Assignment, Result] = {}
        self._curves: dict[str, CurvesOf] = {}
        lines = read_lines(path)
        if lines:
            self._check(lines[0], key)
        else:
            append_line(path, key.model_dump_json())
        for number, line in enumerate(lines[1:], start=2):
            self._read(number, line)

    def get(self, assignment: Assignment) -> Result | None:
        """What is known of an assignment."""
        return self._results.get(assignment)

    def add(self, trial: Trial, result: Result) -> None:
        """Keep a result."""
        policy = self._space.policy(trial.assignment)
        rules = [{"match": each.match, **asdict(each.rule)} for each in policy.layers]
        line = {"stage": trial.stage, "accuracy": result.accuracy, **asdict(result)}
        line["policy"] = rules
        if policy.activations:
            line["activations"] = [
                {"match": each.match, "threshold": each.fraction} for each in policy.activations
            ]
        append_line(self.path, json.dumps(line, ensure_ascii=False))
        self._results[trial.assignment] = result

    def curves(self, granularity: str) -> CurvesOf | None:
        """What is known of compensated layers."""
        return self._curves.get(granularity)

    def add_curves(self, granularity: str, curves: CurvesOf) -> None:
        """Keep what was measured of compensated layers."""
        line = _CurvesLine(granularity=granularity, curves=curves)
        append_line(self.path, json.dumps(line.model_dump(), ensure_ascii=False))
        self._curves[granularity] = curves

    def trials(self) -> dict[Assignment, Result]:
        """All that is known."""
        return dict(self._results)

    def _bad(self, number: int, what: str) -> FormatError:
        return FormatError(
            f"{self.path}, line {number} is not {what}",
            hint="name another file with --trials, or remove this one",
        )

    def _check(self, line: bytes, key: SearchKey) -> None:
        try:
            there = SearchKey.model_validate_json(line)
        except ValidationError as error:
            raise self._bad(1, "the head of a search") from error
        ours, theirs = key.model_dump(), there.model_dump()
        differ = next((name for name in ours if ours[name] != theirs[name]), None)
        if differ is not None:
            raise UsageError(
                f"{self.path} is of another search: {differ} {theirs[differ]}, not {ours[differ]}",
                hint="name another file with --trials, or remove this one",
            )

    def _read(self, number: int, line: bytes) -> None:
        try:
            found = _LINE.validate_json(line)
            if isinstance(found, _CurvesLine):
                is_ours = _is_whole(found.curves) and set(found.curves) <= set(self._space.patterns)
                self._curves[found.granularity] = found.curves
            else:
                is_ours = self._add(found)
        except (ValidationError, UsageError) as error:
            raise self._bad(number, "a trial") from error
        if not is_ours:
            raise self._bad(number, "a trial of this model")

    def _add(self, found: _TrialLine) -> bool:
        """Take a trial; whether it is one of this model.

        Those with thresholds are left to searches for thresholds.
        """
        result = found.result()
        rules = {
            each.match: Rule(each.method, each.value, each.granularity, each.compensate)
            for each in found.policy
        }
        if not rules.keys() <= set(self._space.patterns):
            return False
        if found.activations and not self._space.outputs:
            return True
        fractions = {each.match: each.threshold for each in found.activations}
        outputs = [output.pattern for output in self._space.outputs]
        if not fractions.keys() <= set(outputs):
            return False
        assignment = Assignment(
            tuple(rules.get(each, Rule()) for each in self._space.patterns),
            tuple(fractions.get(each, 0.0) for each in outputs),
        )
        self._results[assignment] = result
        return True


def _is_whole(curves: CurvesOf) -> bool:
    return all(len(curve) == len(SHARES) for curve in curves.values())
