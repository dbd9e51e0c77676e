"""The table of runs while they come in."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console, RenderableType
from typing_extensions import Self

from edgesparse.report.summary import Summary
from edgesparse.report.table import render_table, show_table
from edgesparse.screen import Screen
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
        self._screen = Screen(console, self._rendered, every_s=_REFRESH_S)

    def add(self, run: RunResult | WindowResult) -> None:
        """Take a run into the summary, and show it if the last time is long enough ago."""
        self._summary.add(run)
        self._screen.refresh()

    def _rendered(self) -> RenderableType:
        return render_table(self._summary.document(), log=self._log)

    def __enter__(self) -> Self:
        """Return the table itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state."""
        self._screen.close()
        if not self._screen.is_used and self._summary.runs > 0:
            show_table(self._summary.document(), log=self._log, console=self._console)
