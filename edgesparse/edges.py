"""The edges of a model: which int8 tensors the device sees, and what the host does around them.

A model with inputs other than int8 starts with QUANTIZE, one with other integer outputs ends with
it, one with float outputs ends with DEQUANTIZE and perhaps a float SOFTMAX or LOG_SOFTMAX.  Those
run on the host; the device starts and ends at int8.
"""

from __future__ import annotations

from edgesparse import ops
from edgesparse.errors import UnsupportedModelError
from edgesparse.meta import HostStep, InputMeta, OutputMeta
from edgesparse.model import Model, Node
from edgesparse.ops import SoftmaxOptions


def device_input(model: Model, tensor_index: int) -> int:
    """The int8 tensor that the device is given for a model input."""
    dtype = model.tensors[tensor_index].dtype
    if dtype == "int8":
        return tensor_index
    consumers = model.consumers(tensor_index)
    if len(consumers) != 1 or consumers[0].op != "QUANTIZE":
        name = model.tensors[tensor_index].name
        reason = f"{_a(dtype)} input must go into one QUANTIZE and nowhere else"
        raise UnsupportedModelError((("INPUT", name, reason),))
    return consumers[0].outputs[0]


def _a(dtype: str) -> str:
    return f"an {dtype}" if dtype[0] in "aeio" else f"a {dtype}"


def _is_input_step(model: Model, node: Node) -> bool:
    """Whether a node makes a model input what the device takes."""
    return node.op == "QUANTIZE" and model.tensors[node.inputs[0]].dtype != "int8"


def _host_chain(model: Model, tensor_index: int) -> list[Node]:
    """Host operators that lead to a model output, first to last."""
    chain: list[Node] = []
    node = model.producer(tensor_index)
    while node is not None and ops.on_host(model, node) and not _is_input_step(model, node):
        chain.insert(0, node)
        node = model.producer(node.inputs[0])
    return chain


def device_output(model: Model, tensor_index: int) -> int:
    """The int8 tensor from which the host makes a model output."""
    chain = _host_chain(model, tensor_index)
    return chain[0].inputs[0] if chain else tensor_index


def _step(model: Model, node: Node) -> HostStep:
    source, result = model.tensors[node.inputs[0]], model.tensors[node.outputs[0]]
    if node.op in ("DEQUANTIZE", "QUANTIZE"):
        scale, zero_point = source.affine()
        step = HostStep(op=node.op, scale=scale, zero_point=zero_point)
        if node.op == "DEQUANTIZE":
            return step
        out_scale, out_zero_point = result.affine()
        to = {"dtype": result.dtype, "out_scale": out_scale, "out_zero_point": out_zero_point}
        return step.model_copy(update=to)
    beta = node.options.beta if isinstance(node.options, SoftmaxOptions) else 1.0
    return HostStep(op=node.op, beta=beta)


def input_meta(model: Model, tensor_index: int) -> InputMeta:
    """What the host must know to feed a model input."""
    tensor = model.tensors[tensor_index]
    device = model.tensors[device_input(model, tensor_index)]
    scale, zero_point = device.affine()
    source = (0.0, 0) if tensor.dtype == "float32" else tensor.affine()
    return InputMeta(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=scale,
        zero_point=zero_point,
        bytes=device.elements,
        source_scale=source[0],
        source_zero_point=source[1],
    )


def output_meta(model: Model, tensor_index: int) -> OutputMeta:
    """What the host must know to finish a model output."""
    tensor = model.tensors[tensor_index]
    device = model.tensors[device_output(model, tensor_index)]
    scale, zero_point = device.affine()
    return OutputMeta(
        name=tensor.name,
        shape=tensor.shape,
        dtype=tensor.dtype,
        scale=scale,
        zero_point=zero_point,
        steps=tuple(_step(model, node) for node in _host_chain(model, tensor_index)),
    )
