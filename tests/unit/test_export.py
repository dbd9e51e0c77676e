"""`edgesparse export`: a log in other tools' formats, read as those tools read it."""

from __future__ import annotations

import csv
import json
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from tensorboardX.proto.event_pb2 import Event

from edgesparse.cli import main
from edgesparse.errors import MissingToolError, UsageError
from edgesparse.export import FORMATS, export_run
from edgesparse.telemetry.cycles import CycleLog, RunCycles
from edgesparse.telemetry.log import RunLog
from edgesparse.telemetry.record import command
from tests.scripted import ScriptedTarget, small_setup

RUNS = 3


def write_log(folder: Path, *, boots: int = 1, cycles: bool = False) -> Path:
    """The log of a device that started `boots` times, with RUNS runs each."""
    setup = small_setup(runs=RUNS)
    with RunLog.create(folder, setup) as log:
        target = ScriptedTarget()
        for boot in range(1, boots + 1):
            target.boot_id = boot
            target.write(command("ping", len(target.received), nonce=setup.nonce))
            target.write(command("run", len(target.received), run=0, count=RUNS))
            log.received(target.read(1 << 20, 0.0))
            target.sequence = 0
        if cycles:
            log.cycled(CycleLog.header("ideal"))
            run = RunCycles(run=1, nodes=[(100, 150), (50, 75)], instructions=160, cycles=240)
            log.cycled(run.model_dump_json().encode() + b"\n")
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "log", boots=2)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_csv_has_a_row_for_each_layer_of_each_run(log: Path) -> None:
    rows = read_csv(export_run(log, "csv")[0])
    assert [(row["boot"], row["run"], row["node"]) for row in rows] == [
        (boot, run, node) for boot in "12" for run in "012" for node in "01"
    ]
    assert rows[0] == {
        "boot": "1",
        "runs": "1",
        "run": "0",
        "node": "0",
        "layer": "1",
        "name": "m/layer_1/Relu",
        "op": "CONV_2D",
        "encoding": "dense",
        "kernel": "",
        "weights": "16",
        "weight_zeros": "4",
        "activations": "8",
        "activation_zeros": "4",
        "activation_zeros_min": "4",
        "activation_zeros_max": "4",
        "saturated": "0",
        "thresholded": "",
        "macs": "128",
        "macs_done": "80",
        "count": "100",
        "modelled_cycles": "",
        "run_count": "160",
        "unit": "instructions",
    }


def test_modelled_cycles_of_the_run_they_belong_to(tmp_path: Path) -> None:
    rows = read_csv(export_run(write_log(tmp_path / "log", cycles=True), "csv")[0])
    assert [row["modelled_cycles"] for row in rows] == ["", "", "150", "75", "", ""]


def test_activations_that_thresholds_set_to_zero(tmp_path: Path) -> None:
    options = ["--runs", "4", "--activation-threshold", "0.1", "--json"]
    logs = [tmp_path / "single", tmp_path / "windows"]
    for log, more in zip(logs, ([], ["--every", "2"]), strict=True):
        assert main(["deploy", "--board", "native", "--log", str(log), *options, *more]) == 0
    layers = json.loads((logs[0] / "summary.json").read_bytes())["layers"]
    wanted = {
        str(layer["index"]): 4 * layer["thresholded"]
        for layer in layers
        if layer["activation_threshold"]
    }
    assert any(wanted.values())
    for log in logs:
        sums: dict[str, int] = {}
        for row in read_csv(export_run(log, "csv")[0]):
            if row["thresholded"]:
                sums[row["layer"]] = sums.get(row["layer"], 0) + int(row["thresholded"])
        assert sums == wanted
    (events,) = map(read_events, export_run(logs[1], "tensorboard"))
    tags = {value.tag for event in events for value in event.summary.value}
    assert len([tag for tag in tags if tag.startswith("thresholded_percent/")]) == len(wanted)


