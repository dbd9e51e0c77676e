"""Runs: a run counts only if all of it arrived and agrees with itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edgesparse.telemetry.record import Receiver
from edgesparse.telemetry.runs import BrokenRun, RunCollector, RunResult, new_nonce
from tests.scripted import BOOT_ID, NONCE, OUTPUT, device_frame, run_frames, run_records


def collect(stream: bytes, nonce: int = NONCE) -> list[RunResult | BrokenRun]:
    runs = RunCollector(nonce)
    ended = map(runs.push, Receiver().feed(stream))
    return [run for run in ended if run is not None]


def reason(stream: bytes) -> str:
    (run,) = collect(stream)
    assert isinstance(run, BrokenRun)
    return run.reason


def test_a_good_run() -> None:
    (run,) = collect(b"".join(run_frames(7, 0)))
    assert isinstance(run, RunResult)
    assert run.run == 7
    assert [(layer.node, layer.layer, layer.count) for layer in run.layers] == [
        (0, 1, 100),
        (1, 3, 50),
    ]
    assert run.outputs == (OUTPUT.tobytes(),)
    assert (run.end.count, run.end.unit, run.end.status) == (160, "instructions", "ok")
    assert run.tensors == {}


def test_counts_beyond_32_bits() -> None:
    (run,) = collect(b"".join(run_frames(0, 0, counts=(2**40, 2**50), total=2**63)))
    assert isinstance(run, RunResult)
    assert [layer.count for layer in run.layers] == [2**40, 2**50]
    assert run.end.count == 2**63


@pytest.mark.parametrize("missing", range(6))
def test_every_lost_frame_breaks_the_run(missing: int) -> None:
    """run_start, two layers, two pieces of an output, run_end: none can be spared."""
    frames = run_frames(0, 10)
    assert len(frames) == 6
    del frames[missing]
    ended = collect(b"".join([*frames, *run_frames(1, 16)]))
    assert [type(run) for run in ended] == [BrokenRun, RunResult]
    assert ended[0].run == 0
    assert isinstance(ended[0], BrokenRun)
    expected = {0: "RUN_START is missing", 5: "RUN_END is missing"}.get(
        missing, "1 frames were lost"
    )
    assert expected in ended[0].reason


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda f: f | ({"count": 149} if "output_crc" in f else {}), "layers count more"),
        (lambda f: f | ({"macs_done": 99} if "output_crc" in f else {}), "do not add up"),
        (lambda f: f | ({"output_crc": 1} if "output_crc" in f else {}), "device sent 00000001"),
        (lambda f: f | ({"status": -26} if "output_crc" in f else {}), "status fault"),
        (lambda f: f | ({"unit": 2} if f.get("node") == 1 else {}), "more than one unit"),
        (lambda f: f | ({"node": 0} if f.get("node") == 1 else {}), "node 0 where node 1"),
        (lambda f: f | ({"node_count": 3} if "node_count" in f else {}), "2 LAYER records of 3"),
        (lambda f: f | ({"offset": 1} if f.get("offset") == 2 else {}), "gap at byte 1"),
        (lambda f: f | ({"total_bytes": 4} if "total_bytes" in f else {}), "did not arrive whole"),
        (lambda f: f | ({"total_bytes": 2} if f.get("offset") == 2 else {}), "gap at byte 2"),
        (lambda f: f | ({"run": 1} if f.get("node") == 1 else {}), "layer of run 1 in between"),
    ],
)
def test_a_run_that_contradicts_itself_is_broken(
    change: Callable[[dict[str, int]], dict[str, int]], expected: str
) -> None:
    frames = [
        device_frame(name, i, tail, **change(fields))
        for i, (name, tail, fields) in enumerate(run_records(0))
    ]
    assert expected in reason(b"".join(frames))


def test_a_damaged_frame_breaks_the_run_though_no_record_of_it_is_missing() -> None:
    frames = run_frames(0, 0)
    assert "damaged" in reason(b"".join([*frames[:3], b"noise\0", *frames[3:]]))


def test_other_records_in_between_do_not_matter() -> None:
    frames = [*run_frames(0, 0)[:3], device_frame("log", 3), *run_frames(0, 1)[3:]]
    (run,) = collect(b"".join(frames))
    assert isinstance(run, RunResult)


def test_a_run_without_end_is_broken_by_the_next() -> None:
    first = run_frames(0, 0)[:-1]
    ended = collect(b"".join([*first, *run_frames(1, len(first))]))
    assert ended[0] == BrokenRun(0, "its RUN_END is missing")
    assert isinstance(ended[1], RunResult)


def test_a_restart_breaks_the_run() -> None:
    hello = device_frame("hello", 0, boot_id=2)
    ended = collect(b"".join([*run_frames(0, 5)[:3], hello]))
    assert ended == [BrokenRun(0, "the device restarted")]


def test_a_run_that_did_not_start_says_why() -> None:
    end = device_frame("run_end", 0, run=4, status=-24)
    assert collect(end) == [BrokenRun(4, "status bad_input", "bad_input")]


def test_runs_of_another_host_are_passed_over() -> None:
    stream = b"".join(run_frames(0, 0))
    assert collect(stream, nonce=0x9999) == []
    assert len(collect(stream, nonce=0xFFFF0000 | BOOT_ID >> 16)) == 1


def test_tensors_are_put_together() -> None:
    frames = run_frames(0, 0)
    head = {"run": 0, "node": 1, "tensor": 9, "total_bytes": 5}
    pieces = [device_frame("tensor_data", 1, b"abc", offset=0, **head)]
    pieces += [device_frame("tensor_data", 2, b"de", offset=3, **head)]
    rest = run_frames(0, 2)[1:]
    (run,) = collect(b"".join([frames[0], *pieces, *rest]))
    assert isinstance(run, RunResult)
    assert run.tensors == {(1, 9): b"abcde"}


def test_a_nonce_always_shows_in_the_boot_id() -> None:
    nonces = {new_nonce() for _ in range(50)}
    assert len(nonces) > 40
    assert all(0 < nonce < 2**32 and nonce & 0xFFFF for nonce in nonces)
