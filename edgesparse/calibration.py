"""Rows to calibrate compensation on, and what the rows left over say of its result."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edgesparse.errors import UsageError
from edgesparse.inputs import Inputs
from edgesparse.model import Model
from edgesparse.sparsify.evaluate import Accuracy, agreement, evaluate

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_ROWS", "Calibration", "drawn", "judged", "working"]

MOST_ROWS = 500
"""Rows that are taken unless it is said which; more cost time and gain little."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rows of an input file; their labels are not used."""

    inputs: Inputs
    rows: tuple[int, ...]

    @property
    def others(self) -> list[int]:
        """The rows that are left over."""
        taken = set(self.rows)
        return [row for row in range(self.inputs.rows) if row not in taken]


def drawn(inputs: Inputs, *, among: Sequence[int] | None = None) -> Calibration:
    """Half of the rows, or all of those named, at most MOST_ROWS.

    Drawn by a fixed seed, since rows often come in an order that a regular choice would fall in
    with; where there are labels, every class gives its share.
    """
    named = np.arange(inputs.rows) if among is None else np.asarray(among, np.int64)
    wanted = -(-inputs.rows // 2) if among is None else len(named)
    first = _in_turn(inputs, named)[: min(wanted, MOST_ROWS)]
    return Calibration(inputs, tuple(np.sort(first).tolist()))


def _in_turn(inputs: Inputs, named: NDArray[np.int64]) -> NDArray[np.int64]:
    """The rows named, such that the first of them have the classes of all."""
    order = np.random.default_rng(0).permutation(len(named))
    labels = np.zeros(inputs.rows, np.int64) if inputs.y is None else inputs.y
    place = np.empty(len(named))
    for label in np.unique(labels[named]):
        of_class = order[labels[named[order]] == label]
        place[of_class] = (np.arange(len(of_class)) + 0.5) / len(of_class)
    return np.asarray(named[np.argsort(place, kind="stable")])


def span(inputs: Inputs, first: int, end: int, source: str) -> Calibration:
    """The rows from one to before another.  Raises UsageError where there are not as many."""
    if end > inputs.rows:
        raise UsageError(f"{source} has rows 0-{inputs.rows - 1}, not up to {end - 1}")
    return Calibration(inputs, tuple(range(first, end)))


def judged(calibration: Calibration, dense: Model, thin: Model) -> dict[str, Any]:
    """How the rows left over fare.

    agreement: how many keep their class; accuracy: how many are right before and after, where there
    are labels.  None where no rows are left over.
    """
    inputs, others = calibration.inputs, calibration.others
    document: dict[str, Any] = {
        "rows": len(calibration.rows),
        "agreement": None,
        "accuracy": None,
    }
    if others:
        document["agreement"] = _as_document(agreement(thin, dense, inputs, others))
        if inputs.y is not None:
            before, after = evaluate(dense, inputs, others), evaluate(thin, inputs, others)
            document["accuracy"] = {"dense": _as_document(before), "thin": _as_document(after)}
    return document


def _as_document(found: Accuracy) -> dict[str, Any]:
    return {"share": found.share, "standard_error": found.standard_error, "rows": found.rows}


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show on stderr, if that is a terminal, what is being done; yields how to tell it."""
    console = Console(stderr=True, highlight=False)
    with console.status(what) as status:
        yield lambda now: status.update(f"{what}: {now}")
