"""Reasons why a tensor cannot play a part in an operator.

Each function returns a list of reasons, empty where there are none, so that a model is refused with
all of them at once.  Nothing here is stricter than TFLite's reference kernels except where a limit
or a missing kernel of ours says so.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from edgesparse.errors import ModelError
from edgesparse.ops.geometry import activation_range, window_axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgesparse.model import Tensor

MAX_IMAGE_SIDE = 32767
"""Largest height and width of a convolution's or a pooling's input."""
MAX_WINDOW = 1024
"""Largest kernel side, stride and dilation."""
MAX_ELEMENTS = 2**31 - 1
"""Largest number of elements in one tensor."""
MAX_RANK = 6
"""Most dimensions of a tensor in an image."""


def check_shape(role: str, tensor: Tensor) -> list[str]:
    """Reasons against a shape: dynamic, empty or too large."""
    if not tensor.shape or min(tensor.shape) <= 0:
        return [f"{role} has shape {list(tensor.shape)}; every dimension must be fixed and above 0"]
    if len(tensor.shape) > MAX_RANK:
        return [f"{role} has {len(tensor.shape)} dimensions, more than {MAX_RANK}"]
    if tensor.elements > MAX_ELEMENTS:
        return [f"{role} has {tensor.elements} elements, more than {MAX_ELEMENTS}"]
    return []


def check_scales(role: str, scales: Sequence[float]) -> list[str]:
    """Reasons against scales: not finite, or not above 0."""
    wrong = [scale for scale in scales if not (math.isfinite(scale) and scale > 0.0)]
    return [f"{role} has scale {wrong[0]!r}; scales must be finite and above 0"] if wrong else []


def check_activation(role: str, tensor: Tensor | None, *, constant: bool = False) -> list[str]:
    """Reasons against an int8 activation; None stands for an absent operand.

    constant: whether the file may hold its values, which may then be one without dimensions.
    """
    if tensor is None:
        return [f"{role} is absent"]
    if tensor.dtype != "int8":
        return [f"{role} is {tensor.dtype}, only int8 is supported"]
    if tensor.data is not None and not constant:
        return [f"{role} is a constant, only computed activations are supported"]
    reasons = [] if tensor.data is not None and not tensor.shape else check_shape(role, tensor)
    quantization = tensor.quantization
    if quantization is None or len(quantization.scales) != 1 or len(quantization.zero_points) != 1:
        return [*reasons, f"{role} needs exactly one scale and one zero point"]
    reasons += check_scales(role, quantization.scales)
    if not -128 <= quantization.zero_points[0] <= 127:
        reasons.append(f"{role} has zero point {quantization.zero_points[0]}, outside int8")
    return reasons


def check_weights(tensor: Tensor | None, rank: int, channel_axis: int) -> list[str]:
    """Reasons against the weights of a layer whose outputs lie along channel_axis."""
    if tensor is None:
        return ["weights are absent"]
    quantization = tensor.quantization
    zero_points = quantization.zero_points if quantization is not None else ()
    nonzero = next((point for point in zero_points if point != 0), None)
    if tensor.dtype != "int8" or nonzero is not None:
        point = "" if nonzero is None else f" with zero point {nonzero}"
        return [f"weights are {tensor.dtype}{point}, only int8 with zero point 0 is supported"]
    if tensor.data is None:
        return ["weights are not constant"]
    if len(tensor.shape) != rank or min(tensor.shape) <= 0:
        return [f"weights have shape {list(tensor.shape)}, {rank} dimensions above 0 are needed"]
    if quantization is None or len(zero_points) != len(quantization.scales):
        return ["weights need scales and as many zero points"]
    count, channels = len(quantization.scales), tensor.shape[channel_axis]
    if count not in (1, channels):
        return [f"weights have {count} scales for {channels} output channels"]
    axis = quantization.axis
    if count > 1 and not (0 <= axis < rank and tensor.shape[axis] == count):
        return [f"weights are quantised along axis {axis}, not along output axis {channel_axis}"]
    return check_scales("weights", quantization.scales)


def check_bias(tensor: Tensor | None, channels: int) -> list[str]:
    """Reasons against a bias; None stands for an absent one, which is always right.

    Its scale is not looked at: TFLite ignores it in convolutions (see check_bias_scale).
    """
    if tensor is None:
        return []
    if tensor.dtype != "int32" or tensor.data is None:
        kind = "constant" if tensor.data is not None else "computed"
        return [f"bias is {kind} {tensor.dtype}, only constant int32 is supported"]
    if tensor.elements != channels:
        return [f"bias has {tensor.elements} elements for {channels} output channels"]
    if tensor.quantization is not None and any(tensor.quantization.zero_points):
        return ["bias has a zero point other than 0"]
    return []


def check_bias_scale(bias: Tensor, source: Tensor, weights: Tensor, result: Tensor) -> list[str]:
    """Reasons against the scale of a FULLY_CONNECTED bias.

    Where the weights have one scale, TFLite asks that the bias's differ from input · weight scale
    by at most 0.02 output steps.  Source: GetQuantizedConvolutionMultipler in kernel_util.cc.
    """
    scales = weights.quantization.scales if weights.quantization is not None else ()
    if len(scales) != 1:
        return []
    product, scale_out = source.affine()[0] * scales[0], result.affine()[0]
    quantization = bias.quantization
    single = quantization is not None and len(quantization.scales) == 1
    scale = quantization.scales[0] if quantization is not None and single else 0.0
    if abs(product - scale) / scale_out <= 0.02:
        return []
    return [f"bias has scale {scale!r}, input times weight scale is {product!r}"]


def check_output(tensor: Tensor, shape: tuple[int, ...], activation: str) -> list[str]:
    """Reasons against an output: its recorded shape differs, or the activation cannot be fused."""
    reasons = check_recorded(tensor, shape)
    try:
        activation_range(activation, *tensor.affine())
    except ModelError as error:
        reasons.append(error.message)
    return reasons


def check_recorded(tensor: Tensor, shape: tuple[int, ...]) -> list[str]:
    """Reasons against an output that is not recorded with the shape it is computed with."""
    if tensor.shape == shape:
        return []
    return [f"output is recorded as {list(tensor.shape)} but computed as {list(shape)}"]


def check_constant(
    role: str, tensor: Tensor | None, shapes: Sequence[tuple[int, ...] | int]
) -> list[str]:
    """Reasons against a constant operand of integers with one of these shapes or sizes.

    A size of n stands for every shape of n elements.
    """
    if tensor is None:
        return [f"{role} is absent"]
    if tensor.data is None or tensor.dtype not in ("int32", "int64"):
        kind = "constant" if tensor.data is not None else "computed"
        return [f"{role} is {kind} {tensor.dtype}, only constant int32 or int64 is supported"]
    if tensor.shape in shapes or tensor.elements in shapes:
        return []
    return [f"{role} has shape {list(tensor.shape)}, which does not fit the operator"]


def integers(tensor: Tensor) -> list[int]:
    """Return the values of a constant of integers, flat."""
    assert tensor.data is not None  # check_constant has seen to it
    return [int(value) for value in tensor.data.reshape(-1)]


def check_same_shape(source: Tensor, result: Tensor) -> list[str]:
    """Reasons against an operator that works element by element or row by row."""
    if source.shape == result.shape:
        return []
    return [f"input {list(source.shape)} and output {list(result.shape)} differ in shape"]


def check_equal_quantization(source: Tensor, result: Tensor) -> list[str]:
    """Reasons against an operator whose ends TFLite wants quantised alike to the last bit."""
    if source.affine() == result.affine():
        return []
    (scale_in, zero_in), (scale_out, zero_out) = source.affine(), result.affine()
    ends = f"scale {scale_in!r}, zero point {zero_in} to scale {scale_out!r}, {zero_out}"
    return [f"'{source.label}' and '{result.label}' must be quantised alike ({ends})"]


def check_same_quantization(source: Tensor, result: Tensor) -> list[str]:
    """Reasons against an operator that passes codes through: TFLite does not rescale in it."""
    (scale_in, zero_in), (scale_out, zero_out) = source.affine(), result.affine()
    if zero_in == zero_out and abs(scale_in - scale_out) <= 1e-6 * max(scale_in, scale_out):
        return []
    ends = f"scale {scale_in!r}, zero point {zero_in} to scale {scale_out!r}, {zero_out}"
    return [f"input and output must be quantised alike ({ends})"]


def check_probability(tensor: Tensor) -> list[str]:
    """Reasons against the output of an int8 SOFTMAX: TFLite fixes its quantisation."""
    scale, zero_point = tensor.affine()
    if zero_point == -128 and abs(scale - 1 / 256) <= 0.001 / 256:
        return []
    has = f"scale {scale!r} and zero point {zero_point}"
    return [f"output has {has}, TFLite fixes them at 1/256 and -128"]


def check_factors(source: Tensor, weights: Tensor, result: Tensor) -> list[str]:
    """Reasons against a layer's rescaling factors: TFLite's shift is undefined above 30."""
    scales = weights.quantization.scales if weights.quantization is not None else ()
    factor = source.affine()[0] * max(scales, default=0.0) / result.affine()[0]
    return ["a rescaling factor is 2**30 or more"] if factor >= 2.0**30 else []


def check_window(
    padding: str,
    source: Tensor,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    dilation: tuple[int, int],
) -> list[str]:
    """Reasons against a sliding window over an activation; each pair is (height, width)."""
    if padding not in ("SAME", "VALID"):
        return [f"{padding} is not supported"]
    if len(source.shape) != 4:
        return [f"input has shape {list(source.shape)}, 4 dimensions are needed"]
    if max(source.shape[1:3]) > MAX_IMAGE_SIDE:
        return [f"input is larger than {MAX_IMAGE_SIDE} in height or width"]
    for name, pair in (("kernel", kernel), ("stride", stride), ("dilation", dilation)):
        if min(pair) < 1 or max(pair) > MAX_WINDOW:
            return [f"{name} {list(pair)} is outside 1 ... {MAX_WINDOW}"]
    for axis in range(2):
        size = source.shape[1 + axis]
        if window_axis(padding, size, kernel[axis], stride[axis], dilation[axis])[0] < 1:
            return [f"the window does not fit into input {list(source.shape)}"]
    return []
