"""The command line: exit codes, one-line errors, JSON on stdout alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgesparse import __version__, demo
from edgesparse.cli import COMMANDS, main
from tests.tflite_builder import Builder


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = main(list(arguments))
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--version")
    assert (code, out) == (0, f"edgesparse {__version__}\n")


def test_no_arguments_show_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run(capsys)
    assert shown == run(capsys, "--help")
    assert shown[1].startswith("Usage: edgesparse")


@pytest.mark.parametrize("verb", COMMANDS)
def test_every_verb_has_help(capsys: pytest.CaptureFixture[str], verb: str) -> None:
    code, out, _ = run(capsys, verb, "--help")
    assert code == 0
    assert "--json" in out


def test_root_help_names_every_verb_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--help")
    assert code == 0
    assert all(verb in out for verb in COMMANDS)
    assert "7 verification" in " ".join(out.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["deploy", "--bord", "qemu"], 2, "bord"),
        (["deploy", "--board", "nowhere"], 2, "nowhere"),
        (["deploy", "missing.tflite"], 2, "missing.tflite"),
        (["deploy", "--board", "native", "--method", "magic"], 2, "magic"),
        (["deploy", "--board", "native", "--method", "topk", "--sparsity", "1.5"], 2, "1.5"),
        (["deploy", "--board", "native", "--runs", "0"], 2, "--runs"),
        (["deploy", "--board", "native", "--runs", str(2**31 + 1)], 2, "--runs"),
        (["deploy", "--board", "native", "--timeout", "-1"], 2, "--timeout"),
        (["deploy", "--board", "native", "--timeout", "nan"], 2, "--timeout"),
        (["deploy", "--firmware", "."], 2, "cannot read ."),
        (
            ["deploy", "--sparsify-on-device", "flat=x"],
            2,
            "--sparsify-on-device flat takes numbers",
        ),
        (["sweep", "--method", "magic"], 2, "unknown method 'magic'"),
        (["sweep", "--plot", "no/where.svg"], 2, "there is no folder no"),
        (["bench", "--json", "no/where.json"], 2, "there is no folder no"),
        (["convert", "-o", "."], 2, "cannot write .: Is a directory"),
        (["sparsify", "-o", "no/where.tflite"], 2, "there is no folder no"),
        (["convert", "--encoding", "zip"], 2, "zip"),
    ],
)
def test_usage_errors(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    got, out, err = run(capsys, *arguments)
    assert got == code
    assert out == ""
    first = err.splitlines()[0]
    assert first.startswith("edgesparse: ")
    assert said in first


def test_garbage_is_a_model_error(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.tflite").write_bytes(bytes(range(256)))
    code, _, err = run(capsys, "analyze", "x.tflite")
    assert code == 3
    assert len(err.splitlines()) <= 2


def test_a_damaged_image_is_a_format_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run(capsys, "convert", "-o", "d.esm")[0] == 0
    data = bytearray((tmp_path / "d.esm").read_bytes())
    data[1000] ^= 1
    (tmp_path / "d.esm").write_bytes(data)
    code, _, err = run(capsys, "deploy", "d.esm", "--board", "native")
    assert code == 4
    assert "bad_crc" in err


def test_unsupported_models_name_all_offenders(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    b = Builder()
    x = b.input((1, 4), 1.0, 0)
    y = b.tensor((1, 4), 1.0, 0, name="first")
    z = b.tensor((1, 4), 1.0, 0, name="second")
    b.op("COS", [x], [y])
    b.op("SIN", [y], [z])
    b.output(z)
    (tmp_path / "odd.tflite").write_bytes(b.finish())
    code, _, err = run(capsys, "convert", "odd.tflite")
    assert code == 3
    for word in ("COS", "SIN", "first", "second"):
        assert word in err


def test_deploy_json_is_the_documented_document(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["deploy", "--board", "native", "--runs", "4", "--json", "--log", "log"]
    code, out, _ = run(capsys, *arguments)
    document = json.loads(out)
    assert code == 0
    assert document["schema_version"] == 1
    assert (document["model"], document["board"], document["runs"]) == ("digits", "native", 4)
    assert document["unit"] == "none"
    assert document["mismatches"] == 0
    totals = {"count", "macs", "macs_done", "flash_bytes", "arena_bytes", "scratch_bytes"}
    assert totals <= set(document["totals"])
    layer_keys = {
        "index", "name", "op", "encoding", "macs", "macs_done", "weights", "weight_zeros",
        "activations", "activation_zeros", "count",
    }  # fmt: skip
    assert all(layer_keys <= set(layer) for layer in document["layers"])
    assert json.loads((tmp_path / "log" / "summary.json").read_text()) == document
    assert {path.name for path in (tmp_path / "log").iterdir()} == {
        "capture.bin", "run.jsonl", "session.json", "summary.json",
    }  # fmt: skip


def test_deploy_an_image_and_its_model_alike(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = ["--method", "topk", "--sparsity", "0.5", "--skip-activations", "off"]
    assert run(capsys, "convert", "-o", "d.esm", *recipe)[0] == 0
    data = str(demo.data_path())
    common = ["--board", "native", "--inputs", data, "--runs", "5", "--json"]
    from_image = json.loads(run(capsys, "deploy", "d.esm", *common)[1])
    from_model = json.loads(run(capsys, "deploy", str(demo.model_path()), *recipe, *common)[1])
    assert from_image["layers"] == from_model["layers"]
    assert from_image["accuracy"] == from_model["accuracy"]
    code, _, err = run(capsys, "deploy", "d.esm", *recipe)
    assert code == 2
    assert "--method" in err


def test_topk_zeroes_exactly_the_share_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    """A layer that has more zeros already keeps them."""
    before = json.loads(run(capsys, "analyze", "--json")[1])["layers"]
    code, out, _ = run(capsys, "analyze", "--method", "topk", "--sparsity", "0.5", "--json")
    assert code == 0
    for layer, dense in zip(json.loads(out)["layers"], before, strict=True):
        wanted = max(round(0.5 * layer["weights"]), dense["weight_zeros"])
        assert layer["weight_zeros"] == wanted


def test_thresholded_tflite_can_be_kept(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = ["--method", "topk", "--sparsity", "0.5", "--tflite", "thin.tflite", "-o", "t.esm"]
    assert run(capsys, "convert", *arguments)[0] == 0
    assert len((tmp_path / "thin.tflite").read_bytes()) == len(demo.model_path().read_bytes())
    code, out, _ = run(capsys, "analyze", "thin.tflite", "--json")
    assert code == 0
    zeros = [layer["weight_zeros"] for layer in json.loads(out)["layers"]]
    assert any(zeros)


def test_validate_names_what_it_compared(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "validate", "--rows", "2")
    assert code == 0
    assert "digits on native" in out
    assert "2 rows" in out


def test_wrong_inputs_are_a_format_error(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 5), np.int8))
    code, _, err = run(capsys, "deploy", "--board", "native", "--inputs", "x.npz")
    assert code == 4
    assert "'x'" in err
    assert not list(tmp_path.glob("edgesparse-runs/*"))


def test_alternatives_of_each_layer(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Every layer with a node has exactly one that was chosen, and the JSON always lists them."""
    document = json.loads(run(capsys, "analyze", "--json", "--cpu", "cortex-m3")[1])
    assert (document["goal"]["cpu"], document["goal"]["unit"]) == ("cortex-m3", "cycles")
    for layer in document["layers"]:
        chosen = [row for row in layer["alternatives"] if row["reason"] == "chosen"]
        assert len(chosen) == (1 if layer["kernel"] else 0)
        assert all(row["kernel"] == layer["kernel"] for row in chosen)
        assert layer["predicted"] == sum(row["predicted"] for row in chosen)
    shown = run(capsys, "analyze", "--alternatives")[1]
    assert "chosen" in shown
    assert "conv_2d_delta8_s8" in shown
    assert "conv_2d_delta8_s8" not in run(capsys, "analyze")[1]


def test_a_run_stands_beside_what_was_predicted(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    arguments = ["deploy", "--board", "native", "--runs", "2", "--json", "--log", "log"]
    deployed = json.loads(run(capsys, *arguments)[1])
    assert {layer["measured_by_predicted"] for layer in deployed["layers"]} == {None}
    document = json.loads(run(capsys, "analyze", "--run", "log", "--json")[1])
    assert [layer["measured_count"] for layer in document["layers"]] == [0] * 8
    assert document["totals"]["predicted"] == sum(row["predicted"] for row in document["layers"])
    code, _, err = run(capsys, "analyze", "--run", "nowhere")
    assert code == 2
    assert "nowhere" in err


def test_limits_that_cannot_be_met(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "convert", "--max-ram", "1000")
    assert (code, out) == (5, "")
    assert "--max-ram: layer" in err
    assert "the least possible is --max-ram" in err
    assert run(capsys, "convert", "--profile-rows", "1-2")[0] == 2
    assert run(capsys, "bench", "--skip-activations", "never")[0] == 2
