"""What a model is predicted to cost as it was encoded, in either unit."""

from __future__ import annotations

from collections.abc import Mapping

from edgesparse.encode.cost import Price
from edgesparse.encode.encoded import Encoded
from edgesparse.encode.job import Zeros, job_of

__all__ = ["predicted"]


def predicted(encoded: Encoded, zeros: Mapping[int, Zeros], unit: str) -> int:
    """The sum over the chosen kernels and the thresholds of their outputs, on the core of the goal.

    Args:
        encoded: from encode.
        zeros: what encode was given.
        unit: cost.CYCLES or cost.INSTRUCTIONS, whatever the goal went by.

    A kernel whose cost is not known counts as 0.
    """
    price = Price(encoded.goal.cpu, unit)
    total = 0
    for node in encoded.nodes:
        expected = zeros.get(encoded.root(node.inputs[0]), Zeros())
        total += price.cost(node.choice.kernel, job_of(node.choice, expected)) or 0
        total += price.thresholds(encoded.model, node.outputs)
    return total
