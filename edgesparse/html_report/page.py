"""The document of a report as one HTML file, which needs nothing else and fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from edgesparse import __version__
from edgesparse.html_report import charts
from edgesparse.names import short_name

__all__ = ["render_page"]

_NONE = "-"


def _percent(share: float | None) -> str:
    return _NONE if share is None else f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.0f}"


def _ratio(value: float | None) -> str:
    return _NONE if value is None else f"{value:.2f}x"


def _zip(first: Iterable[Any], *others: Iterable[Any]) -> list[tuple[Any, ...]]:
    return list(zip(first, *others, strict=True))


def _text(name: str) -> Markup:
    """A file beside this one, to go into the page as it is."""
    source = resources.files(__package__).joinpath("templates", name)
    return Markup(source.read_text(encoding="utf-8"))  # noqa: S704


def render_page(report: Mapping[str, Any]) -> str:
    """Return the HTML of what gather_report() returns."""
    environment = Environment(
        loader=PackageLoader("edgesparse.html_report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=_percent, number=_number, ratio=_ratio, short=short_name, zip=_zip
    )
    environment.globals.update(
        line=charts.line,
        box_plot=charts.box_plot,
        histogram=charts.histogram,
        paired_bars=charts.paired_bars,
        style=_text("style.css"),
        script=_text("sort.js"),
        version=__version__,
    )
    return environment.get_template("report.html.j2").render(report)
