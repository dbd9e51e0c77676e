"""TRANSPOSE_CONV."""

from __future__ import annotations

import numpy as np

from edgesparse import quantize
from edgesparse.encode import dense
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.requantisation import channel_rows
from edgesparse.model import Model, Node
from edgesparse.ops import TransposeConvOptions, WindowGeometry, activation_range


def transpose_conv(model: Model, node: Node) -> list[Candidate]:
    """TRANSPOSE_CONV; a row is an output channel."""
    options = node.options
    assert isinstance(options, TransposeConvOptions)
    weights, source = model.tensors[node.inputs[1]], model.tensors[node.inputs[2]]
    assert weights.data is not None  # check_supported has seen to it
    assert weights.quantization is not None
    geometry = options.geometry(model, node)
    rows = weights.data.astype(np.int8, copy=False).reshape(geometry.out_c, -1)
    bias = node.inputs[3] if len(node.inputs) > 3 else -1
    values = model.tensors[bias].data if bias >= 0 else None
    biases = np.zeros(len(rows), np.int32) if values is None else values.reshape(-1)
    in_scale, in_zero_point = source.affine()
    out_scale, out_zero_point = model.tensors[node.outputs[0]].affine()
    scales = weights.quantization.scales
    per_row = scales if len(scales) == len(rows) else scales * len(rows)
    channels = channel_rows(
        rows,
        biases.astype(np.int32),
        quantize.conv_multipliers(in_scale, per_row, out_scale),
        in_zero_point=in_zero_point,
        out_zero_point=out_zero_point,
        whole_rows=False,
    )
    act_min, act_max = activation_range(options.activation, out_scale, out_zero_point)
    params = {name: int(getattr(geometry, name)) for name in WindowGeometry.__dataclass_fields__}
    params |= {
        "in_zero_point": in_zero_point,
        "out_zero_point": out_zero_point,
        "act_min": act_min,
        "act_max": act_max,
        "band": 1,
        "list_zeros": NEVER,
    }
    kernel = "transpose_conv_dense_s8"
    encoded = dense.encode(rows)
    return [Candidate(kernel, params, encoded, channels, node.inputs[2:3], matrix=rows)]
