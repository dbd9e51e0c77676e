"""What activation thresholds cost, for host/fit_cost.py: tables with and without one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgesparse.model import Model, parse_model
from tests.tflite_builder import Builder

__all__ = ["code_row", "pairs"]

_SIZES = (256, 1000, 2304, 4096, 16384)
_ZERO_POINTS = (-128, 0)
"""Zeros at the end of int8 are counted in one pass with the saturated values, others apart."""
_CODES = 20


def pairs() -> Iterator[tuple[Model, Model]]:
    """Models of one operator whose output has no threshold, and the same with one."""
    for size in _SIZES:
        for zero_point in _ZERO_POINTS:
            b = Builder()
            x = b.input((1, size), 0.05, zero_point)
            b.output(b.quantize(x, 0.05, zero_point))
            model = parse_model(b.finish(), name="table")
            yield model, replace(model, thresholds={model.outputs[0]: _CODES})


def code_row(model: Model) -> NDArray[np.int8]:
    """The model's input, int8 [1, elements]: every code in turn."""
    elements = model.tensors[model.inputs[0]].elements
    return np.resize(np.arange(-128, 128), (1, elements)).astype(np.int8)
