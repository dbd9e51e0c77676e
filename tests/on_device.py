"""A device that sets weights to zero itself, and one that is given them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgesparse.deploy.boards import Board
from edgesparse.deploy.on_device import orders
from edgesparse.deploy.session import Session
from edgesparse.encode import encode
from edgesparse.image import build_image
from edgesparse.model import Model
from edgesparse.pipeline import Recipe, convert_model
from edgesparse.sparsify import Rule, sparsify
from edgesparse.telemetry.record import Sparsified
from edgesparse.telemetry.runs import RunResult
from tests.devices import power_on, run_rows


@dataclass(frozen=True)
class Both:
    """What each of them did, run by run; what the device said of the weights; the thinned model."""

    there: list[RunResult]
    here: list[RunResult]
    done: list[Sparsified]
    model: Model


def run_both(
    model: Model,
    rule: Rule,
    rows: Sequence[NDArray[np.int8]],
    board: Board,
    *,
    encoding: str | None = None,
) -> Both:
    """Run rows on a device that is told `rule`, and the model that the host has thinned by it.

    encoding: of all weights; None: by predicted cost.
    """
    image, _ = convert_model(model, Recipe(on_device=rule))
    if encoding is not None:
        image = build_image(encode(model, encoding=encoding, keep_dead=True), changeable=True)
    room = image.arena_bytes + len(image.device_bytes())
    with power_on(board, image.device_bytes(), arena_bytes=room) as target:
        session = Session(target)
        session.hello()
        done = [
            session.sparsify(order.node, smallest=order.smallest, limit=order.limit_bits)
            for order in orders(model, image, rule)
        ]
        there = [
            session.run_from_link([values[i].tobytes() for values in rows])
            for i in range(len(rows[0]))
        ]
    thinned, _ = sparsify(model, rule)
    encodings = {node["layer"]: image.meta.layers[node["layer"]].encoding for node in image.nodes}
    given = build_image(encode(thinned, encoding=encodings, keep_dead=True))
    return Both(there, run_rows(board, given, rows), done, thinned)


def check_alike(both: Both) -> None:
    """Zeros of every layer, outputs, zeros of activations and products are the same."""
    for done in both.done:
        weights = both.model.tensors[both.model.nodes[done.layer].inputs[1]].data
        assert weights is not None
        assert (done.weights, done.zeros) == (
            weights.size,
            weights.size - np.count_nonzero(weights),
        )
    for there, here in zip(both.there, both.here, strict=True):
        assert there.outputs == here.outputs
        for one, other in zip(there.layers, here.layers, strict=True):
            assert (one.activation_zeros, one.macs_done) == (
                other.activation_zeros, other.macs_done,
            )  # fmt: skip
