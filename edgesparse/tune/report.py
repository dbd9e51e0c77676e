"""What a search shows: a bar while it runs, then tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress
from rich.table import Table
from typing_extensions import Self

from edgesparse.names import short_name
from edgesparse.tune.engine import Progress
from edgesparse.tune.trial import Result

__all__ = ["ProgressBar", "render_layers", "render_tuning"]


_STAGES = {"dense": "dense", "tuned_weights": "weights", "tuned": "tuned"}
"""Parts of the document from left to right, and what they are called."""


class ProgressBar:
    """Trials done, the best so far and the time left, on stderr; the total is an estimate.

    dense: what the best is compared with.
    """

    def __init__(self, optimize: str, *, quiet: bool) -> None:
        self.dense: Result | None = None
        self._optimize = optimize
        self._bar = RichProgress(
            TextColumn("trials"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.description}"),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=quiet),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None)

    def update(self, progress: Progress) -> None:
        """Show how far the search is."""
        self._bar.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            description=self._best(progress),
        )

    def _best(self, progress: Progress) -> str:
        if progress.best is None or self.dense is None:
            return "best: none yet"
        _, result = progress.best
        cost, dense = result.cost(self._optimize), self.dense.cost(self._optimize)
        return (
            f"best: {cost:,} {self._optimize} ({_change(dense, cost)}),"
            f" {100 * result.accuracy:.1f} % right"
        )

    def __enter__(self) -> Self:
        """Begin to show."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar away."""
        self._bar.stop()


def _change(before: float, after: float) -> str:
    return f"{100 * (after / before - 1):+.1f} %" if before else "0 %"


def _share(found: dict[str, Any]) -> str:
    return f"{100 * found['share']:.1f} ± {100 * found['standard_error']:.1f} %"


def render_layers(document: dict[str, Any]) -> Table:
    """The rules of the policy, one row a layer."""
    table = Table(title="policy", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("#", justify="right")
    for name in ("layer", "method", "granularity"):
        table.add_column(name, overflow="ellipsis", no_wrap=True)
    for name in ("value", "weights", "zero %", "then"):
        table.add_column(name, justify="right", no_wrap=True)
    thresholds = {row["index"]: row for row in document["activations"]}
    if thresholds:
        table.add_column("activations to", justify="right", no_wrap=True)
    rules = {row["index"]: row for row in document["layers"]}
    for index in sorted(rules.keys() | thresholds.keys()):
        cells = _rule_cells(rules[index]) if index in rules else [""] * 6
        name = short_name((rules.get(index) or thresholds[index])["match"])
        cut = [f"{thresholds[index]['threshold']:.4g}"] if index in thresholds else []
        table.add_row(str(index), name, *cells, *cut)
    return table


def _rule_cells(row: dict[str, Any]) -> list[str]:
    return [
        row["method"] + (", compensated" if row["compensate"] else ""),
        row["granularity"],
        " ".join(f"{each:.4g}" for each in row["value"]),
        f"{row['weights']:,}",
        f"{100 * row['zeros_before'] / row['weights']:.1f}",
        f"{100 * row['zeros_after'] / row['weights']:.1f}",
    ]


def _caption(document: dict[str, Any]) -> str:
    """What went into it, what it wrote, what to beware of."""
    trials, cost, dense = document["trials"], document["cost"], document["dense"]
    means, cpu = document["right_means"], document["cpu"]
    caption = [
        f"base: {document['base']}; right is the {means}; predicted for {cpu}",
        f"{trials['known']} trials in {trials['file']}, {trials['new']} of them new",
        f"wrote {document['output']} and {document['policy']}",
    ]
    if document["activations"]:
        caption.append(f"thresholds are in the policy alone: {document['deploy']}")
    if not document["layers"] and not document["activations"]:
        caption.append(
            f"nothing cheaper keeps the accuracy for sure: {dense['rows']} rows of the search are"
            " few, give more, a larger --max-drop or a smaller --margin"
        )
    if document["drop"]["share"] - document["drop"]["standard_error"] > document["max_drop"]:
        caption.append(
            f"the rows held out lose more than was allowed: {dense['rows']} rows of the search are"
            " few, give more, or a larger --margin"
        )
    if cost["reason"] is not None:
        caption.append(f"not measured: {cost['reason']}")
    return "\n".join(caption)


def render_tuning(document: dict[str, Any]) -> Table:
    """Dense against tuned; the last line is what it is all for.

    With activation thresholds the tuned weights alone stand between both.
    """
    stages = [name for name in _STAGES if name in document]
    found, cost = [document[name] for name in stages], document["cost"]
    dense, tuned = document["dense"], document["tuned"]
    table = Table(
        title=f"{document['model']}, accuracy may fall by {100 * document['max_drop']:g} %",
        caption=_caption(document),
        box=box.SIMPLE_HEAD,
        show_edge=False,
    )
    table.add_column("", no_wrap=True)
    named = {**_STAGES, "tuned": "and activations"} if len(stages) == 3 else _STAGES
    for name in (*(named[each] for each in stages), "change"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_row(
        f"right, {dense['held_out']['rows']} rows held out",
        *(_share(each["held_out"]) for each in found),
        f"{-100 * document['drop']['share']:+.1f} ± {100 * document['drop']['standard_error']:.1f}",
    )
    table.add_row(
        f"right, {dense['rows']} rows of the search",
        *(f"{100 * each['accuracy']:.1f} %" for each in found),
        f"{100 * (tuned['accuracy'] - dense['accuracy']):+.1f}",
    )
    table.add_row(
        "zeros in weights", *(f"{100 * each['zeros'] / each['weights']:.1f} %" for each in found)
    )
    for name, key in (
        ("bytes of flash", "flash_bytes"),
        ("predicted cycles", "predicted_cycles"),
        ("predicted instructions", "predicted_instructions"),
    ):
        _add_counts(table, name, [each[key] for each in found])
    where = "" if cost["source"] == "predicted" else f", {cost['board']}"
    unit = f"{cost['unit']} an inference, {cost['source']}{where}"
    if "count_without_skipping" in cost["dense"]:
        counts = [cost[each]["count_without_skipping"] for each in stages]
        _add_counts(table, f"{unit}, no activations skipped", counts)
    _add_counts(table, unit, [cost[each]["count"] for each in stages], style="bold")
    return table


def _add_counts(
    table: Table, name: str, counts: Sequence[float], *, style: str | None = None
) -> None:
    shown = (f"{each:,.0f}" for each in counts)
    table.add_row(name, *shown, _change(counts[0], counts[-1]), style=style)
