"""The cycle model: known sequences on every core, exact instruction counts, and runs without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgesparse import cycles
from edgesparse.cycles import CycleRequest, find_part, list_parts
from edgesparse.deploy import qemu
from edgesparse.deploy.boards import Board, list_boards
from edgesparse.deploy.firmware import Firmware, build_firmware
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.errors import FormatError, UsageError
from edgesparse.pipeline import Recipe
from edgesparse.telemetry.cycles import read_run_cycles
from edgesparse.telemetry.log import replay

CORES = ("cortex-m3", "cortex-m4", "cortex-m7")
APP = Path(__file__).parent / "cycle_check"
MODELLED = [board for board in list_boards() if find_part(None, board) is not None]
# The sequences are of all cores, so that their code runs on none below an M4.
BOARDS = [board for board in MODELLED if board.cpu != "cortex-m3"]


@pytest.fixture(scope="module", params=BOARDS, ids=lambda arm_board: arm_board.name)
def arm_board(request: pytest.FixtureRequest) -> Board:
    return request.param


@pytest.fixture(scope="module")
def sequences(arm_board: Board, tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build_firmware(arm_board, tmp_path_factory.mktemp("sequences"), app=APP)


def line(target: QemuTarget) -> str:
    text = b""
    while not text.endswith(b"\n"):
        byte = target.read(1, 10.0)
        assert byte, text
        text += byte
    return text.decode().strip()


@pytest.mark.parametrize("core", CORES)
def test_known_sequences_cost_what_the_manuals_say(
    arm_board: Board, sequences: Firmware, core: str
) -> None:
    names: list[str] = []
    expected: list[int] = []
    part = find_part("ideal", arm_board)
    assert part is not None
    source = (APP / "main.c").read_text()
    count = source.count("    X(")
    request = CycleRequest(part, sequences, count, gate="measure", cpu=core)
    with QemuTarget(arm_board, sequences.path, cycles=request) as target:
        assert target.models_cycles
        while (text := line(target)) != "end":
            name, *costs = text.split()
            names.append(name)
            expected.append(int(costs[CORES.index(core)]))
        assert len(names) == count
        target.write(b"m")
        ends = [int(word) for word in line(target).split()]
        (written,) = target.cycle_lines()
    run = read_run_cycles(written)
    counted = [end - start for start, end in zip([0, *ends], ends[:-1], strict=False)]
    assert [instructions for instructions, _ in run.nodes] == counted
    assert run.instructions == ends[-1]
    empty = run.nodes[1][1]
    got = {name: cost - empty for name, (_, cost) in zip(names, run.nodes, strict=True)}
    wanted = dict(zip(names, expected, strict=True))
    missing = {name for name, cost in wanted.items() if cost == 0}
    assert {name: cost for name, cost in got.items() if name not in missing} == {
        name: cost for name, cost in wanted.items() if name not in missing
    }


def deploy(log: Path, **options: Any) -> dict[str, Any]:
    recipe = Recipe("topk", 0.5)
    return deploy_model(None, recipe, Options("qemu", runs=3, log=log, **options), quiet=True)


@pytest.mark.parametrize("modelled", MODELLED, ids=lambda board: board.name)
def test_every_modelled_core_has_a_column(tmp_path: Path, modelled: Board) -> None:
    """The plugin's instructions equal the device's in every node, or deploy would fail."""
    options = Options(modelled.name, runs=2, log=tmp_path / "log")
    document = deploy_model(None, Recipe(), options, quiet=True)
    assert document["cycles_part"] == "ideal"
    assert all(
        layer["modelled_cycles"] > 0.5 * layer["count"] > 0
        for layer in document["layers"]
        if layer["kernel"]
    )


@pytest.mark.parametrize("part", ["ideal", "stm32l4r5@120", "stm32f405@168"])
def test_deploy_shows_them_and_replay_tells_them_again(tmp_path: Path, part: str) -> None:
    document = deploy(tmp_path / "log", part=part)
    assert document["cycles_part"] == part
    totals = document["totals"]
    in_layers = sum(layer["modelled_cycles"] for layer in document["layers"])
    assert 1.0 < totals["modelled_cycles"] / totals["count"] < 2.5
    assert 0 < totals["modelled_cycles"] - in_layers < 10 * totals["count_outside_layers"]
    before = (tmp_path / "log" / "summary.json").read_bytes()
    assert json.loads(before) == document
    (tmp_path / "log" / "summary.json").unlink()
    assert replay(tmp_path / "log") == document
    assert (tmp_path / "log" / "summary.json").read_bytes() == before


def test_slow_flash_costs_more(tmp_path: Path) -> None:
    totals = {
        part: deploy(tmp_path / part, part=part)["totals"]["modelled_cycles"]
        for part in ("ideal", "stm32l4r5@120", "stm32f405@168")
    }
    assert totals["ideal"] < min(totals["stm32l4r5@120"], totals["stm32f405@168"])


def test_instructions_of_other_runs_are_refused(tmp_path: Path) -> None:
    deploy(tmp_path / "log", part="ideal")
    path = tmp_path / "log" / "cycles.jsonl"
    header, first, *rest = path.read_bytes().splitlines(keepends=True)
    run = json.loads(first)
    run["instructions"] += 1
    path.write_bytes(b"".join([header, json.dumps(run).encode() + b"\n", *rest]))
    with pytest.raises(FormatError, match="the cycle model saw .* in the whole run"):
        replay(tmp_path / "log")
    for malformed in (b"{}\n", b"[]\n"):
        path.write_bytes(malformed)
        with pytest.raises(FormatError, match=r"cycles\.jsonl"):
            replay(tmp_path / "log")


def test_without_the_model_all_else_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_model = deploy(tmp_path / "with")
    none = deploy(tmp_path / "none", part="none")
    monkeypatch.setattr(qemu, "plugin_path", lambda: None)
    absent = deploy(tmp_path / "absent")
    no_plugin = tmp_path / "no,plugin.so"
    no_plugin.write_bytes(b"not a library")
    monkeypatch.setattr(qemu, "plugin_path", lambda: no_plugin)
    refused = deploy(tmp_path / "refused")
    assert with_model["cycles_part"] == "ideal"
    for document in (none, absent, refused):
        del document["records"]  # a PING that came too early is asked again
    assert none == absent == refused
    assert "cycles_part" not in none
    assert "modelled_cycles" not in none["totals"]
    assert none["totals"]["count"] == with_model["totals"]["count"]
    assert not (tmp_path / "refused" / "cycles.jsonl").exists()


def test_parts_are_named_with_their_cores(arm_board: Board) -> None:
    with pytest.raises(UsageError, match="no part is called 'z80'") as caught:
        find_part("z80", arm_board)
    assert "ideal" in str(caught.value.hint)
    (foreign,) = [part.name for part in list_parts() if part.cpus == ("cortex-m7",)]
    if arm_board.cpu != "cortex-m7":
        with pytest.raises(UsageError, match="can stand for"):
            find_part(foreign, arm_board)
    native_board = list_boards()[0]
    assert find_part(None, native_board) is None
    with pytest.raises(UsageError):
        find_part("ideal", native_board)


def test_runs_repeat_to_the_cycle_wherever_the_plugin_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy(tmp_path / "a")
    plugin = cycles.plugin_path()
    assert plugin is not None
    moved = tmp_path / "a, b" / plugin.name
    moved.parent.mkdir()
    moved.write_bytes(plugin.read_bytes())
    monkeypatch.setattr(qemu, "plugin_path", lambda: moved)
    deploy(tmp_path / "b")
    first, second = ((tmp_path / name / "cycles.jsonl").read_bytes() for name in "ab")
    assert first == second
