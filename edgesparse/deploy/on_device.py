"""Weights that the device itself sets to zero, of a model that it was given as it is.

The image holds the weights in encoding dense or bitmap, and their scales; SPARSIFY records say,
node by node, how many magnitudes go, or up to which.  The device compares magnitudes exactly, so
that the same weights go as with the host's methods.

Source: A. Ashouri, T. Abdelrahman, A. Dos Remedios, "Fast On-the-fly Retraining-free Sparsification
of Convolutional Neural Networks", 2018.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from edgesparse import native
from edgesparse.deploy.boards import Board
from edgesparse.deploy.open import Capacity
from edgesparse.errors import DoesNotFitError, UsageError
from edgesparse.image import Image
from edgesparse.model import Model
from edgesparse.pipeline import CHANGEABLE_ENCODINGS
from edgesparse.sparsify import Rule, parse_values, sparsify

__all__ = ["METHODS", "Order", "check_room", "needed_ram_bytes", "orders", "parse_on_device"]

METHODS = ("relative", "flat", "threshold")
"""Methods that decide by magnitude alone, weight by weight."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a SPARSIFY record asks for.

    node: index in the image.  smallest: magnitudes up to that of the so manyth smallest weight go;
    0: those up to `limit`, in real units.
    """

    node: int
    smallest: int
    limit: float

    @property
    def limit_bits(self) -> int:
        """The limit as the record carries it."""
        return int(struct.unpack("<Q", struct.pack("<d", self.limit))[0])


def parse_on_device(text: str) -> Rule:
    """Return the rule of METHOD=VALUE, such as relative=0.6.  Raises UsageError for another."""
    method, _, value = text.partition("=")
    if method not in METHODS or not value:
        raise UsageError(
            f"--sparsify-on-device {text!r} is not METHOD=VALUE",
            hint=f"METHOD is one of {', '.join(METHODS)}; for instance relative=0.6",
        )
    return Rule(method, parse_values(value, f"--sparsify-on-device {method}"))


def orders(model: Model, image: Image, rule: Rule) -> Iterator[Order]:
    """Yield what makes the device do to an image what `rule` does to its model.

    The image was made from the model with Recipe.on_device.  Raises UsageError where the firmware
    has no kernel for weights that the device can change.
    """
    _, treated = sparsify(model, rule)
    limits = {model.nodes[row.node_index].inputs[1]: row for row in treated}
    kernels = native.table("kernel")
    for index, node in enumerate(image.nodes):
        layer = model.nodes[node["layer"]]
        row = limits.get(layer.inputs[1]) if layer.op in ("CONV_2D", "FULLY_CONNECTED") else None
        if row is None:
            continue
        encoding = kernels[native.name_of("kernel", node["kernel"])].columns[1]
        if encoding not in CHANGEABLE_ENCODINGS:
            raise UsageError(
                f"layer {layer.index} '{row.name}': the firmware has no kernel with weights in"
                f" encoding {' or '.join(CHANGEABLE_ENCODINGS)}, which the device could thin"
            )
        smallest = round(rule.value[0] * row.weights) if rule.method == "relative" else 0
        yield Order(index, smallest, 0.0 if rule.method == "relative" else row.threshold)


def needed_ram_bytes(image: Image) -> int:
    """The RAM that the device needs to change an image's weights: arena and a copy of it."""
    return image.arena_bytes + len(image.device_bytes())


def check_room(image: Image, board: Board, capacity: Capacity) -> None:
    """Raise DoesNotFitError where the board has less RAM than needed_ram_bytes."""
    needed = needed_ram_bytes(image)
    if needed > capacity.arena_bytes:
        what = f"arena and a copy of the image, to set weights to zero, in {board.name}'s RAM"
        raise DoesNotFitError(
            what,
            needed,
            capacity.arena_bytes,
            hint="set them to zero on the host: --method in place of --sparsify-on-device",
        )
