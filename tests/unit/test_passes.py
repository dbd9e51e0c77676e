"""Which runs a deployment asks for, and which of them reset a model's state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from edgesparse.deploy.run import Options, _Plan, _results
from edgesparse.deploy.session import FLAG_HISTOGRAMS, FLAG_RESET_STATE, FROM_LINK

ROWS = [np.arange(6, dtype=np.int8).reshape(3, 2)]


class Recorder:
    """Stands for a session; notes the row and the flags of each run."""

    def __init__(self) -> None:
        self.runs: list[tuple[int, bool]] = []
        self.watched: list[dict[str, int]] = []
        self._sent = 0

    def run(self, first_row: int, count: int, *, rows: int = 0, flags: int = 0) -> Iterator[int]:
        first = self._sent if first_row == FROM_LINK else first_row
        self.runs += [
            (first + (i % rows if rows else i), flags == FLAG_RESET_STATE) for i in range(count)
        ]
        return iter(range(count))

    def watch(self, first_row: int, count: int, **options: int) -> Iterator[int]:
        self.watched.append({"first_row": first_row, "count": count} | options)
        return iter(range(count))

    def send_input(self, index: int, data: bytes) -> None:
        assert index == 0
        self._sent = data[0] // 2


@pytest.mark.parametrize("batch", [True, False])
@pytest.mark.parametrize(
    ("reset", "rows_with_reset"), [("none", ()), ("first", (0,)), ("all", (0, 1, 2))]
)
def test_runs_and_resets(batch: bool, reset: str, rows_with_reset: tuple[int, ...]) -> None:
    session: Any = Recorder()
    assert len(list(_results(session, ROWS, _Plan(7, 3, batch, reset, Options("native"))))) == 7
    order = [0, 1, 2, 0, 1, 2, 0]
    assert session.runs == [(row, row in rows_with_reset) for row in order]


@pytest.mark.parametrize("batch", [True, False])
def test_a_single_run(batch: bool) -> None:
    session: Any = Recorder()
    assert len(list(_results(session, ROWS, _Plan(1, 3, batch, "first", Options("native"))))) == 1
    assert session.runs == [(0, True)]


def test_windows_are_one_job_that_goes_round_the_rows() -> None:
    session: Any = Recorder()
    options = Options("native", every=5, rate=100, histograms=True)
    list(_results(session, ROWS, _Plan(7, 3, True, "none", options)))
    wanted = {"every": 5, "rate": 100, "rows": 3, "flags": FLAG_HISTOGRAMS}
    assert session.watched == [{"first_row": 0, "count": 7} | wanted]
    session = Recorder()
    list(_results(session, ROWS, _Plan(2, 3, False, "none", options)))
    wanted["rows"] = 0
    assert session.watched == [{"first_row": FROM_LINK, "count": 1} | wanted] * 2
