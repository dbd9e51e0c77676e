"""Functions of one int8: a table."""

from __future__ import annotations

from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops.lut import LutOptions


def lut(model: Model, node: Node) -> list[Candidate]:
    """Any operator whose options give a table."""
    options = node.options
    assert isinstance(options, LutOptions)
    elements = model.tensors[node.inputs[0]].elements
    constants = {"table_off": options.table(model, node).tobytes()}
    return [Candidate("lut_s8", {"count": elements}, constants=constants)]
