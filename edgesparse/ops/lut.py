"""Operators that are a function of one int8: the host makes a table, the device looks it up.

Source: activations.cc in tensorflow/lite/kernels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from edgesparse import lut
from edgesparse.errors import ModelError
from edgesparse.lut import Affine, Table
from edgesparse.ops.base import Op, operand
from edgesparse.ops.checks import check_activation, check_same_shape

if TYPE_CHECKING:
    from edgesparse.model import Model, Node


@dataclass(frozen=True, slots=True)
class LutOptions(Op):
    """A function of one int8; what all of them share."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127.  Raises ModelError where TFLite has none."""
        raise NotImplementedError

    def check(self, model: Model, node: Node) -> list[str]:
        """Return the reasons why the node is not supported; none: it is."""
        return check_lut(self, model, node)

    def table(self, model: Model, node: Node) -> Table:
        """Return the node's table; it must be supported."""
        source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
        return self.values(Affine(*source.affine()), Affine(*result.affine()))


def check_lut(options: LutOptions, model: Model, node: Node) -> list[str]:
    """Reasons against a node that becomes a table."""
    source, result = operand(model, node, 0), model.tensors[node.outputs[0]]
    reasons = check_activation("input", source) + check_activation("output", result)
    if reasons or source is None:
        return reasons
    reasons = check_same_shape(source, result)
    try:
        options.table(model, node)
    except ModelError as error:
        reasons.append(error.message)
    return reasons


@dataclass(frozen=True, slots=True)
class ReluOptions(LutOptions):
    """RELU."""

    LOW: ClassVar[float] = 0.0
    HIGH: ClassVar[float | None] = None

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.relu(source, result, self.LOW, self.HIGH)


@dataclass(frozen=True, slots=True)
class Relu6Options(ReluOptions):
    """RELU6."""

    HIGH: ClassVar[float | None] = 6.0


@dataclass(frozen=True, slots=True)
class ReluN1To1Options(ReluOptions):
    """RELU_N1_TO_1."""

    LOW: ClassVar[float] = -1.0
    HIGH: ClassVar[float | None] = 1.0


@dataclass(frozen=True, slots=True)
class LeakyReluOptions(LutOptions):
    """LEAKY_RELU; inputs below 0 are multiplied by alpha."""

    alpha: float

    OPTIONS: ClassVar[str | None] = "LeakyReluOptions"

    @classmethod
    def parse(cls, table: Any) -> LeakyReluOptions:
        """Return the options held by a LeakyReluOptions table."""
        return cls(float(table.Alpha()))

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.leaky_relu(source, result, self.alpha)


@dataclass(frozen=True, slots=True)
class HardSwishOptions(LutOptions):
    """HARD_SWISH."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.hard_swish(source, result)


@dataclass(frozen=True, slots=True)
class LogisticOptions(LutOptions):
    """LOGISTIC."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.logistic(source, result)


@dataclass(frozen=True, slots=True)
class TanhOptions(LutOptions):
    """TANH."""

    def values(self, source: Affine, result: Affine) -> Table:
        """Return the outputs of -128 ... 127."""
        return lut.tanh(source, result)
