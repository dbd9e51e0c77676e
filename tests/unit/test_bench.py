"""The yardstick: what is compared, when the exit code is 8, and what people see."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgesparse.bench.command import parse_names, parse_shares
from edgesparse.bench.compare import check_regression, compare, entry_name, read_document
from edgesparse.bench.measure import Bench, as_document, measure, measure_all
from edgesparse.bench.profile import file_name, folded_stacks
from edgesparse.bench.tables import render_bench, render_comparison, render_profiles
from edgesparse.cli import main
from edgesparse.errors import FormatError, RegressionError, UsageError
from edgesparse.pipeline import Recipe


def entry(**changes: Any) -> dict[str, Any]:
    """A model of one layer, all of it."""
    cycles = {"modelled_cycles": changes.pop("cycles")} if "cycles" in changes else {}
    count = changes.pop("count", 1000)
    layer = {
        "index": 0, "name": "m/conv/Relu", "op": "CONV_2D", "encoding": "delta8", "macs": 2000,
        "macs_done": 500, "weights": 64, "weight_zeros": 48, "count": count - 10,
        "encoded_bytes": 40, "scratch_bytes": 24,
    }  # fmt: skip
    totals = {
        "count": count, "macs": 2000, "macs_done": 500, "flash_bytes": 4321, "arena_bytes": 765,
        "scratch_bytes": 24, "count_outside_layers": 10,
    }  # fmt: skip
    fields = {
        "model": "m", "model_sha256": "5" * 64, "board": "b", "unit": "instructions", "runs": 3,
        "sparsity": 0.5, "totals": totals | cycles,
        "telemetry": {"zeros": 17, "records": 333}, "layers": [layer | cycles],
    }  # fmt: skip
    return fields | changes


def shown(*tables: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    for table in tables:
        console.print(table)
    return console.file.getvalue()  # type: ignore[attr-defined]


# --- Comparison --------------------------------------------------------------------------------


def test_changes_are_relative_to_before() -> None:
    before, after = as_document([entry(count=1000)]), as_document([entry(count=1010)])
    (change,) = compare(before, after)["changes"]
    assert change["change"] == pytest.approx(0.01)
    assert (change["before"], change["after"]) == (1000, 1010)
    assert change["quantity"] == "instructions"
    assert "m on b at 50 % zeros" in change["entry"]


@pytest.mark.parametrize(("after", "fails"), [(1009, False), (1010, False), (1011, True)])
def test_a_regression_is_growth_above_the_limit(after: int, fails: bool) -> None:
    comparison = compare(as_document([entry()]), as_document([entry(count=after)]))
    if fails:
        with pytest.raises(RegressionError, match="m on b at 50 % zeros: 1,000 -> 1,011"):
            check_regression(comparison, 0.01)
    else:
        check_regression(comparison, 0.01)


def test_the_worst_change_is_named() -> None:
    shares = (0.0, 0.5, 0.8)
    before = as_document([entry(sparsity=share) for share in shares])
    counts = zip(shares, (1100, 1300, 900), strict=True)
    after = as_document([entry(sparsity=share, count=count) for share, count in counts])
    with pytest.raises(RegressionError, match="at 50 % zeros.*[+]30.00 %") as raised:
        check_regression(compare(before, after), 0.05)
    assert raised.value.exit_code == 8


def test_modelled_cycles_are_compared_where_both_have_them() -> None:
    with_cycles = as_document([entry(cycles=2000)])
    slower = as_document([entry(cycles=2200)])
    quantities = [row["quantity"] for row in compare(with_cycles, slower)["changes"]]
    assert quantities == ["instructions", "modelled cycles"]
    with pytest.raises(RegressionError, match="modelled cycles"):
        check_regression(compare(with_cycles, slower), 0.01)
    without = as_document([entry()])
    assert [row["quantity"] for row in compare(without, slower)["changes"]] == ["instructions"]


def test_something_where_nothing_was_is_a_regression() -> None:
    comparison = compare(as_document([entry(count=0)]), as_document([entry(count=1)]))
    with pytest.raises(RegressionError):
        check_regression(comparison, 1000.0)


def test_what_is_missing_on_one_side_is_named() -> None:
    before = as_document([entry(), entry(board="gone"), entry(model="x", model_sha256="1" * 64)])
    after = as_document([entry(), entry(board="new"), entry(model="x", model_sha256="2" * 64)])
    comparison = compare(before, after)
    assert comparison["only_before"] == ["m on gone at 50 % zeros"]
    assert comparison["only_after"] == ["m on new at 50 % zeros"]
    assert comparison["not_comparable"] == ["x on b at 50 % zeros"]
    assert len(comparison["changes"]) == 1
    text = shown(*render_comparison(comparison))
    assert all(word in text for word in ("gone", "new", "x on b"))


def test_counts_in_different_units_are_not_compared() -> None:
    before = as_document([entry(), entry(board="b2")])
    after = as_document([entry(unit="cycles"), entry(board="b2")])
    comparison = compare(before, after)
    assert comparison["not_comparable"] == ["m on b at 50 % zeros"]
    assert len(comparison["changes"]) == 1


def test_parts_are_entries_of_their_own() -> None:
    assert entry_name(entry(cycles_part="stm32l4")) == "m on b (stm32l4) at 50 % zeros"
    assert entry_name(entry(cycles_part=None)) == "m on b at 50 % zeros"


def test_nothing_in_common_is_an_error_rather_than_no_regression() -> None:
    with pytest.raises(UsageError, match="no entry in common"):
        compare(as_document([entry(model="other")]), as_document([entry()]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no json", "document"),
        ("[]", "document"),
        ('{"schema_version": 1, "entries": [{}]}', "entries.0.model"),
        ('{"schema_version": 2, "entries": []}', "schema version 2"),
        (json.dumps(as_document([entry(totals={"count": -1})])), "entries.0.totals.count"),
    ],
)
def test_other_files_are_a_format_error(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "old.json").write_text(text)
    with pytest.raises(FormatError, match=said):
        read_document(tmp_path / "old.json")


def test_documents_are_read_back(tmp_path: Path) -> None:
    document = as_document([entry(cycles=3), entry(board="c", cycles_part=None)])
    (tmp_path / "old.json").write_text(json.dumps(document))
    assert read_document(tmp_path / "old.json") == document


# --- Tables ------------------------------------------------------------------------------------


def lines(text: str) -> dict[str, str]:
    """Lines of the first table by their first word."""
    return {line.split()[0]: line for line in reversed(text.splitlines()) if line.strip()}


def test_every_entry_has_layers_total_and_telemetry() -> None:
    text = shown(*render_bench(as_document([entry()])))
    found = lines(text)
    assert found["conv"].split() == ["conv", "CONV", "delta8", "2,000", "500", "990", "0.495",
                                     "40", "24"]  # fmt: skip
    assert found["total"].split()[1:] == ["2,000", "500", "1,000", "0.500", "4,321", "24"]
    assert "17" in text.split("telemetry: zeros")[1].splitlines()[0]
    assert "333" in text.split("telemetry: records")[1].splitlines()[0]
    assert text.splitlines()[-1].split()[-2:] == ["4,321", "765"]
    assert "modelled" not in text


def test_modelled_cycles_have_columns_where_there_are_some() -> None:
    text = shown(*render_bench(as_document([entry(cycles=3000)])))
    assert "modelled" in text
    assert "1.500" in lines(text)["total"]


def test_targets_without_time_base_show_no_counts() -> None:
    text = shown(*render_bench(as_document([entry(unit="none", count=0)])))
    assert "telemetry" not in text
    assert "4,321" in text


# --- Profile -----------------------------------------------------------------------------------


def profiled_entry() -> dict[str, Any]:
    """A layer of seven functions and the rest of the run."""
    functions = [{"name": f"f{i}", "cycles": 640 >> i} for i in range(7)]
    whole = sum(each["cycles"] for each in functions)
    layer = {"index": 0, "name": "m/conv/Relu;m/add", "cycles": whole, "functions": functions}
    ends = {"index": None, "name": "rest of run", "cycles": 30}
    rest = ends | {"functions": [{"name": "run (x.c)", "cycles": 30}]}
    overall = [*functions[:5], rest["functions"][0], *functions[5:]]
    profile = {"cycles": whole + 30, "layers": [layer, rest], "functions": overall}
    return entry(cycles=whole + 30, profile=profile)


def test_a_profile_shows_the_costliest_functions_of_each_layer() -> None:
    text = shown(*render_profiles(as_document([entry(), profiled_entry()])))
    rows = [line.split() for line in text.splitlines()]
    assert text.count("one run by function") == 1
    assert ["conv", "f0", "640", "50.4"] in rows
    assert ["others", "30", "2.4"] in rows
    assert ["rest", "of", "run", "run", "(x.c)", "30", "100.0"] in rows
    assert ["all", "f0", "640", "49.2"] in rows
    assert ["f6", "10", "0.8"] in rows
    assert list(render_profiles(as_document([entry()]))) == []


def test_folded_stacks_have_a_line_for_each_function() -> None:
    stacks = folded_stacks(profiled_entry()).splitlines()
    assert stacks[0] == "m;m/conv/Relu;f0 640"
    assert stacks[-1] == "m;rest of run;run (x.c) 30"
    assert len(stacks) == 8
    entry = profiled_entry() | {"cycles_part": "fast"}
    assert file_name(entry, with_part=False, with_sparsity=False) == Path("m-b.folded")
    assert file_name(entry, with_part=False, with_sparsity=True) == Path("m-b-50.folded")
    assert file_name(entry, with_part=True, with_sparsity=True) == Path("m-b-fast-50.folded")


@pytest.mark.parametrize("name", ["native", "qemu:cortex-m33"])
def test_only_modelled_boards_have_profiles(name: str) -> None:
    with pytest.raises(UsageError, match="are not modelled"):
        Bench(boards=("qemu", name), profile=True)


def test_one_file_takes_one_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--profile-out", "x.folded"]) == 2
    assert "for one entry" in capsys.readouterr().err


# --- Command -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "0.5,", "a", "0,1.5", "-0.1", "nan"])
def test_shares_are_numbers_from_0_to_1(text: str) -> None:
    with pytest.raises(UsageError, match="--sparsity"):
        parse_shares(text)


def test_lists_have_commas() -> None:
    assert parse_shares("0, 0.5,1") == (0.0, 0.5, 1.0)
    assert parse_names("qemu, native") == ("qemu", "native")
    with pytest.raises(UsageError, match="list of names"):
        parse_names("qemu,,native")


@pytest.mark.parametrize(
    "options",
    [
        {"boards": ("qemu", "qemu-mps2-an386")},
        {"sparsities": (0.5, 0.5)},
        {"parts": ("ideal", "ideal")},
        {"models": (Path("a/m.tflite"), Path("b/m.tflite"))},
        {"models": (Path("a"), Path("b")), "inputs": Path("x.npz")},
        {"boards": ("nowhere",)},
    ],
)
def test_what_cannot_be_told_apart_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Bench(**options)


def test_nothing_is_done_to_the_weights_at_0() -> None:
    bench = Bench(depthwise=True)
    assert bench.recipe(0.0) == Recipe("none", 0.0, True, None)
    assert bench.recipe(0.5) == Recipe("topk", 0.5, True, None)
    groups = Bench(granularity="1x4")
    assert groups.recipe(0.0).granularity == "element"
    assert groups.recipe(0.5) == Recipe("topk", 0.5, granularity="1x4")


def test_bench_goes_by_shares_of_zeros():
    with pytest.raises(UsageError, match="relative or topk, not 'flat'"):
        Bench(method="flat")
    with pytest.raises(UsageError, match="unknown granularity"):
        Bench(granularity="2x4")


def test_an_entry_says_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = measure(Bench(runs=2), None, "native", 0.5)
    assert (found["model"], found["board"], found["runs"]) == ("digits", "native", 2)
    assert (found["method"], found["sparsity"], found["unit"]) == ("topk", 0.5, "none")
    assert found["telemetry"] == {"zeros": 0, "saturated": 0, "records": 0}
    assert sum(layer["encoded_bytes"] for layer in found["layers"]) < found["totals"]["flash_bytes"]
    scratch = max(layer["scratch_bytes"] for layer in found["layers"])
    assert scratch == found["totals"]["scratch_bytes"] > 0
    assert str(tmp_path) not in json.dumps(found)
    assert list(tmp_path.iterdir()) == []


def test_every_model_board_and_share_has_an_entry() -> None:
    said: list[str] = []
    document = measure_all(Bench(boards=("native",), sparsities=(0.0, 0.9), runs=1), said.append)
    assert [each["sparsity"] for each in document["entries"]] == [0.0, 0.9]
    assert len(said) == 2
    dense, sparse = (each["totals"] for each in document["entries"])
    assert sparse["macs_done"] < dense["macs_done"]
    assert sparse["flash_bytes"] < dense["flash_bytes"]


def test_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["bench", "--board", "native", "--sparsity", "0.5", "--runs", "1"]
    assert main([*common, "--json", "new.json"]) == 0
    first = capsys.readouterr()
    assert "digits on native" in first.out
    assert "1 of 1" in first.err
    assert main([*common, "--json", "-", "--against", "new.json"]) == 0
    second = capsys.readouterr()
    assert json.loads(second.out) == json.loads((tmp_path / "new.json").read_text())
    assert "against the earlier result" in second.err


def test_exit_code_of_a_regression(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table and the document come all the same."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("edgesparse.bench.measure.measure", lambda *_, **__: entry(count=1020))
    (tmp_path / "old.json").write_text(json.dumps(as_document([entry()])))
    common = ["bench", "--sparsity", "0.5", "--against", "old.json", "--json", "new.json"]
    assert main([*common, "--max-regression", "0.02"]) == 0
    assert main(common) == 8
    said = capsys.readouterr()
    assert "+2.00" in said.out
    assert "m on b at 50 % zeros: 1,000 -> 1,020 instructions, +2.00 %" in said.err
    assert json.loads((tmp_path / "new.json").read_text())["entries"][0]["totals"]["count"] == 1020


def test_counting_zeros_is_shown_for_an_activation() -> None:
    """Layers without a kernel count none."""
    one = entry()
    one["layers"] = [
        one["layers"][0] | {"activations": 10, "kernel": "k"},
        one["layers"][0] | {"activations": 90, "kernel": ""},
    ]
    assert "in total, 1.70 each" in shown(*render_bench(as_document([one])))


def test_entries_with_and_without_skipping_are_told_apart() -> None:
    both = [entry(skip_activations="auto", count=900), entry(skip_activations="off")]
    names = [entry_name(each) for each in both]
    assert names[1] == names[0] + ", no activations skipped"
    changes = compare(as_document(both), as_document(both[::-1]))["changes"]
    assert [change["change"] for change in changes] == [0.0, 0.0]


def test_a_bench_hands_its_choice_on() -> None:
    choice = Recipe(optimize="instructions", max_ram=10**6)
    bench = Bench(choice=choice, skips=("off", "auto"), sparsities=(0.0, 0.5))
    assert bench.entry_count == 4
    made = bench.recipe(0.5, "off")
    assert (made.optimize, made.max_ram, made.skip_activations) == ("instructions", 10**6, "off")
    with pytest.raises(UsageError, match="belongs to one model"):
        Bench(choice=Recipe(profile=Path("x.npz")), models=(Path("a"), Path("b")))
