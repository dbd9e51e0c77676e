"""Model -> the same model with fewer channels: those that are constant, or that nobody reads.

constants.py finds the channels whose values are known, drop.py those that need not exist, and
rewrite.py takes them out.
"""

from __future__ import annotations

from edgesparse.encode.narrow.drop import droppable
from edgesparse.encode.narrow.rewrite import Narrowed, Narrowing, rewrite
from edgesparse.model import Model

__all__ = ["Narrowed", "Narrowing", "narrow"]


def narrow(model: Model) -> Narrowed:
    """Take out of a supported model the channels that no output depends on, weights included.

    Indices of nodes and tensors stay; narrowed weights and biases are further tensors behind them.
    Model inputs, outputs and variables keep all their channels.
    """
    return rewrite(model, droppable(model))
