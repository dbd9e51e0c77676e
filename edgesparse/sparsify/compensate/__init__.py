"""Compensation: zeros without retraining or labels, the weights that stay make up for the others.

Layer by layer in running order, on calibration rows: x are the inputs of the layer behind those
already pruned, t what the layer's accumulators were in the dense network.  Weights go by the
Optimal Brain Surgeon, in groups of any granularity; those that stay solve the least squares problem
of t from x; local search finds int8 codes for them; the bias keeps the mean of every output.  At
last all layers are searched together, towards the dense network's outputs.

::

    augment.py    more calibration rows than there are
    layer.py      a layer as a matrix, and what it is multiplied with
    moments.py    all that least squares needs to know of the rows
    trace.py      the order in which each row loses its groups of weights
    support.py    which weights of a layer stay
    rounding.py   int8 codes by local search
    solve.py      all of that for one layer
    plan.py       how many groups of a layer go
    allocate.py   how the zeros of a network are shared out among its layers
    steps.py      operators with their gradients
    repair.py     all layers together
    run.py        the whole network
    recipe.py     which rows a recipe is calibrated on, and how near the outputs are at the end
"""

from __future__ import annotations

from edgesparse.sparsify.compensate.plan import Wanted
from edgesparse.sparsify.compensate.run import (
    ALLOCATIONS,
    compensate,
    compensate_model,
    measure_sensitivity,
    share_out,
)

__all__ = [
    "ALLOCATIONS",
    "Wanted",
    "compensate",
    "compensate_model",
    "measure_sensitivity",
    "share_out",
]
