"""PADs that a convolution does on its own: their output is never written.

A PAD with zero points around height and width, read by one VALID convolution and by nobody else,
becomes that convolution's padding.  What it adds below and to the right follows from the output's
size.  It stays a node of its own where it adds more above or to the left than a filter reaches.
"""

from __future__ import annotations

from dataclasses import replace

from edgesparse.encode.lower import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import Conv2DOptions, DepthwiseConv2DOptions, PadOptions
from edgesparse.ops.movement import is_padding_of_image

__all__ = ["folded_pads", "with_padding"]


def _reader(model: Model, pad: Node) -> Node | None:
    """The VALID convolution that alone reads a PAD's output, or None."""
    result = pad.outputs[0]
    readers = model.consumers(result)
    if result in model.outputs or len(readers) != 1 or readers[0].inputs[0] != result:
        return None
    options = readers[0].options
    if not isinstance(options, Conv2DOptions | DepthwiseConv2DOptions):
        return None
    return readers[0] if options.padding == "VALID" else None


def _fits(model: Model, pad: Node, reader: Node) -> bool:
    options, window = pad.options, reader.options
    assert isinstance(options, PadOptions)
    assert isinstance(window, Conv2DOptions | DepthwiseConv2DOptions)
    source, result = model.tensors[pad.inputs[0]], model.tensors[pad.outputs[0]]
    paddings = options.paddings(model, pad)
    if not is_padding_of_image(source, paddings):
        return False
    if options.fill_value(model, pad) != result.affine()[1]:
        return False
    geometry = window.geometry(model, reader)
    reach_h = (geometry.kernel_h - 1) * geometry.dilation_h
    reach_w = (geometry.kernel_w - 1) * geometry.dilation_w
    return paddings[1][0] <= reach_h and paddings[2][0] <= reach_w


def folded_pads(model: Model) -> dict[int, Node]:
    """The PADs that are folded, by the index of the convolution that takes each in."""
    found = {}
    for node in model.nodes:
        if not isinstance(node.options, PadOptions):
            continue
        reader = _reader(model, node)
        if reader is not None and _fits(model, node, reader):
            found[reader.index] = node
    return found


def with_padding(model: Model, pad: Node, candidate: Candidate) -> Candidate:
    """A candidate for the convolution behind a folded PAD: it reads what the PAD reads."""
    options = pad.options
    assert isinstance(options, PadOptions)
    _, in_h, in_w, _ = model.tensors[pad.inputs[0]].shape
    _, (top, _), (left, _), _ = options.paddings(model, pad)
    params = {**candidate.params, "in_h": in_h, "in_w": in_w, "pad_top": top, "pad_left": left}
    return replace(candidate, params=params, inputs=pad.inputs[:1])
