"""The document: means, totals, comparisons; and the table at several widths."""

from __future__ import annotations

import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from edgesparse.errors import FormatError
from edgesparse.inputs import Inputs
from edgesparse.meta import HostStep, Meta, OutputMeta
from edgesparse.names import short_name
from edgesparse.outputs import finish_outputs, first_maximum, same_values
from edgesparse.report.live import LiveTable
from edgesparse.report.summary import Summary
from edgesparse.report.table import render_table
from edgesparse.telemetry.cycles import CycleLog, RunCycles
from edgesparse.telemetry.runs import DUMP_RUNS_FROM
from edgesparse.telemetry.setup import Setup, StoredArray
from tests.scripted import (
    NONCE,
    OUTPUT,
    hello,
    result,
    small_meta,
    small_setup,
    summarize,
)


def golden(*rows: np.ndarray) -> tuple[StoredArray, ...]:
    return (StoredArray.of(np.stack(rows)),)


# --- The document ------------------------------------------------------------------------------


def test_the_keys_that_may_never_change() -> None:
    document = summarize(small_setup(), None, [result(0)])
    assert list(document)[:9] == [
        "schema_version",
        "model",
        "board",
        "unit",
        "runs",
        "accuracy",
        "mismatches",
        "totals",
        "layers",
    ]
    assert document["schema_version"] == 1
    totals = {"count", "macs", "macs_done", "flash_bytes", "arena_bytes", "scratch_bytes"}
    assert totals <= set(document["totals"])
    layer = {
        "index",
        "name",
        "op",
        "encoding",
        "macs",
        "macs_done",
        "weights",
        "weight_zeros",
        "activations",
        "activation_zeros",
        "count",
    }
    assert all(layer <= set(row) for row in document["layers"])


def test_numbers_of_one_run() -> None:
    document = summarize(small_setup(), hello(build_id=bytes(range(16))), [result(0)])
    assert (document["model"], document["board"], document["runs"]) == ("small", "native", 1)
    assert document["unit"] == "instructions"
    assert document["totals"] == {
        "count": 160,
        "macs": 152,
        "macs_done": 100,
        "flash_bytes": 1000,
        "arena_bytes": 200,
        "scratch_bytes": 32,
        "count_outside_layers": 10,
    }
    keys = ("index", "op", "macs", "macs_done", "activations", "activation_zeros", "count")
    assert [tuple(layer[key] for key in keys) for layer in document["layers"]] == [
        (0, "RESHAPE", 0, 0, 4, 1, 0),  # the zeros of the input's row 0
        (1, "CONV_2D", 128, 80, 8, 4, 100),
        (2, "RESHAPE", 0, 0, 8, 4, 0),  # the zeros of layer 1
        (3, "FULLY_CONNECTED", 24, 20, 3, 1, 50),
    ]
    assert document["firmware_build_id"] == "000102030405060708090a0b0c0d0e0f"
    assert document["model_sha256"] == "5" * 64
    assert document["image_sha256"] == "6" * 64
    assert document["command"] == ["edgesparse", "deploy"]


def test_counts_are_means_and_whole_numbers_stay_whole() -> None:
    runs = [result(0), result(1, counts=(101, 52), total=163, zeros=(7, 1))]
    document = summarize(small_setup(), None, runs)
    assert document["totals"]["count"] == 161.5
    assert document["totals"]["count_outside_layers"] == 10
    counts = [layer["count"] for layer in document["layers"]]
    assert counts == [0, 100.5, 0, 51]
    assert isinstance(counts[3], int)
    zeros = [layer["activation_zeros"] for layer in document["layers"]]
    assert zeros == [1.5, 5.5, 5.5, 1]


def test_counts_beyond_the_precision_of_a_double() -> None:
    big = 2**62 + 1
    runs = [result(run, counts=(big, 0), total=big) for run in (0, 1)]
    document = summarize(small_setup(), None, runs)
    assert document["totals"]["count"] == big
    assert json.loads(json.dumps(document))["layers"][1]["count"] == big


def test_runs_wrap_around_the_rows() -> None:
    setup = small_setup(labels=(0, 1), runs=3, golden=golden(OUTPUT, OUTPUT))
    document = summarize(setup, None, [result(0), result(1), result(2)])
    assert document["accuracy"] == 2 / 3  # the label of runs 0 and 2 is right
    assert document["layers"][0]["activation_zeros"] == 4 / 3


