"""Model outputs: from the bytes that a device gives to the values that the .tflite gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import FormatError
from edgesparse.meta import HostStep, Meta, OutputMeta
from edgesparse.quantize import int8_to_float, log_softmax_float, requantize, softmax_float

__all__ = ["finish_output", "finish_outputs", "first_maximum", "same_values"]

FLOAT_TOLERANCE = 1e-6
"""How far a float output may be from the expected one."""


def _requantized(x: NDArray[Any], step: HostStep) -> NDArray[Any]:
    scales = (step.scale, step.out_scale)
    if step.dtype not in ("uint8", "int16") or not all(0.0 < s < math.inf for s in scales):
        raise FormatError(f"an output cannot become {step.dtype!r} by the scales {scales}")
    return requantize(
        x, (step.scale, step.zero_point), (step.out_scale, step.out_zero_point), step.dtype
    )


_STEPS: Mapping[str, Callable[[NDArray[Any], HostStep], NDArray[Any]]] = {
    "DEQUANTIZE": lambda x, step: int8_to_float(x, step.scale, step.zero_point),
    "SOFTMAX": lambda x, step: softmax_float(x, step.beta),
    "QUANTIZE": _requantized,
    "LOG_SOFTMAX": lambda x, _: log_softmax_float(x),
}


def finish_outputs(meta: Meta, outputs: Sequence[bytes]) -> list[NDArray[Any]]:
    """Return the model's outputs, each of its shape and dtype.

    Args:
        meta: of the image.
        outputs: the device's bytes of each model output.

    Raises FormatError where the bytes do not fit the model.
    """
    if len(outputs) != len(meta.outputs):
        raise FormatError(f"{len(outputs)} outputs, the model has {len(meta.outputs)}")
    return [finish_output(output, data) for output, data in zip(meta.outputs, outputs, strict=True)]


def finish_output(output: OutputMeta, data: bytes) -> NDArray[Any]:
    """Return one output from the device's bytes.  Raises what finish_outputs does."""
    if len(data) != math.prod(output.shape):
        raise FormatError(
            f"output '{output.name}' has {len(data)} bytes, its shape is {list(output.shape)}"
        )
    values: NDArray[Any] = np.frombuffer(data, dtype=np.int8).reshape(output.shape)
    for step in output.steps:
        if step.op not in _STEPS:
            raise FormatError(f"output '{output.name}' needs {step.op}, which is unknown here")
        values = _STEPS[step.op](values, step)
    return values


def first_maximum(values: NDArray[Any]) -> int:
    """Return the index of the first largest element, counted over all dimensions."""
    return int(np.argmax(values.reshape(-1)))


def same_values(values: NDArray[Any], expected: NDArray[Any]) -> bool:
    """Whether an output is the expected one: equal, or for floats within FLOAT_TOLERANCE."""
    a, b = values.reshape(-1), expected.reshape(-1)
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return a.shape == b.shape and bool(np.all(difference <= FLOAT_TOLERANCE))
