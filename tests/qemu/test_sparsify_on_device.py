"""A device that sets weights to zero itself, on every target: as the host, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesparse import demo
from edgesparse.deploy.boards import Board
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.deploy.session import ENDLESS, FLAG_HISTOGRAMS, FROM_LINK, Session
from edgesparse.errors import DeviceFaultError
from edgesparse.inputs import load_inputs
from edgesparse.pipeline import Recipe, convert_model, read_model
from edgesparse.sparsify import Rule
from edgesparse.telemetry.log import replay
from edgesparse.telemetry.record import Event, Memory, Record, fields_of
from edgesparse.telemetry.runs import WindowResult
from tests.conformance.make_vectors import small_image
from tests.devices import power_on
from tests.on_device import check_alike, run_both

RULES = [Rule("relative", (0.6,)), Rule("flat", (0.05,)), Rule("threshold", (0.02,))]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.method)
def test_the_demo(board: Board, rule: Rule) -> None:
    rows = load_inputs(demo.data_path()).x[0][:2].reshape(2, -1).astype(np.int8)
    both = run_both(read_model(None), rule, [rows], board)
    check_alike(both)
    assert [done.layer for done in both.done] == [0, 1, 3, 5, 6]
    assert all(0 < done.zeros < done.weights for done in both.done)
    counted = both.done[0].unit != "none"
    assert all((done.count > done.weights) is counted for done in both.done)


def test_what_deploy_says(board: Board, tmp_path: Path) -> None:
    rule = Rule("relative", (0.6,))
    options = Options(board.name, runs=2, log=tmp_path / "there")
    there = deploy_model(None, Recipe(on_device=rule), options, quiet=True)
    same = replace(options, log=tmp_path / "here")
    here = deploy_model(None, Recipe("relative", 0.6), same, quiet=True)
    keys = ("weight_zeros", "activation_zeros")
    for one, other in zip(there["layers"], here["layers"], strict=True):
        assert [one[key] for key in keys] == [other[key] for key in keys]
    done = there["sparsify_on_device"]
    assert sum(row["zeros"] for row in done) == sum(each["weight_zeros"] for each in here["layers"])
    assert there["sparsify"]["on_device"] == "relative=0.6"
    assert "sparsify_on_device" not in here
    assert replay(tmp_path / "there") == there


def test_what_is_refused(board: Board) -> None:
    image = small_image("bitmap", changeable=True)
    inf = 0x7FF0_0000_0000_0000
    with power_on(board, image) as target:
        session = Session(target)
        session.hello()
        for node, smallest, limit, status in (
            (9, 1, 0, "bad_index"),
            (1, 1, 0, "bad_kernel"),
            (0, 73, 0, "bad_params"),
            (0, 0, inf, "bad_params"),
        ):
            with pytest.raises(DeviceFaultError, match=f"refused SPARSIFY: {status}"):
                session.sparsify(node, smallest=smallest, limit=limit)
        assert session.sparsify(0, smallest=72, limit=0).zeros == 72
        assert session.sparsify(2, smallest=0, limit=inf - 1).zeros == 108
    with power_on(board, small_image("bitmap")) as target:
        session = Session(target)
        session.hello()
        with pytest.raises(DeviceFaultError, match="bad_params"):
            session.sparsify(0, smallest=1, limit=0)


def test_a_restart_brings_the_weights_back(board: Board) -> None:
    image, _ = convert_model(read_model(None), Recipe(on_device=RULES[0]))
    row = load_inputs(demo.data_path()).x[0][0].astype(np.int8).tobytes()
    room = image.arena_bytes + len(image.device_bytes())
    with power_on(board, image.device_bytes(), arena_bytes=room) as target:
        session = Session(target)
        session.hello()
        before = session.run_from_link([row])
        session.sparsify(1, smallest=1000, limit=0)
        thinned = session.run_from_link([row])
        session.reset()
        after = session.run_from_link([row])
    assert thinned.layers[1].macs_done < before.layers[1].macs_done
    assert (after.outputs, after.layers[1].macs_done) == (
        before.outputs, before.layers[1].macs_done,
    )  # fmt: skip


def test_windows_and_memory_marks_leave_the_image_in_ram_alone(board: Board) -> None:
    image, _ = convert_model(read_model(None), Recipe(on_device=RULES[0]))
    row = load_inputs(demo.data_path()).x[0][0].astype(np.int8).tobytes()
    room = image.arena_bytes + len(image.device_bytes())
    events: list[Event] = []
    with power_on(board, image.device_bytes(), arena_bytes=room) as target:
        session = Session(target, observe=events.append)
        session.hello()
        session.sparsify(1, smallest=1000, limit=0)
        thinned = session.run_from_link([row])
        session.send_input(0, row)
        (window,) = session.watch(FROM_LINK, 1, every=2, flags=FLAG_HISTOGRAMS)
        again = session.run_from_link([row])
    assert again.outputs == thinned.outputs
    assert isinstance(window, WindowResult)
    for one, other in zip(window.layers, thinned.layers, strict=True):
        assert one.activation_zeros_sum == other.activation_zeros
        assert one.macs_done_sum == other.macs_done
    records = [e for e in events if isinstance(e, Record) and e.type == "memory"]
    last = fields_of(records[-1], Memory)
    assert 0 < last.arena_high_bytes <= last.arena_used_bytes == image.arena_bytes


def test_is_refused_while_runs_are_left_to_do(board: Board) -> None:
    image = small_image("bitmap", changeable=True)
    with power_on(board, image) as target:
        session = Session(target)
        session.hello()
        session.send_input(0, bytes(72))
        runs = session.watch(FROM_LINK, ENDLESS)
        with pytest.raises(DeviceFaultError, match="refused SPARSIFY: bad_record"):
            session.sparsify(0, smallest=1, limit=0)
        runs.close()
        session.abort()
        assert session.sparsify(0, smallest=72, limit=0).zeros == 72