def test_accuracy_takes_the_first_maximum() -> None:
    tied = np.array([3, -7, 3], np.int8)
    for label, accuracy in ((0, 1.0), (2, 0.0)):
        document = summarize(
            small_setup(labels=(label, label)), None, [result(0, output=tied.tobytes())]
        )
        assert document["accuracy"] == accuracy


def test_mismatches_count_rows() -> None:
    other = OUTPUT + np.array([0, 0, 1], np.int8)
    setup = small_setup(golden=golden(OUTPUT, other), runs=4)
    assert summarize(setup, None, [result(0)])["mismatches"] == 0
    assert summarize(setup, None, [result(1)])["mismatches"] == 1
    assert summarize(setup, None, [result(run) for run in range(4)])["mismatches"] == 1


def test_nothing_to_compare_is_null() -> None:
    document = summarize(small_setup(), None, [result(0)])
    assert (document["accuracy"], document["mismatches"]) == (None, None)


def test_no_run_at_all() -> None:
    setup = small_setup(labels=(0, 1), golden=golden(OUTPUT, OUTPUT))
    document = summarize(setup, hello(unit=1), [])
    assert (document["runs"], document["accuracy"], document["mismatches"]) == (0, None, None)
    assert document["unit"] == "instructions"
    assert document["totals"]["count"] == 0
    json.dumps(document, allow_nan=False)


def test_runs_that_dump_tensors_do_not_count() -> None:
    document = summarize(small_setup(), None, [result(DUMP_RUNS_FROM, unit="none"), result(0)])
    assert (document["runs"], document["unit"]) == (1, "instructions")


def test_only_the_answer_to_our_ping_says_who_the_device_is() -> None:
    summary = Summary(small_setup(nonce=NONCE + 1))
    summary.greet(hello())
    assert summary.document()["firmware_build_id"] is None


def test_a_run_of_another_model_is_refused() -> None:
    meta = small_meta()
    fewer = meta.model_copy(update={"layers": meta.layers[:2]})
    with pytest.raises(FormatError, match="2 nodes, the image has 1"):
        summarize(small_setup(meta=fewer), None, [result(0)])


# --- Outputs -----------------------------------------------------------------------------------


def with_output(*steps: HostStep, dtype: str = "float32") -> Meta:
    output = OutputMeta(name="o", shape=(2, 3), dtype=dtype, scale=0.5, zero_point=2, steps=steps)
    return small_meta().model_copy(update={"outputs": (output,)})


DEQUANTIZE = HostStep(op="DEQUANTIZE", scale=0.5, zero_point=2)
CODES = np.array([[2, 3, 4], [0, 0, 0]], np.int8)


def test_int8_outputs_are_passed_on() -> None:
    (values,) = finish_outputs(with_output(dtype="int8"), [CODES.tobytes()])
    assert values.dtype == np.int8
    assert values.tolist() == CODES.tolist()


