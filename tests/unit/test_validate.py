"""The comparison with the reference: what agrees passes, the first difference is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgesparse import demo, oracle
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.session import FLAG_DUMP, Session
from edgesparse.errors import VerificationError
from edgesparse.image import Image
from edgesparse.inputs import load_inputs
from edgesparse.model import Model
from edgesparse.pipeline import Recipe, convert_model, read_model
from edgesparse.telemetry.runs import RunResult
from edgesparse.validate import check_validation, compare_run, validate_model
from tests.devices import power_on


@pytest.fixture(scope="module")
def compared() -> tuple[Image, Model, dict[int, np.ndarray], RunResult]:
    """The demo's image and model, the reference's tensors and the device's for one row."""
    image, model = convert_model(read_model(None), Recipe())
    row = load_inputs(demo.data_path()).x[0][0]
    board = find_board("native")
    with power_on(board, image.device_bytes(), arena_bytes=image.arena_bytes) as target:
        session = Session(target)
        session.hello()
        run = session.run_from_link([row.tobytes()], flags=FLAG_DUMP)
    return image, model, oracle.run_layers(model, row[np.newaxis]), run


def test_floats_for_an_integer_input_are_quantised_for_both(tmp_path: Path) -> None:
    codes = load_inputs(demo.data_path()).x[0][:2]
    np.savez(tmp_path / "floats.npz", x=codes.astype(np.float32) / 100)
    found = validate_model(
        None, Recipe(), board="native", inputs=tmp_path / "floats.npz", rows=2, timeout_s=60.0
    )
    assert (found["rows"], found["difference"]) == (2, None)


def test_equal_tensors_and_counts_pass(compared) -> None:
    image, model, reference, run = compared
    assert compare_run(image, model, reference, run, 0) is None


def test_the_first_difference_in_network_order_is_named(compared) -> None:
    image, model, reference, run = compared
    changed = {index: values.copy() for index, values in reference.items()}
    for layer in (3, 1):
        changed[model.nodes[layer].outputs[0]].reshape(-1)[5] ^= 1
    found = compare_run(image, model, changed, run, 7)
    assert found is not None
    assert (found.row, found.kind, found.layer, found.element) == (7, "tensor", 1, 5)
    assert found.name == model.tensors[model.nodes[1].outputs[0]].name
    assert found.expected == found.got ^ 1
    assert f"layer 1 '{found.name}', element 5" in str(found)


def test_a_wrong_zero_count_is_a_difference(compared) -> None:
    image, model, reference, run = compared
    record = run.layers[2]
    fields = {name: getattr(record, name) for name in record.__dataclass_fields__}
    wrong = type(record)(**{**fields, "activation_zeros": record.activation_zeros + 1})
    layers = (*run.layers[:2], wrong, *run.layers[3:])
    tampered = RunResult(run.run, layers, run.outputs, run.end, run.tensors)
    found = compare_run(image, model, reference, tampered, 0)
    assert found is not None
    assert (found.kind, found.layer) == ("zeros", record.layer)
    assert found.got == found.expected + 1


def test_a_difference_is_a_verification_error_with_its_place() -> None:
    difference = {
        "row": 2, "kind": "tensor", "layer": 4, "name": "dense", "element": 9,
        "expected": 1, "got": -3,
    }  # fmt: skip
    document = {"model": "m", "board": "b", "difference": difference}
    with pytest.raises(VerificationError, match="row 2, layer 4 'dense', element 9: -3") as error:
        check_validation(document)
    assert error.value.exit_code == 7
