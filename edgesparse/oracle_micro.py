"""TFLite Micro's interpreter behind the interface of TFLite's, as far as edgesparse.oracle needs it.

For Pythons that have no tflite-runtime and no early enough ai-edge-litert: TFLite Micro's reference
kernels give the same values.  It runs fewer operators on float tensors than TFLite.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray
from tflite_micro.python.tflite_micro import runtime

__all__ = ["Interpreter", "OpResolverType"]

_OVERHEAD_BYTES = 1 << 20
"""Room for what the interpreter notes about a model, beside its tensors."""


class OpResolverType(Enum):
    """Which kernels run; there is only one kind here."""

    BUILTIN_REF = 0


class Interpreter:
    """Runs the first subgraph of a model.

    Args:
        model_content: a .tflite file.
        experimental_op_resolver_type: as TFLite's interpreter takes it.
        experimental_preserve_all_tensors: the same; the tensors that are read have to be outputs.

    Raises RuntimeError for a model that it does not run.
    """

    def __init__(
        self,
        model_content: bytes,
        experimental_op_resolver_type: OpResolverType = OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors: bool = False,
    ) -> None:
        del experimental_op_resolver_type, experimental_preserve_all_tensors
        graph = tflite.Model.GetRootAs(model_content, 0).Subgraphs(0)
        self._inputs = {graph.Inputs(i): i for i in range(graph.InputsLength())}
        self._outputs = {graph.Outputs(i): i for i in range(graph.OutputsLength())}
        self._given: dict[int, NDArray[Any]] = {}
        elements = sum(
            int(np.prod(graph.Tensors(i).ShapeAsNumpy(), dtype=np.int64))
            for i in range(graph.TensorsLength())
        )
        arena_bytes = 8 * elements + len(model_content) + _OVERHEAD_BYTES
        self._interpreter = runtime.Interpreter.from_bytes(model_content, arena_size=arena_bytes)

    def allocate_tensors(self) -> None:
        """Nothing: the arena was laid out at the start."""

    def set_tensor(self, index: int, value: NDArray[Any]) -> None:
        """Give an input its values."""
        self._given[index] = value.copy()
        self._interpreter.set_input(value, self._inputs[index])

    def invoke(self) -> None:
        """Run once.  Raises RuntimeError if that fails."""
        self._interpreter.invoke()

    def get_tensor(self, index: int) -> NDArray[Any]:
        """The values of an input, as given, or of an output, as a new array."""
        if index in self._given:
            return self._given[index].copy()
        return np.array(self._interpreter.get_output(self._outputs[index]))
