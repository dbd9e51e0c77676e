"""Which runs a deployment asks for, and which of them reset a model's state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from edgesparse.deploy.run import _Plan, _results
from edgesparse.deploy.session import FLAG_RESET_STATE

ROWS = [np.arange(6, dtype=np.int8).reshape(3, 2)]


class Recorder:
    """Stands for a session; notes the row and the flags of each run."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, bool]] = []

    def run(self, first_row: int, count: int, *, flags: int = 0) -> Iterator[int]:
        self.runs += [(first_row + i, flags == FLAG_RESET_STATE) for i in range(count)]
        return iter(range(count))

    def run_from_link(self, inputs: Sequence[bytes], *, flags: int = 0) -> int:
        self.runs.append((inputs[0][0] // 2, flags == FLAG_RESET_STATE))
        return 0


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize(
    ("reset", "rows_with_reset"), [("none", ()), ("first", (0,)), ("all", (0, 1, 2))]
)
def test_runs_and_resets(batch: bool, reset: str, rows_with_reset: tuple[int, ...]) -> None:
    session: Any = Recorder()
    assert len(list(_results(session, ROWS, _Plan(7, 3, batch, reset)))) == 7
    order = [0, 1, 2, 0, 1, 2, 0]
    assert session.runs == [(row, row in rows_with_reset) for row in order]


@pytest.mark.parametrize("batch", [True, False])
def test_a_single_run(batch: bool) -> None:
    session: Any = Recorder()
    assert len(list(_results(session, ROWS, _Plan(1, 3, batch, "first")))) == 1
    assert session.runs == [(0, True)]
