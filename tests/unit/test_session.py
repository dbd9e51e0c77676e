"""The conversation with a device: with one that a test scripts, and with the native one."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesparse import native
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.native import NativeTarget
from edgesparse.deploy.session import FLAG_DUMP, FLAG_RESET_STATE, Session
from edgesparse.encode import encode
from edgesparse.errors import (
    DeviceError,
    DeviceFaultError,
    ImageRefusedError,
    LinkTimeoutError,
    TargetError,
)
from edgesparse.image import Image, build_image
from edgesparse.model import parse_model
from edgesparse.telemetry.frame import encode as encode_frame
from edgesparse.telemetry.log import RunLog
from edgesparse.telemetry.runs import DUMP_RUNS_FROM
from tests.scripted import OUTPUT, ScriptedTarget, run_records, small_setup
from tests.tflite_builder import Builder


def greeted(**options: Any) -> tuple[ScriptedTarget, Session]:
    target = ScriptedTarget(**options)
    session = Session(target)
    session.hello()
    return target, session


# --- Who is there ------------------------------------------------------------------------------


def test_hello_is_the_answer_to_our_ping() -> None:
    target = ScriptedTarget()
    # A start, another host's runs, noise: none of them is an answer.
    target.to_host += b"boot loader v1\n\0" + target.say_hello() + target.frame("log", b"ready")
    target.boot_id = 0x7777 << 16 | 1
    target.to_host += target.run({"run": 3, "count": 2}) + b"\x03"
    target.to_host += b"\0" + target.say_hello(nonce=0x7777)
    hello = Session(target).hello()
    assert hello.board == "scripted"
    assert hello.nonce == next(f["nonce"] for name, f, _ in target.received if name == "ping")
    assert hello.nonce & 0xFFFF != 0


def test_hello_is_asked_for_again_where_it_got_lost() -> None:
    target = ScriptedTarget()
    asked: list[int] = []

    def third_time(fields: dict[str, Any], tail: bytes) -> bytes:
        asked.append(fields["nonce"])
        return target.ping(fields) if len(asked) == 3 else b""

    target.answers["ping"] = third_time
    Session(target).hello()
    assert len(asked) == 3
    assert len(set(asked)) == 1


def test_jobs_of_another_host_are_stopped_first() -> None:
    target, _ = greeted()
    assert [name for name, _, _ in target.received] == ["abort", "ping"]


def test_silence_is_given_up_without_waiting_where_the_target_does_not_wait() -> None:
    target = ScriptedTarget()
    target.answers["ping"] = lambda fields, tail: b""
    with pytest.raises(LinkTimeoutError, match="did not say HELLO in 5 s"):
        Session(target).hello(timeout_s=5)
    assert sum(target.waits) == pytest.approx(5)


def test_noise_without_end_is_given_up() -> None:
    target = ScriptedTarget()
    target.read = lambda max_bytes, timeout_s: b"noise\0"  # type: ignore[method-assign]
    with pytest.raises(LinkTimeoutError):
        Session(target).hello(timeout_s=0.2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"protocol": 1}, "speaks protocol 1, this host 2"),
        ({"tables_crc": 0x12AB}, "other tables .CRC 000012ab, here"),
    ],
)
def test_firmware_of_another_version_has_to_be_built_again(
    fields: dict[str, int], message: str
) -> None:
    target = ScriptedTarget()
    target.hello = fields
    with pytest.raises(DeviceError, match=message) as caught:
        Session(target).hello()
    assert "build the firmware" in str(caught.value.hint)


def test_a_hello_of_another_size_is_one_of_another_version() -> None:
    target = ScriptedTarget()
    short = native.layout("hello").pack()[:-4]
    frame = encode_frame(native.number("record", "hello"), 0, short, 1)
    target.answers["ping"] = lambda fields, tail: frame
    with pytest.raises(DeviceError, match="HELLO of another version: hello of 124 bytes"):
        Session(target).hello()


def test_a_refused_image_says_where() -> None:
    target = ScriptedTarget()
    target.hello = {
        "model_status": native.number("status", "bad_crc"),
        "model_section": native.number("section", "nodes"),
        "model_offset": 77,
    }
    with pytest.raises(ImageRefusedError) as caught:
        Session(target).hello()
    error = caught.value
    assert (error.status, error.section, error.offset) == ("bad_crc", "nodes", 77)
    target = ScriptedTarget()
    target.hello = {"model_status": native.number("status", "no_model")}
    with pytest.raises(ImageRefusedError, match="no_model in header") as caught:
        Session(target).hello()
    assert "put a model" in str(caught.value.hint)


def test_a_device_that_only_reports_faults() -> None:
    target = ScriptedTarget()
    fault = {"status": native.number("status", "fault"), "detail": 0x100, "pc": 0x2468, "lr": 0x99}
    target.answers["ping"] = lambda fields, tail: target.frame("fault", **fault)
    with pytest.raises(DeviceFaultError, match=r"0x00000100.*pc 0x00002468, lr 0x00000099"):
        Session(target).hello(timeout_s=1)


# --- Inferences --------------------------------------------------------------------------------


def test_runs_are_numbered_over_the_session() -> None:
    target, session = greeted()
    assert [run.run for run in session.run(5, 3)] == [0, 1, 2]
    (run,) = session.run(0, 1, flags=FLAG_RESET_STATE)
    assert (run.run, run.outputs, run.end.count) == (3, (OUTPUT.tobytes(),), 160)
    sent = [fields for name, fields, _ in target.received if name == "run"]
    all_of_it = {"every": 0, "rate": 0, "rows": 0}
    assert sent == [
        {"run": 0, "count": 3, "first_row": 5, "flags": 0} | all_of_it,
        {"run": 3, "count": 1, "first_row": 0, "flags": 2} | all_of_it,
    ]


@pytest.mark.parametrize("read_bytes", [1, 7, 64])
def test_pieces_do_not_matter(read_bytes: int) -> None:
    _, session = greeted(read_bytes=read_bytes)
    assert [run.run for run in session.run(0, 2)] == [0, 1]


def test_runs_are_yielded_as_they_end() -> None:
    target, session = greeted()
    first = target.run({"run": 0, "count": 1})
    target.answers["run"] = lambda fields, tail: first
    runs = session.run(0, 2)
    assert next(runs).run == 0
    target.to_host += target.run({"run": 1, "count": 1})
    assert next(runs).run == 1


def test_silence_in_a_run() -> None:
    target = ScriptedTarget()
    session = Session(target, timeout_s=7)
    session.hello()
    target.answers["run"] = lambda fields, tail: target.run({"run": 0, "count": 1})
    runs = session.run(0, 2)
    next(runs)
    target.waits.clear()
    with pytest.raises(LinkTimeoutError, match="run 1: nothing readable from the device for 7 s"):
        next(runs)
    assert sum(target.waits) == pytest.approx(7)


def failing(answer: Callable[[ScriptedTarget], bytes]) -> str:
    """What run() says when RUN is answered so."""
    target, session = greeted()
    target.answers["run"] = lambda fields, tail: answer(target)
    with pytest.raises(DeviceError) as caught:
        list(session.run(0, 2))
    assert caught.value.exit_code == 6
    return str(caught.value)


def test_a_refused_command() -> None:
    status, run = native.number("status", "no_model"), native.number("record", "run")
    text = failing(lambda target: target.frame("fault", status=status, detail=run))
    assert text == "run 0: the device refused RUN: no_model"


def test_a_fault_of_the_processor() -> None:
    status = native.number("status", "fault")
    text = failing(
        lambda target: (
            target.run({"run": 0, "count": 1})
            + target.frame("fault", status=status, detail=0x82000000, pc=0x1234, lr=0x5679)
        )
    )
    assert text.startswith("run 1: the processor took a fault (status register 0x82000000)")
    assert "pc 0x00001234, lr 0x00005679" in text


def test_a_restart_in_the_middle() -> None:
    def answer(target: ScriptedTarget) -> bytes:
        run = target.run({"run": 0, "count": 1})
        target.boot_id, target.sequence = 2, 0
        return run + target.say_hello()

    assert failing(answer) == "the device restarted during run 1"


def test_a_run_that_fails() -> None:
    status = native.number("status", "bad_input")
    text = failing(lambda target: target.frame("run_end", run=0, status=status))
    assert text == "run 0: status bad_input"


def test_a_wrong_crc_of_the_outputs() -> None:
    def answer(target: ScriptedTarget) -> bytes:
        records = [*run_records(0)]
        name, tail, fields = records[-1]
        records[-1] = (name, tail, fields | {"output_crc": 0})
        return b"".join(target.frame(name, tail, **fields) for name, tail, fields in records)

    crc = zlib.crc32(OUTPUT.tobytes())
    assert failing(answer) == f"run 0: outputs have CRC {crc:08x}, the device sent 00000000"


def test_a_lost_frame_says_how_many() -> None:
    def answer(target: ScriptedTarget) -> bytes:
        frames = [target.frame(name, tail, **f) for name, tail, f in run_records(0)]
        return b"".join(frames[:2] + frames[3:])

    assert failing(answer) == "run 0: 1 frames were lost (1 frames lost, 0 damaged)"


def test_a_run_that_was_not_asked_for() -> None:
    text = failing(lambda target: target.run({"run": 5, "count": 1}))
    assert text == "run 5 ended where run 0 was due"


def test_rows_over_the_link() -> None:
    target, session = greeted()
    inputs = (bytes(range(250)), b"\x01\x02")
    session.run_from_link(inputs)
    names = [name for name, _, _ in target.received[2:]]
    assert names == ["input", "input", "input", "run"]
    pieces = [(f["index"], f["offset"], tail) for name, f, tail in target.received[2:5]]
    assert pieces == [
        (0, 0, inputs[0][:248]),
        (0, 248, inputs[0][248:]),
        (1, 0, inputs[1]),
    ]
    assert target.received[-1][1]["first_row"] == 0xFFFFFFFF


@pytest.mark.parametrize("row", [4, (b"\x01",)])
def test_tensors(row: int | tuple[bytes, ...]) -> None:
    target, session = greeted()

    def answer(fields: dict[str, Any], tail: bytes) -> bytes:
        assert fields["flags"] == FLAG_DUMP
        records = [*run_records(fields["run"], unit="none", counts=(0, 0), total=0)]
        head = {"run": fields["run"], "node": 1, "tensor": 2, "offset": 0, "total_bytes": 2}
        records.insert(1, ("tensor_data", b"ab", head))
        return target.frames(*records, ("memory", b"", {"run": fields["run"] + 1}))

    target.answers["run"] = answer
    assert session.tensors(row) == {(1, 2): b"ab"}
    assert target.received[-1][1]["run"] == DUMP_RUNS_FROM
    target.answers["run"] = target.run
    assert [run.run for run in session.run(0, 1)] == [0]


def test_abort_ends_behind_the_last_record() -> None:
    target, session = greeted()
    runs = session.run(0, 100)
    next(runs)
    aborted = native.number("status", "aborted")
    target.answers["abort"] = lambda f, tail: target.frame("run_end", run=100, status=aborted)
    boot_id = target.boot_id
    session.abort()
    assert [name for name, _, _ in target.received[-2:]] == ["abort", "ping"]
    assert target.boot_id == boot_id
    assert target.to_host == b""
    assert [run.run for run in session.run(0, 2)] == [100, 101]


def test_reset_waits_for_the_new_start() -> None:
    target, session = greeted()

    def restart(fields: dict[str, Any], tail: bytes) -> bytes:
        target.boot_id, target.sequence = 2, 0
        return target.say_hello()

    target.answers["reset"] = restart
    session.reset()
    assert target.boot_id & 0xFFFF == 2
    assert len([*session.run(0, 1)]) == 1


def test_reset_that_does_nothing_is_noticed() -> None:
    _, session = greeted()
    with pytest.raises(DeviceError, match="did not restart"):
        session.reset()


def test_everything_received_is_logged_before_it_is_acted_upon(tmp_path: Path) -> None:
    target = ScriptedTarget()
    sent = bytearray()
    read = target.read

    def remember(max_bytes: int, timeout_s: float) -> bytes:
        data = read(max_bytes, timeout_s)
        sent.extend(data)
        return data

    target.read = remember  # type: ignore[method-assign]
    status = native.number("status", "bad_input")
    target.answers["run"] = lambda fields, tail: (
        target.frame("fault", status=status) + target.frame("log", b"after")
    )
    with RunLog.create(tmp_path / "log", small_setup()) as log:
        session = Session(target, log=log)
        assert session.hello().nonce == small_setup().nonce
        with pytest.raises(DeviceFaultError):
            list(session.run(0, 1))
    assert (tmp_path / "log" / "capture.bin").read_bytes() == bytes(sent)
    lines = (tmp_path / "log" / "run.jsonl").read_text().splitlines()
    assert '"text":"after"' in lines[-1]


# --- The native device -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def image() -> Image:
    """Two layers, of four inputs, with some zero weights."""
    b = Builder()
    x = b.input((1, 4), 0.5, -1)
    weights = np.array([[1, 0, -2, 3], [0, 0, 5, 0], [7, 1, 1, 0]], np.int8)
    y = b.fully_connected(x, b.constant(weights, 0.25, name="w0"), scale=0.5)
    b.output(b.fully_connected(y, b.constant(weights[:, :3], 0.5, name="w1"), scale=1.0))
    return build_image(
        encode(parse_model(b.finish(), name="two"), encoding="delta8"), sparsify=None
    )


ROWS = np.array([[1, 2, 3, 4], [-5, 6, 7, -8], [0, 0, 0, 9]], np.int8)


def native_target(image: Image, batch: bytes = ROWS.tobytes()) -> NativeTarget:
    return NativeTarget(find_board("native"), image.device_bytes(), batch, image.arena_bytes)


def test_native_runs(image: Image) -> None:
    with native_target(image) as target:
        session = Session(target)
        hello = session.hello()
        assert (hello.board, hello.unit, hello.build_id) == ("native", "none", native.build_id())
        runs = list(session.run(0, 3))
        assert [run.run for run in runs] == [0, 1, 2]
        assert [[layer.macs_done for layer in run.layers] for run in runs] == [[7, 6]] * 3
        linked = [session.run_from_link((row.tobytes(),)).outputs for row in ROWS]
        assert linked == [run.outputs for run in runs]
        tensors = session.tensors(1)
        assert list(tensors.values())[-1] == runs[1].outputs[0]
        assert session.tensors((ROWS[1].tobytes(),)) == tensors


def test_native_restarts_and_aborts(image: Image) -> None:
    with native_target(image) as target:
        session = Session(target)
        session.hello()
        runs = session.run(0, 3)
        next(runs)
        session.abort()
        session.reset()
        assert len(list(session.run(0, 2))) == 2


def test_native_refuses_what_is_not_there(image: Image) -> None:
    with native_target(image) as target:
        session = Session(target)
        session.hello()
        with pytest.raises(DeviceError, match="run 0: status bad_input"):
            list(session.run(3, 1))
        session.send_input(0, bytes(3))
        with pytest.raises(DeviceError, match="status bad_input"):
            session.run_from_link(())
        with pytest.raises(DeviceFaultError, match="refused INPUT: bad_input"):
            session.run_from_link((bytes(5),))


def test_native_without_model() -> None:
    with NativeTarget(find_board("native"), bytes(4096), b"", 64) as target:
        with pytest.raises(ImageRefusedError, match="no_model"):
            Session(target).hello()
        with pytest.raises(TargetError, match="in use already"):
            NativeTarget(find_board("native"), b"", b"", 64)
    target.close()
    with pytest.raises(TargetError, match="closed"):
        target.read(1, 0.0)
    with pytest.raises(TargetError, match="closed"):
        target.write(b"")
