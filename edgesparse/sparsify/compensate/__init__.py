"""Compensation: zeros without retraining or labels, the weights that stay make up for the others.

Layer by layer in running order, on calibration rows: x are the inputs of the layer behind those
already pruned, t what the layer's accumulators were in the dense network.  Weights go by the
Optimal Brain Surgeon; those that stay solve the least squares problem of t from x; local search
finds int8 codes for them; the bias keeps the mean of every output.

::

    layer.py      a layer as a matrix, and what it is multiplied with
    moments.py    all that least squares needs to know of the rows
    trace.py      the order in which each row loses its weights
    support.py    which weights of a layer stay
    rounding.py   int8 codes by local search
    solve.py      all of that for one layer
    allocate.py   how many zeros each layer gets
    run.py        the whole network
    command.py    `edgesparse compensate`
"""

from __future__ import annotations

from edgesparse.sparsify.compensate.run import (
    CompensatedLayer,
    compensate,
    measure_sensitivity,
)

__all__ = ["CompensatedLayer", "compensate", "measure_sensitivity"]