def test_parquet_is_the_same_table_with_types(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log", cycles=True)
    table = parquet.read_table(export_run(log, "parquet")[0])
    told = [{k: str("" if v is None else v) for k, v in row.items()} for row in table.to_pylist()]
    assert told == read_csv(export_run(log, "csv")[0])
    types = {field.name: str(field.type) for field in table.schema}
    assert (types["count"], types["name"], types["modelled_cycles"]) == ("int64", "string", "int64")


# --- Perfetto ----------------------------------------------------------------------------------


def trace_of(log: Path) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
    """The document, and its events by phase."""
    document = json.loads(export_run(log, "perfetto")[0].read_bytes())
    by_phase: dict[str, list[dict[str, Any]]] = {}
    for event in document["traceEvents"]:
        by_phase.setdefault(event["ph"], []).append(event)
    return document, by_phase


def test_perfetto_has_what_the_trace_event_format_asks_for(log: Path) -> None:
    document, events = trace_of(log)
    assert set(events) == {"M", "X", "C"}
    assert document["otherData"]["time base"] == "1 us = 1 of instructions"
    for event in document["traceEvents"]:
        assert {"ph", "pid", "tid", "ts", "name", "args"} <= set(event)
        assert all(type(event[key]) is int for key in ("pid", "tid", "ts"))
    assert all(type(event["dur"]) is int and event["dur"] >= 0 for event in events["X"])
    # A counter's arguments are its series: numbers only.
    assert all(
        isinstance(value, int | float) for event in events["C"] for value in event["args"].values()
    )
    named = {(event["pid"], event["name"]): event["args"]["name"] for event in events["M"]}
    assert named[1, "thread_name"] == "layers (1 us = 1 instruction)"
    assert named[2, "process_name"] == "small on native, start 2"


def test_perfetto_slices_nest_and_follow_each_other(log: Path) -> None:
    _, events = trace_of(log)
    for boot in (1, 2):
        slices = [event for event in events["X"] if event["pid"] == boot]
        open_until: list[int] = []
        before = 0
        for event in slices:
            start, end = event["ts"], event["ts"] + event["dur"]
            assert start >= before
            before = start
            while open_until and open_until[-1] <= start:
                open_until.pop()
            assert not open_until or end <= open_until[-1]
            open_until.append(end)
        assert [(event["name"], event["ts"], event["dur"]) for event in slices[:4]] == [
            ("run 0", 0, 160),
            ("1 layer_1", 0, 100),
            ("3 layer_3", 100, 50),
            ("run 1", 160, 160),
        ]


def test_perfetto_counts_sparsity(log: Path) -> None:
    _, events = trace_of(log)
    counters: dict[tuple[int, str], list[tuple[int, float]]] = {}
    for event in events["C"]:
        counters.setdefault((event["pid"], event["name"]), []).append(
            (event["ts"], event["args"]["percent"])
        )
    assert counters[1, "zeros %, 1 layer_1"] == [(0, 50.0), (160, 50.0), (320, 50.0)]
    assert counters[2, "zeros %, running layer"][:3] == [(0, 50.0), (100, 33.33), (160, 50.0)]
    assert counters[1, "MACs skipped %, running layer"][:2] == [(0, 37.5), (100, 16.67)]
    assert counters[1, "MACs skipped %, run"][0] == (0, 34.21)
    assert all(series == sorted(series) for series in counters.values())


def test_perfetto_needs_a_time_base(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["deploy", "--board", "native", "--runs", "1", "--log", "log", "--json"]) == 0
    capsys.readouterr()
    assert main(["export", "log", "--to", "perfetto"]) == 2
    assert "native does not count" in capsys.readouterr().err


# --- TensorBoard -------------------------------------------------------------------------------


def read_events(path: Path) -> list[Event]:
    """Records of a TFRecord file: length, CRC, bytes, CRC."""
    data, events = path.read_bytes(), []
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    return events


def test_tensorboard_scalars_by_run_a_folder_for_each_boot(log: Path) -> None:
    written = export_run(log, "tensorboard")
    assert [path.parent.name for path in written] == ["boot-1", "boot-2"]
    for path in written:
        series: dict[str, list[tuple[int, float]]] = {}
        for event in read_events(path):
            for value in event.summary.value:
                series.setdefault(value.tag, []).append((event.step, value.simple_value))
        assert series["activation_zeros_percent/1_layer_1"] == [(0, 50), (1, 50), (2, 50)]
        assert series["instructions/3_layer_3"] == [(0, 50), (1, 50), (2, 50)]
        assert series["run/instructions"] == [(0, 160), (1, 160), (2, 160)]
        assert len(series) == 8


# --- Model Explorer ----------------------------------------------------------------------------


def test_model_explorer_colours_operators_by_their_index(log: Path) -> None:
    graphs = {
        path.stem: json.loads(path.read_bytes()) for path in export_run(log, "model-explorer")
    }
    values = {
        name: {node: result["value"] for node, result in graph["results"].items()}
        for name, graph in graphs.items()
    }
    assert values == {
        "activation_zeros_percent": {"0": 33.33, "1": 50.0, "2": 50.0, "3": 33.33},
        "weight_zeros_percent": {"1": 25.0, "3": 16.67},
        "macs_skipped_percent": {"1": 37.5, "3": 16.67},
        "instructions": {"1": 100, "3": 50},
    }
    thresholds = graphs["weight_zeros_percent"]["thresholds"]
    assert [each["value"] for each in thresholds] == list(range(10, 101, 10))
    assert len({each["bgColor"] for each in thresholds}) == 10
    stops = [each["stop"] for each in graphs["instructions"]["gradient"]]
    assert stops == [0, 1]


# --- The command -------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_log_gives_the_same_bytes(log: Path, tmp_path: Path, form: str) -> None:
    written = export_run(log, form, tmp_path / "out")
    before = [path.read_bytes() for path in written]
    assert export_run(log, form, tmp_path / "out") == written
    after = [path.read_bytes() for path in written]
    # The first event of TensorBoard's files says when they were written.
    assert form == "tensorboard" or before == after
    assert not (log / FORMATS[form][1]).exists()


def test_the_command_names_what_it_wrote(capsys: pytest.CaptureFixture[str], log: Path) -> None:
    assert main(["export", str(log), "--to", "csv"]) == 0
    assert capsys.readouterr().out == f"wrote {log / 'layers.csv'}\n"
    assert main(["export", str(log), "--to", "csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == [str(log / "layers.csv")]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["log", "--to", "xml"], 2, "no format is called 'xml'"),
        (["nowhere", "--to", "csv"], 2, "cannot read nowhere/session.json"),
        (["log", "--to", "csv", "-o", "no/where.csv"], 2, "cannot write no/where.csv"),
        (["log", "--to", "tensorboard", "-o", "log/capture.bin"], 2, "cannot write"),
        (["log", "--to", "model-explorer", "-o", "log/capture.bin"], 2, "cannot write"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str],
    log: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(log.parent)
    assert main(["export", *arguments]) == code
    assert said in capsys.readouterr().err.splitlines()[0]


@pytest.mark.parametrize("form", ["perfetto", "tensorboard", "model-explorer"])
def test_a_log_without_runs(tmp_path: Path, form: str) -> None:
    """A table may be empty; a drawing of nothing is none."""
    with RunLog.create(tmp_path / "log", small_setup()):
        pass
    assert read_csv(export_run(tmp_path / "log", "csv")[0]) == []
    with pytest.raises(UsageError, match="log has no whole run"):
        export_run(tmp_path / "log", form, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("form", "package"), [("parquet", "pyarrow"), ("tensorboard", "tensorboardX")]
)
def test_a_package_that_is_missing(
    log: Path, monkeypatch: pytest.MonkeyPatch, form: str, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingToolError, match=rf"pip install 'edgesparse\[{form}\]'"):
        export_run(log, form)
