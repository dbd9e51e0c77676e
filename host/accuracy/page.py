"""What was measured as a table and a plot."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesparse.sparsify.evaluate import Accuracy
from host.accuracy.cache import Cache
from host.accuracy.points import Point

_MARKER = re.compile(r"(<!-- accuracy -->\n).*?(<!-- end accuracy -->)", flags=re.DOTALL)

Entry = dict[str, Any]


def entries_of(points: Sequence[Point], cache: Cache) -> list[Entry]:
    """Accuracies by model, way and share; halves together, and left out where one is missing."""
    together: dict[tuple[str, str, float], list[Any]] = {}
    for point in points:
        if point.way:
            key = (point.model, point.way, point.share)
            together.setdefault(key, []).append(cache.read(point))
    return [
        _entry(*key, [Accuracy(**each) for each in found])
        for key, found in together.items()
        if None not in found
    ]


def _entry(model: str, way: str, share: float, found: Sequence[Accuracy]) -> Entry:
    both = Accuracy(sum(each.right for each in found), sum(each.rows for each in found))
    return {
        "model": model,
        "way": way,
        "share": share,
        "accuracy": both.share,
        "standard_error": both.standard_error,
        "rows": both.rows,
    }


def table(entries: Sequence[Entry]) -> str:
    """Markdown: one row a model and a way, one column a share."""
    shares = sorted({entry["share"] for entry in entries} - {0.0})
    found = {(entry["model"], entry["way"], entry["share"]): entry for entry in entries}
    head = ["model (rows)", "way", "dense", *(f"{100 * share:g} %" for share in shares)]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(shares) + 1)]
    for name in dict.fromkeys(entry["model"] for entry in entries):
        dense = found[name, "dense", 0.0]
        ways = dict.fromkeys(e["way"] for e in entries if e["model"] == name and e["share"] > 0)
        for way in ways:
            cells = [_cell(dense), *(_cell(found.get((name, way, share))) for share in shares)]
            lines.append("| " + " | ".join([f"{name} ({dense['rows']})", way, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return f"{100 * entry['accuracy']:.1f} ± {100 * entry['standard_error']:.1f}"


def plot(entries: Sequence[Entry], path: Path) -> None:
    """One panel a model, one line a way, with the standard error."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edgesparse"  # the same file for the same numbers
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(entry["model"] for entry in entries))
    figure, panels = plt.subplots(
        -(-len(names) // 2), 2, figsize=(9, 3 * -(-len(names) // 2)), squeeze=False
    )
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    for name, panel in zip(names, panels.flat, strict=False):
        mine = [entry for entry in entries if entry["model"] == name]
        for way in dict.fromkeys(entry["way"] for entry in mine if entry["share"] > 0):
            points = [entry for entry in mine if entry["way"] in ("dense", way)]
            panel.errorbar(
                [100 * entry["share"] for entry in points],
                [100 * entry["accuracy"] for entry in points],
                [100 * entry["standard_error"] for entry in points],
                label=way,
                capsize=2,
                linewidth=1,
            )
        panel.set(title=name, xlabel="zeros, %", ylabel="accuracy, %")
        panel.grid(alpha=0.3)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize="small")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def rewritten(text: str, new: str) -> str:
    """The document with its block replaced.  SystemExit unless it has the markers once."""
    found, count = _MARKER.subn(lambda match: f"{match[1]}{new}{match[2]}", text)
    if count != 1:
        raise SystemExit("accuracy.md needs one pair of markers <!-- accuracy -->")
    return found
