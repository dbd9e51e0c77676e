"""Models that keep state, on every target: how long it lasts, and what resets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesparse import oracle
from edgesparse.cli import main
from edgesparse.deploy.boards import Board
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.deploy.session import FLAG_RESET_STATE, Session
from edgesparse.encode import encode
from edgesparse.image import Image, build_image
from edgesparse.model import Model, parse_model
from edgesparse.pipeline import Recipe
from edgesparse.telemetry.runs import RunResult
from edgesparse.validate import validate_model
from tests.devices import power_on
from tests.tflite_builder import Builder

ROWS = 5
COUNT = 7
INITIAL = 10
X = np.arange(1, ROWS + 1, dtype=np.int8).reshape(ROWS, 1, 1).repeat(COUNT, axis=2)


def running_sum() -> bytes:
    """The output is the sum of all inputs since the reset, which starts at INITIAL."""
    b = Builder()
    x = b.input((1, COUNT), 1.0, 0)
    init = b.call_once()
    start = init.constant(np.full((1, COUNT), INITIAL, np.int8), 1.0)
    init.assign_variable(init.var_handle("sum"), start)
    handle = b.var_handle("sum")
    before = b.read_variable(handle, (1, COUNT), 1.0)
    after = b.add(x, before, scale=1.0)
    b.assign_variable(handle, after)
    b.output(after)
    return b.finish()


@pytest.fixture(scope="module")
def model() -> Model:
    return parse_model(running_sum(), name="sum")


@pytest.fixture(scope="module")
def image(model: Model) -> Image:
    return build_image(encode(model))


def sums(results: list[RunResult]) -> list[int]:
    outputs = [np.frombuffer(result.outputs[0], np.int8) for result in results]
    assert all((output == output[0]).all() for output in outputs)
    return [int(output[0]) for output in outputs]


def test_state_lasts_from_run_to_run_until_it_is_reset(board: Board, image: Image) -> None:
    rows = [X[i].tobytes() for i in range(ROWS)]
    has_batch = board.memory.batch is not None
    with power_on(board, image.device_bytes(), X.tobytes() if has_batch else b"") as target:
        session = Session(target)
        session.hello()

        def run(first: int, count: int, flags: int = 0) -> list[int]:
            if has_batch:
                return sums(list(session.run(first, count, flags=flags)))
            sent = rows[first : first + count]
            return sums([session.run_from_link([row], flags=flags) for row in sent])

        assert run(0, 3) == [11, 13, 16]
        assert run(3, 2) == [20, 25]
        assert sums([session.run_from_link([rows[0]])]) == [26]
        assert run(0, 3, FLAG_RESET_STATE) == [11, 12, 13]
        assert sums([session.run_from_link([rows[1]])]) == [15]
        assert sums([session.run_from_link([rows[1]], flags=FLAG_RESET_STATE)]) == [12]
        tensors = session.tensors([rows[4]])
        assert {value for data in tensors.values() for value in data} == {17}
        session.hello()
        assert run(0, 1) == [18]
        session.reset()
        assert run(0, 1) == [11]


def files(tmp_path: Path, **arrays: Any) -> tuple[Path, Path]:
    path, data = tmp_path / "sum.tflite", tmp_path / "sum.npz"
    path.write_bytes(running_sum())
    np.savez(data, x=X, **arrays)
    return path, data


@pytest.mark.parametrize("reset_state", [False, True])
def test_deploy_starts_every_pass_from_the_reset_state(
    board: Board, model: Model, tmp_path: Path, reset_state: bool
) -> None:
    expected = [output for (output,) in oracle.run(model, X, reset_state=reset_state)]
    path, data = files(tmp_path, golden=np.stack(expected))
    options = Options(
        board=board.name,
        inputs=data,
        runs=2 * ROWS + 3,
        log=tmp_path / "log",
        reset_state=reset_state,
    )
    document = deploy_model(path, Recipe(), options, quiet=True)
    assert (document["runs"], document["mismatches"]) == (2 * ROWS + 3, 0)
    layers = {layer["op"]: layer["activations"] for layer in document["layers"]}
    assert layers == {
        "CALL_ONCE": 0,
        "VAR_HANDLE": 0,
        "READ_VARIABLE": 0,
        "ADD": COUNT,
        "ASSIGN_VARIABLE": COUNT,
    }


@pytest.mark.parametrize("reset_state", [False, True])
def test_validate_runs_the_reference_in_step(
    board: Board, tmp_path: Path, reset_state: bool
) -> None:
    path, data = files(tmp_path)
    document = validate_model(
        path,
        Recipe(),
        board=board.name,
        inputs=data,
        rows=ROWS,
        timeout_s=60.0,
        reset_state=reset_state,
    )
    assert document["difference"] is None
    assert document["layers_compared"] == 2 * ROWS


def test_the_command_line_resets_when_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, data = files(tmp_path, golden=X + INITIAL)  # what each row gives by itself
    common = [str(path), "--board", "native", "--inputs", str(data), "--json"]
    mismatches = {}
    for option in ("", "--reset-state"):
        log = str(tmp_path / f"log{option}")
        assert main(["deploy", *common, "--log", log, *option.split()]) == 0
        mismatches[option] = json.loads(capsys.readouterr().out)["mismatches"]
        assert main(["validate", *common, "--rows", "3", *option.split()]) == 0
        assert json.loads(capsys.readouterr().out)["difference"] is None
    assert mismatches == {"": ROWS - 1, "--reset-state": 0}
