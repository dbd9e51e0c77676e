"""The same nodes with other parameters, where a test wants what the choice would not take."""

from __future__ import annotations

from dataclasses import replace

from edgesparse.encode import Encoded, EncodedNode
from edgesparse.encode.variants import scratch_bytes


def node_with(node: EncodedNode, **params: int) -> EncodedNode:
    """A node with other parameters of its kernel."""
    other = replace(node.choice, params={**node.choice.params, **params})
    chosen = replace(node.chosen, candidate=other, scratch_bytes=scratch_bytes(other))
    return replace(node, chosen=chosen)


def with_params(encoded: Encoded, op: str, **params: int) -> Encoded:
    """The same nodes, those of one operator with other parameters."""
    nodes = (node_with(node, **params) if node.op == op else node for node in encoded.nodes)
    return replace(encoded, nodes=tuple(nodes))
