"""Charts as inline SVG: colours come from the page's style, which knows dark mode and print.

Every chart has a `viewBox` and no fixed width, and a `<title>` for those who cannot see it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from markupsafe import Markup, escape

__all__ = ["box_plot", "histogram", "line", "paired_bars"]

_LINE_WIDTH, _LINE_HEIGHT = 240, 36
_MOST_POINTS = 240
_BOX_WIDTH, _BOX_HEIGHT = 120, 14
_BINS_WIDTH, _BINS_HEIGHT = 128, 36
_ROW_HEIGHT, _NAME_WIDTH, _BARS_WIDTH = 26, 150, 480


def _svg(kind: str, width: float, height: float, title: str, parts: Iterable[str]) -> Markup:
    head = f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" role="img">'
    return Markup(f"{head}<title>{escape(title)}</title>{''.join(parts)}</svg>")  # noqa: S704


def _thinned(values: Sequence[float]) -> list[float]:
    """At most _MOST_POINTS values, means of neighbours."""
    if len(values) <= _MOST_POINTS:
        return list(values)
    return [float(np.mean(part)) for part in np.array_split(np.asarray(values), _MOST_POINTS)]


def _points(values: Sequence[float]) -> list[str]:
    """Shares, 0 to 1, as points from the left to the right edge; one share is a line too."""
    thinned = _thinned(values)
    drawn = thinned * 2 if len(thinned) == 1 else thinned
    step = _LINE_WIDTH / (len(drawn) - 1)
    inner = _LINE_HEIGHT - 4
    return [f"{i * step:.1f},{2 + inner * (1 - value):.1f}" for i, value in enumerate(drawn)]


def line(course: Mapping[str, Sequence[float]], title: str) -> Markup:
    """Mean shares, 0 to 1, one after another, and from least to most behind them."""
    rows = (2, 18, 34)
    grid = (f'<line class="grid" x1="0" x2="{_LINE_WIDTH}" y1="{y}" y2="{y}"/>' for y in rows)
    around = [*_points(course["least"]), *reversed(_points(course["most"]))]
    band = f'<polygon class="band" points="{" ".join(around)}"/>'
    drawn = f'<polyline class="line" points="{" ".join(_points(course["mean"]))}"/>'
    return _svg("over-time", _LINE_WIDTH, _LINE_HEIGHT, title, (*grid, band, drawn))


def box_plot(spread: Mapping[str, float], title: str) -> Markup:
    """Five quantiles of shares, 0 to 1, on an axis from 0 to 1."""
    at = {name: _BOX_WIDTH * value for name, value in spread.items()}
    middle = _BOX_HEIGHT / 2
    width = max(at["q3"] - at["q1"], 1.0)
    level = f'y1="{middle:g}" y2="{middle:g}"'
    parts = (
        f'<line class="grid" x1="0" x2="{_BOX_WIDTH}" {level}/>',
        f'<line class="line" x1="{at["min"]:.1f}" x2="{at["max"]:.1f}" {level}/>',
        f'<rect class="fill" x="{at["q1"]:.1f}" y="2" width="{width:.1f}" height="10"/>',
        f'<line class="median" x1="{at["median"]:.1f}" x2="{at["median"]:.1f}" y1="1" y2="13"/>',
    )
    return _svg("over-inputs", _BOX_WIDTH, _BOX_HEIGHT, title, parts)


def histogram(counts: Sequence[int], title: str) -> Markup:
    """Counts of bins, side by side, the greatest at full height."""
    most = max(*counts, 1)
    width = _BINS_WIDTH / len(counts)
    parts = []
    for i, count in enumerate(counts):
        height = (_BINS_HEIGHT - 2) * count / most
        top = _BINS_HEIGHT - 1 - height
        box = (
            f'x="{i * width + 0.5:.1f}" width="{width - 1:.1f}" y="{top:.1f}" height="{height:.1f}"'
        )
        parts.append(f'<rect class="fill" {box}/>')
    base = _BINS_HEIGHT - 0.5
    parts.append(f'<line class="axis" x1="0" x2="{_BINS_WIDTH}" y1="{base}" y2="{base}"/>')
    return _svg("histogram", _BINS_WIDTH, _BINS_HEIGHT, title, parts)


def paired_bars(rows: Sequence[tuple[str, float, float]], title: str) -> Markup:
    """Rows of a name and two amounts, before and after, the greatest of all at full width."""
    most = max((max(before, after) for _, before, after in rows), default=1.0) or 1.0
    parts = []
    for i, (name, before, after) in enumerate(rows):
        top = i * _ROW_HEIGHT
        parts.append(f'<text x="0" y="{top + 16}">{escape(name[:22])}</text>')
        for kind, value, y in (("before", before, top + 4), ("fill", after, top + 13)):
            width = _BARS_WIDTH * value / most
            box = f'x="{_NAME_WIDTH}" y="{y}" width="{width:.1f}" height="8"'
            hover = f"<title>{escape(name)}: {value:,.0f}</title>"
            parts.append(f'<rect class="{kind}" {box}>{hover}</rect>')
    height = _ROW_HEIGHT * max(len(rows), 1)
    return _svg("costs", _NAME_WIDTH + _BARS_WIDTH, height, title, parts)
