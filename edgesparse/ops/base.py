"""What all operators share: options without any, operands, names of enums."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import tflite

if TYPE_CHECKING:
    from edgesparse.model import Model, Node, Tensor


PADDINGS = {tflite.Padding.SAME: "SAME", tflite.Padding.VALID: "VALID"}
ACTIVATIONS = {
    getattr(tflite.ActivationFunctionType, name): name
    for name in ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
}


def operand(model: Model, node: Node, position: int) -> Tensor | None:
    """Return an input tensor, or None where it is left out or marked absent (-1)."""
    if position >= len(node.inputs) or node.inputs[position] < 0:
        return None
    return model.tensors[node.inputs[position]]


def enum_name(names: dict[int, str], what: str, number: int) -> str:
    """Return the name of an enum's number; `what` and the number if it has none."""
    return names.get(number, f"{what} {number}")


@dataclass(frozen=True, slots=True)
class Op:
    """Options of an operator without any, and the defaults of all the others."""

    OPTIONS: ClassVar[str | None] = None
    """Name of the flatbuffer table of options; None where nothing is read from it."""
    OPTIONAL: ClassVar[bool] = False
    """Whether the table may be missing; parse is then given None."""
    MAX_INPUTS: ClassVar[int] = 1
    """More operands than these are refused."""
    OUTPUTS: ClassVar[int | None] = 1
    """Any other number of results is refused; None: any number from one on."""
    IS_FREE: ClassVar[bool] = False
    """Whether the output is the first input's bytes in another shape."""
    HAS_WEIGHTS: ClassVar[bool] = False
    """Whether the second operand is a tensor of weights."""
    ON_HOST: ClassVar[bool] = False
    """Whether the host runs the operator, outside the image."""

    @classmethod
    def parse(cls, table: Any) -> Op:
        """Return the options held by a flatbuffer table of the type named OPTIONS."""
        del table
        return cls()

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        raise NotImplementedError

    def macs(self, model: Model, node: Node) -> int:
        """Return the multiply-accumulates of one inference, taps in the padding included."""
        del model, node
        return 0

    def weight_index(self, node: Node) -> int | None:
        """Return the index of the tensor of weights, or None."""
        return node.inputs[1] if self.HAS_WEIGHTS and len(node.inputs) > 1 else None

    def on_host(self, model: Model, node: Node) -> bool:
        """Tell whether the host runs this node."""
        del model, node
        return self.ON_HOST


@dataclass(frozen=True, slots=True)
class UnknownOptions(Op):
    """An operator that is not in OPS."""

    def check(self, model: Model, node: Node) -> list[str]:
        """Return that the operator is not supported."""
        del model, node
        return ["operator is not supported"]
