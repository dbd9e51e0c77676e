"""Sizes of layers and ranges of outputs: pure functions of numbers, no tensors.

Source: tensorflow/lite/kernels/padding.h and kernel_util.cc.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from edgesparse.errors import ModelError

_CLIPS: dict[str, tuple[float | None, float | None]] = {
    "NONE": (None, None),
    "RELU": (0.0, None),
    "RELU_N1_TO_1": (-1.0, 1.0),
    "RELU6": (0.0, 6.0),
}


@dataclass(frozen=True, slots=True)
class WindowGeometry:
    """Sizes of a convolution or a pooling, in elements; each pair is (height, width)."""

    batches: int
    in_h: int
    in_w: int
    in_c: int
    out_h: int
    out_w: int
    out_c: int
    kernel_h: int
    kernel_w: int
    stride_h: int
    stride_w: int
    dilation_h: int
    dilation_w: int
    pad_top: int
    pad_left: int

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """The output's shape, NHWC."""
        return self.batches, self.out_h, self.out_w, self.out_c


@dataclass(frozen=True, slots=True)
class MatrixGeometry:
    """Sizes of a FULLY_CONNECTED layer: [batches, columns] times [units, columns] transposed."""

    batches: int
    columns: int
    units: int


def window_axis(
    padding: str, in_size: int, kernel: int, stride: int, dilation: int = 1
) -> tuple[int, int]:
    """Return (output size, padding before) along one axis of a sliding window.

    An odd padding puts its extra element behind.  The output size is 0 or less where a VALID window
    does not fit.  Source: ComputeOutSize and ComputePaddingWithOffset in padding.h.
    """
    extent = (kernel - 1) * dilation + 1
    if padding == "SAME":
        out_size = (in_size + stride - 1) // stride
    else:
        out_size = (in_size + stride - extent) // stride
    total = max(0, (out_size - 1) * stride + extent - in_size)
    return out_size, total // 2


def window_geometry(
    padding: str,
    in_shape: tuple[int, ...],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
    out_c: int,
) -> WindowGeometry:
    """Return the sizes of a window sliding over an input of shape [N, H, W, C]."""
    batches, in_h, in_w, in_c = in_shape
    out_h, pad_top = window_axis(padding, in_h, kernel[0], stride[0], dilation[0])
    out_w, pad_left = window_axis(padding, in_w, kernel[1], stride[1], dilation[1])
    sizes = (batches, in_h, in_w, in_c, out_h, out_w, out_c)
    return WindowGeometry(*sizes, *kernel, *stride, *dilation, pad_top, pad_left)


def clip_codes(activation: str, scale: float, zero_point: int) -> tuple[int | None, int | None]:
    """Return where a fused activation clips, as codes that may lie beyond int8; None: it does not.

    The clip value is divided by the output scale in float32 and rounded half away from zero.
    Raises ModelError for an activation that does not clip, and where a clip leaves int32, as TFLite
    does.  Source: CalculateActivationRangeQuantized in kernel_util.cc.
    """
    if activation not in _CLIPS:
        raise ModelError(f"fused activation {activation} is not supported")

    def quantized(real: float | None) -> int | None:
        if real is None:
            return None
        with np.errstate(over="ignore"):
            quotient = float(np.float32(real) / np.float32(scale))
        if not -(2.0**31) <= quotient <= 2.0**31:
            raise ModelError(f"fused activation {activation} overflows at output scale {scale!r}")
        return zero_point + int(math.copysign(math.floor(abs(quotient) + 0.5), quotient))

    low, high = _CLIPS[activation]
    return quantized(low), quantized(high)


def activation_range(activation: str, scale: float, zero_point: int) -> tuple[int, int]:
    """Return (least, greatest) int8 output that a fused activation lets through.

    Raises what clip_codes raises.
    """
    low, high = clip_codes(activation, scale, zero_point)
    least = -128 if low is None else max(-128, low)
    greatest = 127 if high is None else min(127, high)
    return least, greatest
