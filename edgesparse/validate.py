"""Layer by layer against the reference interpreter: every tensor, every zero count."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse import ops, oracle
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.open import capacity_of, check_fit, open_target
from edgesparse.deploy.run import read_inputs
from edgesparse.deploy.session import FLAG_DUMP, FLAG_RESET_STATE, Session
from edgesparse.errors import VerificationError
from edgesparse.image import Image
from edgesparse.inputs import feeds_for, row_bytes, rows_for
from edgesparse.meta import NarrowedMeta
from edgesparse.model import Model
from edgesparse.pipeline import Recipe, convert_model, read_model, with_demo_rows
from edgesparse.telemetry.runs import RunResult

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class Difference:
    """The first place where device and reference disagree.

    kind: "tensor" or "zeros".  layer, name: of the .tflite node and its output.  element: index
    into the flattened tensor, -1 for a zero count.
    """

    row: int
    kind: str
    layer: int
    name: str
    element: int
    expected: int
    got: int

    def __str__(self) -> str:
        where = f"row {self.row}, layer {self.layer} '{self.name}'"
        if self.kind == "zeros":
            return f"{where}: {self.got} zeros counted, {self.expected} in the reference"
        return f"{where}, element {self.element}: {self.got}, reference {self.expected}"


def _expected(
    image: Image, model: Model, reference: Mapping[int, NDArray[Any]], node: int
) -> Iterator[tuple[int, NDArray[np.int8]]]:
    """Per output of a device node: image tensor and reference values, [places, channels].

    An ASSIGN_VARIABLE has none in the reference: it writes its second input into the tensor that
    stands for the variable.
    """
    layer = model.nodes[image.nodes[node]["layer"]]
    variable = ops.variable_at(model, layer.inputs[0]).handle if not layer.outputs else -1
    for index in layer.outputs or (variable,):
        values = reference[layer.inputs[1] if index == variable else index]
        width = values.shape[-1] if values.shape else 1
        yield image.meta.tensors.index(index), values.reshape(-1, width)


def _whole(narrowed: NarrowedMeta, got: NDArray[np.int8], like: NDArray[np.int8]) -> NDArray[Any]:
    """A device's tensor with its constant channels; what nobody reads is taken to be right."""
    whole = like.copy()
    whole[:, narrowed.kept] = got.reshape(-1, len(narrowed.kept))
    for channel, value in narrowed.constants:
        whole[:, channel] = value
    if narrowed.uneven is not None:
        values = np.array(narrowed.uneven.values)[:, narrowed.uneven.classes].T
        images = len(whole) // len(values)
        whole[:, narrowed.uneven.channels] = np.tile(values, (images, 1))
    return whole


def _read(narrowed: NarrowedMeta | None, values: NDArray[np.int8]) -> NDArray[np.int8]:
    """The channels that somebody reads."""
    if narrowed is None:
        return values
    uneven = () if narrowed.uneven is None else narrowed.uneven.channels
    return values[:, [*narrowed.kept, *(channel for channel, _ in narrowed.constants), *uneven]]


def compare_run(
    image: Image, model: Model, reference: Mapping[int, NDArray[Any]], run: RunResult, row: int
) -> Difference | None:
    """First difference between one dumped run and the reference's tensors, in network order."""
    for record in run.layers:
        layer = image.meta.layers[record.layer]
        name = layer.name
        zeros = 0
        for tensor, expected in _expected(image, model, reference, record.node):
            got = np.frombuffer(run.tensors[record.node, tensor], np.int8)
            narrowed = image.meta.narrowing(image.meta.tensors[tensor])
            if narrowed is not None:
                got = _whole(narrowed, got, expected)
            wrong = np.flatnonzero(expected.reshape(-1) != got.reshape(-1))
            zero_point = image.tensors[tensor]["zero_point"]
            zeros += int(np.count_nonzero(_read(narrowed, expected) == zero_point))
            if wrong.size:
                at = int(wrong[0])
                values = int(expected.reshape(-1)[at]), int(got.reshape(-1)[at])
                return Difference(row, "tensor", record.layer, name, at, *values)
        counted = record.activation_zeros + layer.constant_zeros
        if zeros != counted:
            counts = zeros, counted
            return Difference(row, "zeros", record.layer, name, -1, *counts)
    return None


def validate_model(
    path: Path | None,
    recipe: Recipe,
    *,
    board: str,
    inputs: Path | None,
    rows: int,
    timeout_s: float,
    reset_state: bool = False,
) -> dict[str, Any]:
    """Run `rows` rows with every tensor sent back, compare, and return what was compared.

    Stops at the first difference, which the document holds under "difference" (else null).  A model
    with state starts from its reset state, and with `reset_state` does so in every row.
    """
    image, model = convert_model(read_model(path), with_demo_rows(path, recipe))
    target_board = find_board(board)
    capacity = capacity_of(target_board)
    check_fit(image, target_board, capacity)
    data = read_inputs(inputs, bundled=path is None)
    count = rows if data is None else min(rows, data.rows)
    feeds = feeds_for(image.meta.inputs, data, range(count))
    device_rows = rows_for(image.meta.inputs, data, range(count))
    difference: Difference | None = None
    compared = 0
    with open_target(target_board, image, b"", capacity) as target:
        session = Session(target, timeout_s=timeout_s)
        session.hello()
        references = oracle.each_with_layers(model, feeds, reset_state=reset_state)
        for row, reference in enumerate(references):
            reset = image.has_state and (row == 0 or reset_state)
            flags = FLAG_DUMP | (FLAG_RESET_STATE if reset else 0)
            run = session.run_from_link(row_bytes(device_rows, row), flags=flags)
            difference = compare_run(image, model, reference, run, row)
            compared += len(run.layers)
            if difference is not None:
                break
    return {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "board": target_board.name,
        "oracle": oracle.oracle_name(),
        "rows": count,
        "layers_compared": compared,
        "difference": None if difference is None else asdict(difference),
    }


def check_validation(document: Mapping[str, Any]) -> str:
    """One line for people.  Raises VerificationError that names the first difference."""
    found = document["difference"]
    if found is not None:
        raise VerificationError(
            f"{document['model']} on {document['board']}: {Difference(**found)}"
        )
    return (
        f"{document['model']} on {document['board']}: {document['layers_compared']} layer outputs"
        f" and zero counts in {document['rows']} rows equal {document['oracle']}"
    )
