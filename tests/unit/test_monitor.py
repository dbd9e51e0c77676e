"""`edgesparse monitor`: a board that is started, lines that break, devices that restart."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import StringIO
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from edgesparse.cli import main
from edgesparse.deploy.native import NativeTarget
from edgesparse.deploy.run import Options, Prepared, prepare
from edgesparse.export import export_run
from edgesparse.inputs import batch_bytes
from edgesparse.monitor import command as monitor_command
from edgesparse.monitor.view import View
from edgesparse.pipeline import Recipe, convert_file
from edgesparse.telemetry.log import open_log, read_log, replay
from edgesparse.telemetry.record import Hello
from edgesparse.telemetry.runs import BrokenRun, RunResult, WindowResult
from tests.meanwhile import meanwhile, nothing, size_of, wait_for
from tests.served import ServedDevice

ROWS = 4


@pytest.fixture(autouse=True)
def _in_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def prepared() -> Prepared:
    return prepare(None, Recipe(), Options(board="native", runs=ROWS))


def device(prepared: Prepared, *, batch: bool = True) -> NativeTarget:
    image = prepared.image
    rows = batch_bytes(prepared.rows) if batch else b""
    return NativeTarget(prepared.board, image.device_bytes(), rows, image.arena_bytes)


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    code = main(["monitor", *arguments])
    shown = capsys.readouterr()
    return code, shown.out, shown.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = run(capsys, *arguments, "--json")
    assert (code, err) == (0, "")
    told: dict[str, Any] = json.loads(out)
    return told


def results(folder: str | Path) -> list[RunResult | WindowResult]:
    return list(open_log(Path(folder)).results())


def check_segment(folder: str | Path) -> int:
    """A whole run folder: told again, nothing in it changes; returns its runs."""
    folder = Path(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert set(before) == {"session.json", "capture.bin", "run.jsonl", "summary.json"}
    runs: int = replay(folder)["runs"]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert export_run(folder, "csv")[0].stat().st_size > 0
    return runs


# --- A board that is started -------------------------------------------------------------------


def test_a_board_runs_until_it_is_enough(capsys: pytest.CaptureFixture[str]) -> None:
    told = document(capsys, "--board", "native", "--runs", "50", "--log", "logs")
    assert (told["runs"], told["broken_runs"], told["restarts"]) == (50, 0, 0)
    assert told["logs"] == ["logs/000001"]
    assert check_segment("logs/000001") == 50
    # Twenty rows, again and again, with their labels and expected outputs.
    assert [each.run for each in results("logs/000001")] == list(range(50))
    assert (told["summary"]["accuracy"], told["summary"]["mismatches"]) == (1.0, 0)
    outputs = [each.outputs for each in results("logs/000001") if isinstance(each, RunResult)]
    assert outputs[:20] == outputs[20:40]
    assert outputs[0] != outputs[1]


def test_windows_of_runs(capsys: pytest.CaptureFixture[str]) -> None:
    told = document(capsys, *("--board", "native", "--runs", "10", "--every", "4", "--log", "logs"))
    windows = [each for each in results("logs/000001") if isinstance(each, WindowResult)]
    assert [(each.run, each.runs) for each in windows] == [(0, 4), (4, 4), (8, 2)]
    assert told["runs"] == check_segment("logs/000001") == 10
    # The rows of single runs, added up.
    document(capsys, "--board", "native", "--runs", "10", "--log", "single")
    single, summed = (read_log(Path(log)).document for log in ("single/000001", "logs/000001"))
    keys = ("macs_done", "activation_zeros", "activation_zeros_min", "saturated")
    for key in keys:
        assert [layer[key] for layer in single["layers"]] == [
            layer[key] for layer in summed["layers"]
        ]


def test_plain_lines_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "--board", "native", "--runs", "3", "--log", "logs")
    lines = out.splitlines()
    assert code == 0
    assert [line.split(":")[0] for line in lines[:3]] == [f"start 1 run {i}" for i in range(3)]
    assert lines[0].endswith("47.9 % of MACs skipped, 30.8 % zeros")
    assert lines[3] == "digits on native, mean of 3 runs"
    assert "encoding" in out  # nothing is left out of the table
    assert "log: logs/000001" in err
    code, out, _ = run(capsys, "--board", "native", "--runs", "6", "--every", "3", "--log", "w")
    assert [line.split(":")[0] for line in out.splitlines()[:2]] == [
        "start 1 runs 0-2",
        "start 1 runs 3-5",
    ]


def test_logs_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    told = document(capsys, "--board", "native", "--runs", "1")
    (folder,) = told["logs"]
    assert folder.startswith("edgesparse-runs/")
    assert folder.endswith("-digits-native/000001")
    assert check_segment(folder) == 1


def test_histograms(capsys: pytest.CaptureFixture[str]) -> None:
    document(capsys, "--board", "native", "--runs", "2", "--histograms", "--log", "logs")
    for result in results("logs/000001"):
        values = {node: sum(bins) for (node, _), bins in result.histograms.items()}
        assert values == {layer.node: layer.activations for layer in result.layers}
    assert len(export_run(Path("logs/000001"), "tensorboard")) == 1


# --- Rotation ----------------------------------------------------------------------------------


def test_rotation_by_size_loses_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    told = document(
        capsys,
        *("--board", "native", "--runs", "40", "--log", "logs"),
        *("--forever", "--rotate-bytes", "20000", "--keep", "100"),
    )
    assert len(told["logs"]) > 3
    assert told["logs"] == sorted(told["logs"])
    counts = [check_segment(folder) for folder in told["logs"]]
    assert sum(counts) == told["runs"] == 40
    assert [each.run for log in told["logs"] for each in results(log)] == list(range(40))
    sizes = [
        sum((Path(log) / name).stat().st_size for name in ("capture.bin", "run.jsonl"))
        for log in told["logs"]
    ]
    assert all(20000 <= size < 25000 for size in sizes[:-1])


def test_rotation_keeps_the_newest(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--board", "native", "--runs", "20", "--log", "logs", "--forever")
    told = document(capsys, *options, "--rotate-bytes", "1", "--keep", "3")
    # A log for each run, and one behind the last run.
    assert [path.name for path in sorted(Path("logs").iterdir())] == ["000019", "000020", "000021"]
    assert told["runs"] == 20
    assert [check_segment(path) for path in sorted(Path("logs").iterdir())] == [1, 1, 0]
    # Started again, it goes on behind them.
    document(capsys, *options, "--keep", "3")
    assert [path.name for path in sorted(Path("logs").iterdir())] == ["000020", "000021", "000022"]


def test_rotation_by_age(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--board", "native", "--runs", "5", "--log", "logs", "--forever")
    told = document(capsys, *options, "--rotate-seconds", "0")
    assert [check_segment(log) for log in told["logs"]] == [1, 1, 1, 1, 1, 0]


# --- A device at a port ------------------------------------------------------------------------


@pytest.mark.parametrize("rfc2217", [False, True], ids=["socket", "rfc2217"])
def test_a_device_at_a_port(
    capsys: pytest.CaptureFixture[str], prepared: Prepared, rfc2217: bool
) -> None:
    with ServedDevice(device(prepared), rfc2217=rfc2217) as served:
        told = document(
            capsys,
            *("--port", served.url, "--start", "--rows", str(ROWS)),
            *("--runs", "12", "--log", "logs"),
        )
    assert (told["runs"], told["frames_lost"], told["frames_damaged"]) == (12, 0, 0)
    assert check_segment("logs/000001") == 12
    outputs = [each.outputs for each in results("logs/000001") if isinstance(each, RunResult)]
    assert outputs[:ROWS] * 3 == outputs


def test_a_restart_is_noticed_and_runs_begin_anew(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    served = ServedDevice(device(prepared))
    log = "logs/000001"
    with served, meanwhile((log, served.reset), (log, nothing)):
        told = document(
            capsys, "--port", served.url, "--start", "--rows", str(ROWS), "--log", "logs"
        )
    assert (told["restarts"], told["logs"]) == (1, ["logs/000001"])
    by_boot: dict[int, list[int]] = {}
    for each in results("logs/000001"):
        by_boot.setdefault(each.boot_id & 0xFFFF, []).append(each.run)
    assert [runs == list(range(len(runs))) for runs in by_boot.values()] == [True, True]
    assert sum(map(len, by_boot.values())) == told["runs"] == check_segment("logs/000001")
    first, second = by_boot
    assert second == first + 1
    # What is shown is what came since the last start.
    assert told["summary"]["runs"] == len(by_boot[second])


def test_a_connection_that_is_lost_comes_back_with_a_log_of_its_own(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    served = ServedDevice(device(prepared))
    with served, meanwhile(("logs/000001", served.drop), ("logs/000002", nothing)):
        code, _, err = run(
            capsys, "--port", served.url, "--start", "--rows", str(ROWS), "--log", "logs"
        )
        assert served.connections == 2
    assert code == 0
    said = err.splitlines()
    assert [line.split(" (")[0] for line in said if "device:" not in line] == [
        "log: logs/000001",
        f"lost the connection to {served.url}",
        f"connected to {served.url}",
        "log: logs/000002",
    ]
    assert min(check_segment("logs/000001"), check_segment("logs/000002")) > 10
    nonces = {open_log(Path("logs") / name).setup.nonce for name in ("000001", "000002")}
    assert len(nonces) == 2


def test_forever_waits_for_the_first_connection(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    with ServedDevice(device(prepared)) as gone:
        port = int(gone.url.rpartition(":")[2])
    with ExitStack() as late, meanwhile(("logs/000001", nothing)):

        def serve() -> None:
            late.enter_context(ServedDevice(device(prepared), port=port))

        timer = threading.Timer(0.5, serve)
        timer.start()
        told = document(capsys, "--port", gone.url, "--start", "--forever", "--log", "logs")
        timer.join()
    assert told["runs"] == check_segment("logs/000001") > 10


def test_listening_alone_asks_for_no_run(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    with ServedDevice(device(prepared)) as served:
        told = document(capsys, "--port", served.url, "--duration", "0.5", "--log", "logs")
    assert told["runs"] == check_segment("logs/000001") == 0
    assert told["summary"]["memory"]["arena_used_bytes"] == prepared.image.arena_bytes


def test_listening_to_a_device_that_runs_already(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    """One monitor starts it and is killed; the other finds it running."""
    with ServedDevice(device(prepared)) as served:
        start = ["--port", served.url, "--start", "--rows", str(ROWS), "--log", "first"]
        first = start_monitor(*start)
        wait_for(lambda: size_of("first/000001/capture.bin") > 5000)
        first.kill()
        first.wait()
        told = document(capsys, "--port", served.url, "--runs", "20", "--log", "second")
    assert told["runs"] >= 20
    assert told["summary"]["model"] == "unknown"
    assert check_segment("second/000001") == told["runs"]
    runs = [each.run for each in results("second/000001")]
    assert runs == list(range(runs[0], runs[0] + len(runs)))
    # Of the one that was killed, all but what it was just writing is readable.
    assert replay(Path("first/000001"))["runs"] > 5


def test_rows_over_the_line(
    capsys: pytest.CaptureFixture[str], prepared: Prepared, tmp_path: Path
) -> None:
    from edgesparse import demo

    convert_file(None, tmp_path / "digits.esm", Recipe())
    with ServedDevice(device(image_of(tmp_path / "digits.esm", prepared), batch=False)) as served:
        told = document(
            capsys,
            *("digits.esm", "--port", served.url, "--start", "--inputs", str(demo.data_path())),
            *("--runs", "8", "--log", "logs"),
        )
    assert told["runs"] == check_segment("logs/000001") == 8
    assert [each.run for each in results("logs/000001")] == list(range(8))
    assert told["summary"]["model"] == "digits"


def image_of(path: Path, prepared: Prepared) -> Prepared:
    from edgesparse.image import read_image

    return replace(prepared, image=read_image(path.read_bytes()))


# --- What runs there ---------------------------------------------------------------------------


def names_at(capsys: pytest.CaptureFixture[str], served: ServedDevice, *more: str) -> list[str]:
    told = document(capsys, *more, "--port", served.url, "--start", "--runs", "2")
    return [layer["name"] for layer in told["summary"]["layers"]]


def test_names_come_from_an_earlier_log(
    capsys: pytest.CaptureFixture[str], prepared: Prepared
) -> None:
    with ServedDevice(device(prepared)) as served:
        assert names_at(capsys, served) == [f"node {i}" for i in range(7)]
        (unknown,) = Path("edgesparse-runs").glob("*/000001")
        rows = export_run(unknown, "csv")[0].read_text().splitlines()
        assert len(rows) == 1 + 2 * 7
        assert main(["report", str(unknown)]) == 2
        assert "is of an image that nothing is known of" in capsys.readouterr().err
    assert main(["deploy", "--board", "native", "--runs", str(ROWS), "--json"]) == 0
    capsys.readouterr()
    known = [layer.name for layer in prepared.image.meta.layers]
    with ServedDevice(device(prepared)) as served:
        assert names_at(capsys, served) == known


def test_names_come_from_a_model_if_it_is_the_same(
    capsys: pytest.CaptureFixture[str], prepared: Prepared, tmp_path: Path
) -> None:
    convert_file(None, tmp_path / "digits.esm", Recipe())
    convert_file(None, tmp_path / "thin.esm", Recipe(method="topk", sparsity=0.9))
    served_image = image_of(tmp_path / "digits.esm", prepared)
    with ServedDevice(device(served_image)) as served:
        names = names_at(capsys, served, "digits.esm")
        assert names == [layer.name for layer in prepared.image.meta.layers]
        code, _, err = run(capsys, "thin.esm", "--port", served.url, "--runs", "1")
    assert code == 2
    assert "the device runs another image than digits (CRC " in err


# --- The end -----------------------------------------------------------------------------------


def start_monitor(*arguments: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-c",
        "import sys; from edgesparse.cli import main; sys.exit(main())",
    ]
    return subprocess.Popen(
        [*command, "monitor", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def monitor() -> Iterator[subprocess.Popen[str]]:
    """One that runs the native board, and has run it for a while."""
    process = start_monitor("--board", "native", "--log", "logs", "--every", "7")
    wait_for(lambda: size_of("logs/000001/capture.bin") > 20000)
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_in_order(monitor: subprocess.Popen[str], number: signal.Signals) -> None:
    monitor.send_signal(number)
    out, _ = monitor.communicate(timeout=60)
    assert monitor.returncode == 0
    runs = check_segment("logs/000001")
    assert f"{runs:,} in all" in out
    # The last window was cut short, and came all the same.
    assert (
        sum(each.runs for each in results("logs/000001") if isinstance(each, WindowResult)) == runs
    )


def test_killed(monitor: subprocess.Popen[str]) -> None:
    monitor.kill()
    monitor.communicate()
    capture = Path("logs/000001/capture.bin").read_bytes()
    runs = replay(Path("logs/000001"))["runs"]
    assert runs >= 7
    told = Path("logs/000001/run.jsonl").read_bytes().splitlines()
    # The first zero byte ends whatever the line carried before.
    assert len(told) == capture.count(b"\0") - 1
    assert check_segment("logs/000001") == runs


# --- What goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "give --board to start one, or --port"),
        (["--board", "native", "--port", "x"], 2, "give --board to start one, or --port"),
        (["--board", "native", "--start"], 2, "--start and --rows belong to --port"),
        (["--board", "native", "--keep", "3"], 2, "need --forever"),
        (["--board", "nowhere"], 2, "no board is called 'nowhere'"),
        (["--board", "native", "--rate", "100"], 2, "has no time base to keep a rate by"),
        (["--port", "/dev/nowhere"], 5, "cannot open /dev/nowhere: No such file or directory"),
        (["--port", "socket://127.0.0.1:1"], 5, "cannot open socket://127.0.0.1:1: "),
        (["--port", "nonsense://x"], 5, "cannot open nonsense://x: "),
        (["--port", "socket://nowhere"], 2, "socket://nowhere names no port"),
        (["--port", "x", "--start", "--inputs", "x.npz"], 2, "cannot read x.npz"),
    ],
)
def test_bad_input_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, said: str
) -> None:
    got, _, err = run(capsys, *arguments)
    assert got == code
    assert said in err.splitlines()[0]


def test_a_folder_with_other_things_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("logs").mkdir()
    Path("logs/thesis.txt").write_text("all of it")
    code, _, err = run(capsys, "--board", "native", "--runs", "1", "--log", "logs")
    assert code == 2
    assert "holds thesis.txt" in err
    assert Path("logs/thesis.txt").read_text() == "all of it"


def test_a_full_disk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    real_write, writes = os.write, count()

    def write(handle: int, data: memoryview) -> int:
        if next(writes) < 30:
            return real_write(handle, data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", write)
        code, out, err = run(capsys, "--board", "native", "--log", "logs")
    assert code == 2
    assert "cannot write the log logs/000001: No space left on device" in err
    assert 0 < replay(Path("logs/000001"))["runs"] == out.count("start 1 run")


def test_nobody_answers(
    capsys: pytest.CaptureFixture[str], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monitor_command, "_HELLO_S", 0.3)
    with ServedDevice(device(prepared), mute=True) as served:
        code, _, err = run(capsys, "--port", served.url)
    assert code == 6
    assert "the device did not say HELLO in 0.3 s" in err
    assert not Path("edgesparse-runs").exists()


def test_an_empty_device_is_refused(capsys: pytest.CaptureFixture[str], prepared: Prepared) -> None:
    with ServedDevice(NativeTarget(prepared.board, b"\xff" * 4096, b"", 4096)) as served:
        code, _, err = run(capsys, "--port", served.url, "--start")
    assert code == 4
    assert "no_model" in err


def test_replay_of_the_parent_names_the_logs(capsys: pytest.CaptureFixture[str]) -> None:
    document(capsys, "--board", "native", "--runs", "1", "--log", "logs")
    assert main(["replay", "logs"]) == 2
    assert "logs/000001" in capsys.readouterr().err


# --- The view ----------------------------------------------------------------------------------


def test_a_table_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    document(capsys, "--board", "native", "--runs", "3", "--log", "logs")
    log = open_log(Path("logs/000001"))
    screen, notes = StringIO(), StringIO()
    console = Console(file=screen, force_terminal=True, width=100, color_system=None)
    hello = Hello(
        **{
            **dict.fromkeys(Hello.__dataclass_fields__, 0),
            "board": "native",
            "cpu": "host",
            "unit": "none",
            "build_id": b"\xab" * 16,
            "reset_reason": "power_on",
        }
    )
    with View(console, Console(file=notes)) as view:
        view.begin(log.setup)
        view.log_to(Path("logs/000001"))
        view.greet(hello, 2)
        for result in log.results():
            view.ended(result)
        view.ended(BrokenRun(9, "2 frames were lost"))
        view.note("the device restarted: start 3")
    shown = screen.getvalue()
    assert "digits on native, mean of 3 runs" in shown
    assert "start 2 (power on), host, firmware abababab" in shown
    assert "3 in all" in shown
    assert "1 not whole" in shown
    assert "run 9 is not whole: 2 frames were lost" in shown
    assert "the device restarted: start 3" in shown
    assert notes.getvalue() == "log: logs/000001\n"
