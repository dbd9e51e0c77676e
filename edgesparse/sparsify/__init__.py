"""Model and policy to Model: which weights become zero."""

from __future__ import annotations

from edgesparse.sparsify.granularity import GRANULARITIES
from edgesparse.sparsify.threshold import METHODS, LayerSparsity, sparsify

__all__ = ["GRANULARITIES", "METHODS", "LayerSparsity", "sparsify"]
