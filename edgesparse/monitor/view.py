"""What the monitor shows: a table on a terminal, elsewhere a line for each run or window."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.text import Text
from typing_extensions import Self

from edgesparse.console import widen
from edgesparse.report.summary import Summary
from edgesparse.report.table import render_table
from edgesparse.screen import Screen
from edgesparse.telemetry.record import Event, Hello
from edgesparse.telemetry.runs import BrokenRun, Ended, RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = ["View"]

_REFRESH_S = 0.25
_RATE_OVER_S = 10.0


class View:
    """Shows what a device does since its last start.  Use it as a context manager.

    Args:
        console: where to.
        notes: where lines go that are no data, such as that the device restarted.
    """

    def __init__(self, console: Console, notes: Console) -> None:
        self._console = console
        self._notes = notes
        self._screen = Screen(console, self._rendered, every_s=_REFRESH_S)
        self._summary: Summary | None = None
        self._setup: Setup | None = None
        self._log: Path | None = None
        self._ended: deque[tuple[float, int]] = deque()
        self._last: RunResult | WindowResult | None = None
        self.runs = 0
        self.broken = 0
        self.status: dict[str, Any] = {}

    def note(self, text: str) -> None:
        """Show a line, above the table if there is one."""
        (self._console if self._screen.is_used else self._notes).print(text, soft_wrap=True)

    def begin(self, setup: Setup) -> None:
        """A device was found."""
        self._setup = setup
        self._summary = Summary(setup)

    def log_to(self, folder: Path) -> None:
        """What it says goes there from now on."""
        self._log = folder
        self.note(f"log: {folder}")

    def greet(self, hello: Hello, boot: int) -> None:
        """It said who it is, for the first time since it started; what is shown starts anew."""
        assert self._setup is not None
        self._summary = Summary(self._setup)
        self._summary.greet(hello)
        self.status["device"] = (
            f"start {boot} ({hello.reset_reason.replace('_', ' ')}), {hello.cpu},"
            f" firmware {hello.build_id.hex()[:8]}"
        )

    def heard(self, event: Event) -> None:
        """Something has arrived."""
        assert self._summary is not None
        self._summary.observe(event)

    def ended(self, result: Ended) -> None:
        """A run or a window is over."""
        if isinstance(result, BrokenRun):
            if result.status != "aborted":
                self.broken += 1
                self.note(f"run {result.run} is not whole: {result.reason}")
            return
        assert self._summary is not None
        self._summary.add(result)
        runs = result.runs if isinstance(result, WindowResult) else 1
        self.runs += runs
        now = time.monotonic()
        self._ended.append((now, runs))
        while now - self._ended[0][0] > _RATE_OVER_S:
            self._ended.popleft()
        self._last = result
        if not self._console.is_terminal and not self._console.quiet:
            self._console.print(self._line(result), soft_wrap=True)
        self.refresh()

    def _line(self, result: RunResult | WindowResult) -> str:
        """A run, or the mean of those of a window."""
        assert self._setup is not None
        # Nothing is to be compared here.
        alone = Summary(self._setup.model_copy(update={"labels": None, "golden": ()}))
        alone.add(result)
        document = alone.document()
        totals, layers = document["totals"], document["layers"]
        runs = document["runs"]
        which = f"run {result.run}" if runs == 1 else f"runs {result.run}-{result.run + runs - 1}"
        parts = []
        if document["unit"] != "none":
            parts.append(f"{totals['count']:,.0f} {document['unit']}")
        if totals["macs"]:
            skipped = 100 * (totals["macs"] - totals["macs_done"]) / totals["macs"]
            parts.append(f"{skipped:.1f} % of MACs skipped")
        zeros = sum(layer["activation_zeros"] for layer in layers)
        activations = sum(layer["activations"] for layer in layers)
        parts.append(f"{100 * zeros / max(activations, 1):.1f} % zeros")
        return f"start {result.boot_id & 0xFFFF} {which}: {', '.join(parts)}"

    def refresh(self) -> None:
        """Draw the table anew, if there is a terminal and the last time is long enough ago."""
        self._screen.refresh()

    def _rendered(self) -> RenderableType:
        self.status["runs"] = f"{self.runs:,} in all{self._rate()}, {self.broken:,} not whole"
        if self._last is not None:
            self.status["last"] = self._line(self._last)
        facts = Text("\n".join(f"{name:<12}  {text}" for name, text in self.status.items()))
        if self._summary is None or self._summary.runs == 0:
            return facts
        return Group(render_table(self._summary.document(), log=self._log), facts)

    def document(self) -> dict[str, Any] | None:
        """The document of the runs since the device's last start; see report.Summary."""
        return None if self._summary is None else self._summary.document()

    def _rate(self) -> str:
        """Runs a second of late, from the end of one to the end of another."""
        if len(self._ended) < 2:
            return ""
        seconds = self._ended[-1][0] - self._ended[0][0]
        runs = sum(runs for _, runs in self._ended) - self._ended[0][1]
        return f", {runs / seconds:,.1f} a second" if seconds > 0 else ""

    def __enter__(self) -> Self:
        """Return the view itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state, also without a terminal if there was a run."""
        self._screen.close()
        if not self._screen.is_used and self._summary is not None and self._summary.runs > 0:
            widen(self._console)
            self._console.print(self._rendered())
