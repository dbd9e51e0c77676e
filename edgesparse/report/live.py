"""The table of runs while they come in."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console, RenderableType
from rich.live import Live
from typing_extensions import Self

from edgesparse.report.summary import Summary
from edgesparse.report.table import render_table, show_table
from edgesparse.telemetry.runs import RunResult, WindowResult

__all__ = ["LiveTable"]

_REFRESH_S = 0.1


class LiveTable:
    """Shows runs as they come in: again and again on a terminal, once at the end elsewhere.

    Use it as a context manager.  It shows what there is also when it is left by an error or Ctrl-C,
    unless not even one run has ended.

    Args:
        console: where to.
        summary: adds up the runs.
        log: where the run's log lies.
    """

    def __init__(self, console: Console, summary: Summary, *, log: Path | None = None) -> None:
        self._console = console
        self._summary = summary
        self._log = log
        self._live: Live | None = None
        self._shown = 0.0

    def add(self, run: RunResult | WindowResult) -> None:
        """Take a run into the summary, and show it if the last time is long enough ago."""
        self._summary.add(run)
        if not self._console.is_terminal or time.monotonic() - self._shown < _REFRESH_S:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._rendered(), refresh=True)
        self._shown = time.monotonic()

    def _rendered(self) -> RenderableType:
        return render_table(self._summary.document(), log=self._log)

    def __enter__(self) -> Self:
        """Return the table itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state."""
        if self._live is not None:
            self._live.update(self._rendered())
            self._live.stop()
        elif self._summary.runs > 0:
            show_table(self._summary.document(), log=self._log, console=self._console)
