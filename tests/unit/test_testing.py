"""edgesparse.testing: what other people's tests ask of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgesparse import testing
from edgesparse.errors import UsageError
from edgesparse.testing import Run
from tests.scripted import hello, result, small_setup, summarize


def run(*, setup: dict[str, Any] | None = None, **options: Any) -> Run:
    made = small_setup(**({"inputs_sha256": "1" * 64} | (setup or {})))
    return Run(summarize(made, hello(), [result(0, **options)]), Path("log"))


def test_figures_of_a_run() -> None:
    measured = run()
    assert (measured.instructions, measured.flash_bytes, measured.arena_bytes) == (160, 1000, 200)
    assert measured.macs_skipped == pytest.approx(52 / 152)
    assert [layer.row["index"] for layer in measured.layers] == [0, 1, 2, 3]


def test_figures_of_a_layer() -> None:
    conv = run(zeros=(4, 1)).layers[1]
    assert (conv.instructions, conv.activation_sparsity) == (100, 0.5)
    assert conv.macs_skipped == pytest.approx(48 / 128)
    assert conv.weight_sparsity == pytest.approx(conv.row["weight_zeros"] / conv.row["weights"])


def test_a_layer_by_name_pattern_and_typo() -> None:
    measured = run()
    names = [layer.name for layer in measured.layers]
    assert measured.layer(names[1]).row["index"] == 1
    assert measured.layer(f"*{names[3][1:]}*").row["index"] == 3
    with pytest.raises(UsageError, match="no layer is named") as raised:
        measured.layer(names[1] + "x")
    assert names[1] in str(raised.value.hint)
    with pytest.raises(UsageError, match="matches 4 layers"):
        measured.layer("*")


def test_a_count_is_never_taken_for_another_unit() -> None:
    with pytest.raises(UsageError, match="counts instructions, not cycles"):
        _ = run().cycles
    with pytest.raises(UsageError, match="counts instructions, not cycles"):
        _ = run().layers[1].cycles


def test_what_the_inputs_do_not_say_is_an_error() -> None:
    with pytest.raises(UsageError, match="no labels"):
        _ = run().accuracy
    with pytest.raises(UsageError, match="no expected outputs"):
        _ = run().mismatches
    assert run(setup={"labels": (0, 0)}).accuracy == 1.0


def test_speedup() -> None:
    assert run(total=80, counts=(50, 20)).speedup_over(run()) == 2.0
    with pytest.raises(UsageError, match="different inputs"):
        run(setup={"inputs_sha256": "2" * 64}).speedup_over(run())


def test_deploy_refuses_what_no_recipe_has(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="sparsty"):
        testing.deploy(None, board="native", log=tmp_path / "log", sparsty=0.5)


def test_deploy_runs_the_model(tmp_path: Path) -> None:
    measured = testing.deploy(None, board="native", log=tmp_path / "log", runs=2)
    assert measured.mismatches == 0
    assert (tmp_path / "log" / "capture.bin").exists()
