"""Cycles by function: they add up exactly, and name the code that does the work."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesparse.bench.profile import folded_stacks
from edgesparse.cli import main
from edgesparse.cycles import find_part
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.firmware import ensure_firmware, read_functions
from edgesparse.deploy.open import capacity_of, open_target
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import Session
from edgesparse.inputs import batch_bytes, rows_for
from edgesparse.pipeline import Recipe, prepare_image
from edgesparse.telemetry.cycles import RunCycles, read_run_cycles


def cycles_of_runs(part_name: str, starts: tuple[int, ...]) -> list[RunCycles]:
    """Two runs of the demo, half its weights zero."""
    board = find_board("qemu")
    image = prepare_image(None, Recipe("topk", 0.5))
    batch = batch_bytes(rows_for(image.meta.inputs, None, range(2)))
    capacity, part = capacity_of(board), find_part(part_name, board)
    with open_target(board, image, batch, capacity, part=part, function_starts=starts) as target:
        assert isinstance(target, QemuTarget)
        assert target.models_cycles
        session = Session(target)
        session.hello()
        assert len(list(session.run(0, 2))) == 2
        return [read_run_cycles(line) for line in target.cycle_lines()]


@pytest.mark.parametrize("part", ["ideal", "stm32l4r5@120"])
def test_functions_add_up_to_their_nodes(part: str) -> None:
    """And all else that the model says is the same without them."""
    functions = read_functions(ensure_firmware(find_board("qemu")).path)
    profiled = cycles_of_runs(part, tuple(function.start for function in functions))
    plain = cycles_of_runs(part, ())
    assert [run.model_copy(update={"functions": None}) for run in profiled] == plain
    for run in profiled:
        in_nodes = [cycles for _, cycles in run.nodes]
        wanted = [*in_nodes, run.cycles - sum(in_nodes)]
        found = [0] * len(wanted)
        for node, _, cycles in run.functions or []:
            assert cycles > 0
            found[node] += cycles
        assert found == wanted


def test_functions_with_equal_names_are_told_apart() -> None:
    functions = read_functions(ensure_firmware(find_board("qemu")).path)
    names = [function.name for function in functions]
    starts = [function.start for function in functions]
    assert len(set(names)) == len(names)
    assert starts == sorted(set(starts))
    assert {"run (es_op_fully_connected.c)", "run (es_op_softmax.c)", "es_exec_run"} <= set(names)


def only_entry(document: Path) -> dict[str, Any]:
    (entry,) = json.loads(document.read_text())["entries"]
    assert isinstance(entry, dict)
    return entry


def test_bench_lists_functions_and_writes_folded_stacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["bench", "--sparsity", "0.5", "--runs", "1", "--json", "a.json"]
    assert main([*common, "--profile"]) == 0
    shown = capsys.readouterr()
    assert "one run by function" in shown.out
    entry = only_entry(tmp_path / "a.json")
    found = entry["profile"]
    assert found["cycles"] == entry["totals"]["modelled_cycles"]
    by_index = {layer["index"]: layer for layer in found["layers"]}
    for layer in entry["layers"]:
        if layer["kernel"]:
            assert by_index[layer["index"]]["cycles"] == layer["modelled_cycles"]
        if layer["op"] == "CONV_2D":
            top = by_index[layer["index"]]["functions"][0]["name"]
            assert top.startswith(("es_conv_2d_", "es_lists_", "make_")), top
    assert found["layers"][-1]["name"] == "rest of run"
    folded = (tmp_path / "digits-qemu-mps2-an386.folded").read_text()
    assert "wrote digits-qemu-mps2-an386.folded" in shown.err
    assert sum(int(line.rsplit(" ", 1)[1]) for line in folded.splitlines()) == found["cycles"]
    assert all(line.count(";") == 2 for line in folded.splitlines())
    assert main([*common, "--profile-out", "b.folded"]) == 0
    assert (tmp_path / "b.folded").read_text() == folded == folded_stacks(entry)
