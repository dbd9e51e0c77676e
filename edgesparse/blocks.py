"""Blocks: named groups of layers that get rows of their own in reports.

The zeros of a block's weights are those of all its layers; the zeros of its activations are those
of the last activation in it, which is what the block hands on.

Source: D. Loroch et al., "Sparsity in Deep Neural Networks - An Empirical Investigation with
TensorQuant", 2018, which reports sparsity by the scopes of a network.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from rich import box
from rich.table import Table

from edgesparse.errors import UsageError
from edgesparse.meta import BlockMeta
from edgesparse.model import Model
from edgesparse.names import scope_parts
from edgesparse.ops import DECLARATIONS
from edgesparse.sparsify.layer import names_of
from edgesparse.sparsify.policy import Policy, matches, no_match

_SUMMED = ("macs", "macs_done", "weights", "weight_zeros", "encoded_bytes", "count")
_LAST = ("activations", "activation_zeros")


def find_blocks(model: Model, policy: Policy | None) -> tuple[BlockMeta, ...]:
    """Return a policy's blocks, or where it has none, those of the scopes in the tensor names.

    Raises UsageError where neither gives any, and for a pattern that matches no layer.
    """
    if policy is not None and policy.blocks:
        return policy_blocks(model, policy)
    blocks = scope_blocks(model)
    if not blocks:
        raise UsageError(
            "the tensor names have no scopes to make blocks of",
            hint="name the blocks in a policy: [[block]] with name and match",
        )
    return blocks


def policy_blocks(model: Model, policy: Policy) -> tuple[BlockMeta, ...]:
    """Return a policy's blocks.  Raises UsageError for a pattern that matches no layer."""
    names = [names_of(model, node) for node in model.nodes]
    found = []
    for block in policy.blocks:
        hits: set[int] = set()
        for pattern in block.match:
            matching = {
                node.index
                for node, own in zip(model.nodes, names, strict=True)
                if matches(pattern, own)
            }
            if not matching:
                raise no_match(pattern, (name for own in names for name in own), "layer")
            hits |= matching
        found.append(BlockMeta(name=block.name, layers=tuple(sorted(hits))))
    return tuple(found)


def scope_blocks(model: Model) -> tuple[BlockMeta, ...]:
    """Return the blocks that scopes in the layers' names make, in running order.

    Of a name a/b/c the last part is the layer's own; a layer belongs to the first scope below those
    that all names with a scope have in common, and to no block where that leaves none.
    """
    scopes: dict[int, list[str]] = {}
    for node in model.nodes:
        names = () if node.op in DECLARATIONS else names_of(model, node)
        parts = scope_parts(names[0])[:-1] if names else []
        if parts:
            scopes[node.index] = parts
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*scopes.values(), strict=False))
    common = len(list(shared))
    blocks: dict[str, list[int]] = {}
    for index, parts in scopes.items():
        if len(parts) > common:
            blocks.setdefault(parts[common], []).append(index)
    return tuple(BlockMeta(name=name, layers=tuple(layers)) for name, layers in blocks.items())


def block_rows(
    blocks: Sequence[BlockMeta], layers: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return a row for each block from the rows of all layers, for JSON.

    MACs, weights, zeros of weights, bytes and counts are sums over the block's layers; activations
    and their zeros are those of its last layer that has any, `last_layer`.
    """
    rows = []
    for block in blocks:
        own = [layers[index] for index in block.layers]
        row: dict[str, Any] = {"name": block.name, "layers": list(block.layers)}
        row |= {key: sum(each[key] for each in own) for key in _SUMMED if key in own[0]}
        last = next((each for each in reversed(own) if each["activations"]), own[-1])
        row |= {"last_layer": last["index"]} | {key: last[key] for key in _LAST if key in last}
        rows.append(row)
    return rows


def render_blocks(rows: Sequence[dict[str, Any]]) -> Table:
    """Return the rows of an analysis as a table for people."""
    table = Table(title="blocks", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column("block", no_wrap=True)
    for name in ("layers", "MACs", "weights", "zero %", "encoded\nbytes", "activations"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        share = f"{100 * row['weight_zeros'] / row['weights']:.1f}" if row["weights"] else ""
        numbers = (row["macs"], row["weights"])
        table.add_row(
            row["name"],
            str(len(row["layers"])),
            *(f"{number:,}" for number in numbers),
            share,
            f"{row['encoded_bytes']:,}",
            f"{row['activations']:,}",
        )
    return table
