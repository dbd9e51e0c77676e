"""One self-contained HTML file that shows what runs measured; see `edgesparse report`."""

from edgesparse.html_report.gather import gather_report
from edgesparse.html_report.page import render_page

__all__ = ["gather_report", "render_page"]
