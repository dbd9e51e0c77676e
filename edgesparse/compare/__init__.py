"""Two runs of one model, layer by layer: dense against sparse, or one firmware against another."""

from edgesparse.compare.ratios import compare_documents, compare_logs
from edgesparse.compare.table import render_comparison

__all__ = ["compare_documents", "compare_logs", "render_comparison"]
