"""The parts of a tensor's name: scopes with '/' between them, of operators fused with ';'."""

from __future__ import annotations

import re

# Last parts of tensor names that only say which operator wrote the tensor.
_OPERATION = re.compile(
    r"(Relu6?|BiasAdd|Conv2D|MatMul|ReadVariableOp|resource|FusedBatchNormV\d|depthwise"
    r"|AvgPool|MaxPool|Mean|Reshape|Softmax|add|add_fold|depthwise_Fold)\d*"
)


def scope_parts(name: str) -> list[str]:
    """Return the scopes in a tensor's name and, last, the layer's own part; operators left out."""
    parts = name.split(";", maxsplit=1)[0].removesuffix(":0").split("/")
    while len(parts) > 1 and _OPERATION.fullmatch(parts[-1]):
        parts.pop()
    return parts


def short_name(name: str) -> str:
    """Return the part of a tensor's name that tells it from others, for tables."""
    return scope_parts(name)[-1]