def test_host_steps_are_taken_in_order_row_by_row() -> None:
    (values,) = finish_outputs(with_output(DEQUANTIZE), [CODES.tobytes()])
    assert values.tolist() == [[0, 0.5, 1], [-1, -1, -1]]
    assert values.dtype == np.float32
    log = HostStep(op="LOG_SOFTMAX")
    (values,) = finish_outputs(with_output(DEQUANTIZE, log), [CODES.tobytes()])
    expected = np.array([0, 0.5, 1]) - np.log(np.sum(np.exp([0, 0.5, 1])))
    np.testing.assert_allclose(values, [expected, [-np.log(3)] * 3], atol=1e-6)
    soft = HostStep(op="SOFTMAX", beta=2.0)
    (values,) = finish_outputs(with_output(DEQUANTIZE, soft), [CODES.tobytes()])
    weights = np.exp(2 * np.array([0, 0.5, 1]))
    np.testing.assert_allclose(values, [weights / weights.sum(), [1 / 3] * 3], atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "outputs", "message"),
    [
        ((), [bytes(5)], "output 'o' has 5 bytes"),
        ((), [], "0 outputs, the model has 1"),
        ((HostStep(op="RELU"),), [bytes(6)], "needs RELU"),
    ],
)
def test_outputs_that_do_not_fit_the_model(
    steps: tuple[HostStep, ...], outputs: list[bytes], message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        finish_outputs(with_output(*steps), outputs)


def test_floats_may_differ_by_a_millionth_and_integers_not_at_all() -> None:
    values = np.array([[0.5, -1.0]], np.float32)
    assert same_values(values, values.reshape(-1) + np.float32(9e-7))
    assert not same_values(values, values + np.float32(3e-6))
    assert not same_values(values, np.array([0.5, np.nan], np.float32))
    assert not same_values(np.array([1], np.int8), np.array([2], np.int8))
    assert not same_values(np.array([-128], np.int8), np.array([127], np.int8))
    assert first_maximum(np.array([[1, 5], [5, 0]])) == 1


# --- What was known before ---------------------------------------------------------------------


def test_setup_is_gathered_from_what_a_run_is_given() -> None:
    rows = (np.array([[-1, 0, -1, 2], [0, 0, 0, 0]], np.int8),)
    x = np.zeros((5, 4), np.int8)
    inputs = Inputs(x=(x,), y=np.arange(5), golden=(np.arange(15, dtype=np.int8).reshape(5, 3),))
    setup = Setup.prepare(
        board="native",
        meta=small_meta(),
        image=b"image",
        arena_bytes=64,
        inputs=inputs,
        rows=rows,
        runs=2,
        command=["edgesparse"],
    )
    assert (setup.rows, setup.runs, setup.flash_bytes, setup.arena_bytes) == (2, 2, 5, 64)
    assert setup.image_sha256 == hashlib.sha256(b"image").hexdigest()
    assert setup.input_zeros == ((2, 0),)  # the input's zero point is -1
    assert setup.labels == (0, 1)
    assert setup.golden[0].array().tolist() == [[0, 1, 2], [3, 4, 5]]
    setup.check()
    made_up = Setup.prepare(
        board="native",
        meta=small_meta(),
        image=b"",
        arena_bytes=0,
        inputs=None,
        rows=rows,
        runs=2,
    )
    assert (made_up.labels, made_up.golden) == (None, ())


def test_setup_survives_json() -> None:
    floats = np.array([[0.1, -0.0, 3e38]] * 2, np.float32)
    setup = small_setup(labels=(1, 2), golden=(StoredArray.of(floats),))
    again = Setup.from_json(setup.to_json())
    assert again == setup
    assert again.golden[0].array().tobytes() == floats.tobytes()
    assert again.to_json() == setup.to_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"rows": 3},
        {"labels": (1,)},
        {"input_zeros": ((1, 2), (1, 2))},
        {"golden": golden(OUTPUT)},
        {"golden": golden(OUTPUT[:2], OUTPUT[:2])},
        {"golden": (StoredArray(dtype="int8", shape=(2, 3), data="!"),)},
        {"golden": (StoredArray(dtype="int8", shape=(2, 3), data="AAAA"),)},
        {"golden": (StoredArray(dtype="object", shape=(2, 3), data=""),)},
        {"golden": (StoredArray(dtype="int8", shape=(), data=""),)},
        {"golden": (StoredArray(dtype="int8", shape=(2, 2**40), data=golden(OUTPUT)[0].data),)},
        {"golden": golden(np.zeros((1000, 1000), np.int8))},
    ],
)
def test_setup_that_contradicts_itself_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError):
        Setup.from_json(small_setup(**changes).to_json())


@pytest.mark.parametrize("data", [b"", b"{}", b"[1]", b"\xff", b'{"nonce": -1}'])
def test_setup_that_is_none_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        Setup.from_json(data)
    assert "\n" not in str(caught.value)


# --- The table ---------------------------------------------------------------------------------


def run_cycles(run: int, nodes: list[tuple[int, int]]) -> RunCycles:
    return RunCycles(run=run, nodes=nodes, instructions=160, cycles=400)


def test_modelled_cycles_are_means_and_labelled() -> None:
    summary = Summary(small_setup())
    summary.model_cycles(CycleLog("ideal", {0: run_cycles(0, [(100, 150), (50, 60)])}))
    summary.add_cycles(run_cycles(1, [(100, 151), (50, 60)]))
    summary.add(result(0))
    summary.add(result(1))
    document = summary.document()
    assert document["cycles_part"] == "ideal"
    assert document["totals"]["modelled_cycles"] == 400
    assert [layer["modelled_cycles"] for layer in document["layers"]] == [0, 150.5, 0, 60]
    lines = shown(document, 160).splitlines()
    assert any(line.endswith("(ideal)") for line in lines)
    assert any("modelled cycles (ideal)" in line and "400 in all" in line for line in lines)
    (rest,) = [line for line in lines if "rest of run" in line]
    assert rest.split()[-1] == "190"


