"""What is drawn on a terminal again and again, in its place."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, RenderableType
from rich.live import Live

__all__ = ["Screen"]


class Screen:
    """A place on a terminal; where the console is none, nothing is drawn.

    Args:
        console: where to.
        draw: gives what there is to show.
        every_s: the least time from one drawing to the next.
    """

    def __init__(
        self, console: Console, draw: Callable[[], RenderableType], *, every_s: float
    ) -> None:
        self._console = console
        self._draw = draw
        self._every_s = every_s
        self._live: Live | None = None
        self._drawn = 0.0

    @property
    def is_used(self) -> bool:
        """Whether anything was drawn."""
        return self._live is not None

    def refresh(self) -> None:
        """Draw anew, if the last time is long enough ago."""
        if not self._console.is_terminal or time.monotonic() - self._drawn < self._every_s:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._draw(), refresh=True)
        self._drawn = time.monotonic()

    def close(self) -> None:
        """Leave the last state there, if anything was drawn."""
        if self._live is not None:
            self._live.update(self._draw())
            self._live.stop()
