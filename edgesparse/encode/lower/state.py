"""READ_VARIABLE and ASSIGN_VARIABLE."""

from __future__ import annotations

from edgesparse.encode.lower.candidate import Candidate
from edgesparse.model import Model, Node
from edgesparse.ops import variable_at


def read_variable(model: Model, node: Node) -> list[Candidate]:
    """READ_VARIABLE of a value that is needed after the variable has changed."""
    variable = variable_at(model, node.inputs[0])
    count = variable.example.elements
    return [Candidate("copy_s8", {"bytes": count}, inputs=(variable.handle,))]


def assign_variable(model: Model, node: Node) -> list[Candidate]:
    """ASSIGN_VARIABLE."""
    variable = variable_at(model, node.inputs[0])
    count = variable.example.elements
    return [
        Candidate(
            "copy_s8",
            {"bytes": count},
            inputs=(node.inputs[1],),
            outputs=(variable.handle,),
        )
    ]