def test_a_run_without_modelled_cycles_leaves_none_for_all() -> None:
    summary = Summary(small_setup())
    summary.model_cycles(CycleLog("ideal", {0: run_cycles(0, [(100, 150), (50, 60)])}))
    summary.add(result(0))
    summary.add(result(1))
    document = summary.document()
    assert "cycles_part" not in document
    assert "modelled_cycles" not in document["totals"]
    assert "modelled" not in shown(document, 160)


def test_modelled_cycles_of_other_instructions_are_refused() -> None:
    summary = Summary(small_setup())
    summary.model_cycles(CycleLog("ideal", {0: run_cycles(0, [(101, 150), (50, 60)])}))
    with pytest.raises(FormatError, match="101 instructions in node 0, the device 100"):
        summary.add(result(0))


def shown(document: dict[str, Any], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(render_table(document))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def large_document() -> dict[str, Any]:
    """Numbers as wide as those of a real network."""
    document = summarize(
        small_setup(labels=(0, 1), golden=golden(OUTPUT, OUTPUT)), None, [result(0)]
    )
    document["layers"][1] |= {"macs": 1_310_720, "macs_done": 655_360, "count": 1_234_567}
    document["totals"] |= {"macs": 1_310_744, "macs_done": 655_380, "count": 1_234_667}
    return document


def test_a_wide_table_shows_everything() -> None:
    text = shown(large_document(), 160)
    lines = text.splitlines()
    assert "small on native, mean of 1 of 2 runs" in lines[0]
    (conv,) = [line.split() for line in lines if "CONV" in line]
    assert conv == [
        *("1", "layer_1", "CONV", "dense", "25.0", "50.0"),
        *("1,310,720", "655,360", "50.0", "1,234,567", "100.0"),
    ]
    (rest,) = [line.split() for line in lines if "rest of run" in line]
    assert rest[-2:] == ["10", "0.0"]
    assert "accuracy" in text
    assert "0 of 1 rows differ from golden" in text
    assert "655,380 of 1,310,744 done, 50.0 % skipped" in text


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_the_table_fits_and_keeps_what_matters(width: int) -> None:
    text = shown(large_document(), width)
    assert max(map(len, text.splitlines())) <= width
    for needed in ("layer_3", "FULLY_CONNECTED", "instructions", "1,234,567"):
        assert needed in text
    assert "…" not in text
    assert ("encoding" in text) == (width >= 100)


def test_without_time_base_there_are_no_counts() -> None:
    document = summarize(small_setup(), None, [result(0, unit="none", counts=(0, 0), total=0)])
    text = shown(document, 100)
    assert "no time base" in text
    assert "rest of run" not in text
    assert "instructions" not in text


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("functional_1/activation/Relu;functional_1/conv2d/BiasAdd", "activation"),
        ("MobilenetV1/MobilenetV1/Conv2d_1_pointwise/Relu6", "Conv2d_1_pointwise"),
        ("model/depthwise_conv2d_3/depthwise21", "depthwise_conv2d_3"),
        ("StatefulPartitionedCall:0", "StatefulPartitionedCall"),
        ("Relu", "Relu"),
        ("x0.1", "x0.1"),
        ("", ""),
    ],
)
def test_names_are_cut_to_what_tells_them_apart(name: str, short: str) -> None:
    assert short_name(name) == short


def test_a_file_gets_the_table_once_and_whole() -> None:
    console = Console(file=io.StringIO(), width=80)
    with LiveTable(console, Summary(small_setup())) as table:
        table.add(result(0))
        assert console.file.getvalue() == ""  # type: ignore[attr-defined]
        table.add(result(1))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("mean of 2 runs") == 1
    assert "encoding" in text
    assert "\x1b" not in text


def test_a_terminal_gets_the_last_state_also_after_ctrl_c() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True)

    def work() -> None:
        with LiveTable(console, Summary(small_setup())) as table:
            table.add(result(0))
            table.add(result(1))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "1 of 2 runs" in text
    assert text.rindex("mean of") > text.index("1 of 2 runs")


def test_nothing_is_shown_of_no_runs() -> None:
    console = Console(file=io.StringIO())
    with LiveTable(console, Summary(small_setup())):
        pass
    assert console.file.getvalue() == ""  # type: ignore[attr-defined]
