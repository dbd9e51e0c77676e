"""Good places to cut a network: where little has to be handed on, for the work that is done.

A network that is cut behind a layer runs up to there on the device, and sends what lies behind the
cut to a gateway.  What a tensor takes is counted as a bitmap of its elements and the values that
are not zero, where that is less than all values, since that is what zeros save.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["good_cuts", "packed_bytes"]

_Layer = Mapping[str, Any]


def packed_bytes(activations: int, zeros: float) -> float:
    """Bytes of a tensor of int8 as it is, or as a bitmap and the values that are not zero."""
    return min(activations, (activations + 7) // 8 + activations - zeros)


def _handed_on(layers: Sequence[_Layer], position: int) -> list[_Layer]:
    """The layers up to a position, itself included, whose outputs are read behind it."""
    read = {index for layer in layers[position + 1 :] for index in layer["reads"]}
    return [layer for layer in layers[: position + 1] if layer["index"] in read]


def good_cuts(layers: Sequence[_Layer]) -> list[dict[str, Any]]:
    """Places to cut where less has to be sent than at every earlier one, in running order.

    Args:
        layers: rows with index, name, reads, activations, activation_zeros and count.

    Returns rows with the "layer" in front of the cut, the "tensors" that have to be sent, their
    "bytes" and "packed_bytes", and the share of the "count" that is done before.
    """
    total = sum(layer["count"] for layer in layers)
    cuts: list[dict[str, Any]] = []
    done = 0.0
    for position, layer in enumerate(layers[:-1]):
        done += layer["count"]
        sent = _handed_on(layers, position)
        if layer["node"] is None or not sent:
            continue
        packed = sum(packed_bytes(each["activations"], each["activation_zeros"]) for each in sent)
        if cuts and packed >= cuts[-1]["packed_bytes"]:
            continue
        cuts.append(
            {
                "layer": layer["index"],
                "name": layer["name"],
                "tensors": len(sent),
                "bytes": sum(each["activations"] for each in sent),
                "packed_bytes": packed,
                "count_before": done / total if total else None,
            }
        )
    return cuts
