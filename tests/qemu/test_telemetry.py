"""What a device tells of itself: values against the reference, windows, rates, memory, resets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgesparse import native, oracle
from edgesparse.deploy.boards import Board, NativeRunner, find_board
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.deploy.session import (
    ENDLESS,
    FLAG_DUMP,
    FLAG_HISTOGRAMS,
    FLAG_NO_SATURATED,
    FLAG_NO_ZEROS,
    Session,
)
from edgesparse.encode import encode
from edgesparse.errors import DeviceFaultError, UsageError
from edgesparse.image import Image, build_image
from edgesparse.model import Model, parse_model
from edgesparse.pipeline import Recipe
from edgesparse.telemetry.log import replay
from edgesparse.telemetry.record import (
    Event,
    Memory,
    Receiver,
    Record,
    command,
    event_line,
    fields_of,
)
from edgesparse.telemetry.runs import RunCollector, RunResult, WindowResult
from edgesparse.telemetry.tally import Tally
from tests.devices import batch_bytes, power_on
from tests.tflite_builder import Builder

ROWS = 6
LOW, HIGH = -128, 127
# Elements around the sizes in which ends are counted: bytes, words, blocks of 128.
LENGTHS = (1, 7, 127, 128, 131, 260, 521)


def model_of_ends() -> tuple[Model, dict[int, frozenset[int]]]:
    """A model whose layers reach both ends of int8, and which of them mean saturation, by layer."""
    rng = np.random.default_rng(5)
    b = Builder()
    x = b.input((1, 6, 7, 5), 0.05, 0)
    ends: dict[int, frozenset[int]] = {}

    def layer(tensor: int, *saturated: int) -> int:
        ends[len(ends)] = frozenset(saturated)
        return tensor

    w = b.constant(rng.integers(-127, 128, (8, 1, 1, 5)).astype(np.int8), [0.02])
    bias = b.bias(rng.integers(-99, 99, 8), x, w)
    y = layer(b.conv_2d(x, w, bias, scale=0.06, zero_point=3, activation="NONE"), LOW, HIGH)
    top = layer(b.unary("RELU6", y, scale=6 / 255, zero_point=LOW))  # 6 is 127
    z = layer(b.conv_2d(x, w, bias, scale=0.02, zero_point=LOW, activation="RELU"), HIGH)
    z = layer(b.add(top, z, scale=0.01, zero_point=LOW, activation="RELU6"), HIGH)  # 6 is 472
    b.output(layer(b.max_pool_2d(z, (2, 2), stride=(2, 2))))
    parts = b.split(y, 3, 2)
    layer(parts[0])
    b.output(*parts)
    for length in LENGTHS:
        v = b.input((1, length), 0.5, -1)
        b.output(layer(b.add(v, v, scale=0.3, zero_point=HIGH), LOW))
    return parse_model(b.finish(), name="ends"), ends


def rows_of(model: Model) -> list[NDArray[np.int8]]:
    rng = np.random.default_rng(6)
    return [
        rng.integers(-128, 128, (ROWS, *model.tensors[i].shape)).astype(np.int8)
        for i in model.inputs
    ]


@pytest.fixture(scope="module")
def ends() -> tuple[Model, Image, dict[int, frozenset[int]]]:
    model, saturated = model_of_ends()
    return model, build_image(encode(model, keep_dead=True)), saturated


class Device:
    """A running device with rows in its batch, its session, and all events that came."""

    def __init__(self, board: Board, image: Image, session: Session, events: list[Event]) -> None:
        self.board, self.image, self.session, self.events = board, image, session, events

    @property
    def memories(self) -> list[Memory]:
        records = [e for e in self.events if isinstance(e, Record) and e.type == "memory"]
        return [fields_of(record, Memory) for record in records]

    def tally(self) -> Tally:
        first = next(e for e in self.events if isinstance(e, Record) and e.boot_id >> 16)
        tally = Tally(first.boot_id >> 16)
        for event in self.events:
            tally.push(event)
        return tally


@contextmanager
def powered(board: Board, model: Model, image: Image) -> Iterator[Device]:
    if board.memory.batch is None:
        board = find_board("qemu")
    events: list[Event] = []
    batch = batch_bytes(rows_of(model))
    with power_on(board, image.device_bytes(), batch, arena_bytes=image.arena_bytes) as target:
        session = Session(target, observe=events.append)
        session.hello()
        yield Device(board, image, session, events)


def histogram(values: NDArray[np.int8]) -> list[int]:
    return np.bincount((values.reshape(-1).astype(int) + 128) // 16, minlength=16).tolist()


def test_every_figure_is_the_references(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    model, image, saturated = ends
    with powered(board, model, image) as device:
        runs = list(device.session.run(0, ROWS, flags=FLAG_HISTOGRAMS))
    counted = dict.fromkeys(range(len(image.nodes)), 0)
    for run, tensors in zip(runs, oracle.each_with_layers(model, rows_of(model)), strict=True):
        for layer in run.layers:
            outputs = model.nodes[layer.layer].outputs
            values = np.concatenate([tensors[i].reshape(-1) for i in outputs])
            zero_point = model.tensors[outputs[0]].affine()[1]
            assert layer.activations == values.size
            assert layer.activation_zeros == np.count_nonzero(values == zero_point)
            hits = sum(np.count_nonzero(values == end) for end in saturated[layer.layer])
            assert layer.saturated == hits
            counted[layer.node] += hits
        for (_, tensor), bins in run.histograms.items():
            assert list(bins) == histogram(tensors[image.meta.tensors[tensor]])
        assert len(run.histograms) == len(image.nodes) + 1  # SPLIT has two outputs
    wanted = {node["layer"]: bool(saturated[node["layer"]]) for node in image.nodes}
    assert {image.nodes[i]["layer"]: hits > 0 for i, hits in counted.items()} == wanted


def test_what_is_not_asked_for_is_not_counted(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    model, image, _ = ends
    with powered(board, model, image) as device:
        usual, without, no_zeros, neither = (
            next(iter(list(device.session.run(0, 1, flags=flags))))
            for flags in (0, FLAG_NO_SATURATED, FLAG_NO_ZEROS, FLAG_NO_ZEROS | FLAG_NO_SATURATED)
        )
    zeros = [layer.activation_zeros for layer in usual.layers]
    saturated = [layer.saturated for layer in usual.layers]
    assert [layer.activation_zeros for layer in without.layers] == zeros
    assert [layer.saturated for layer in no_zeros.layers] == saturated
    for layer in neither.layers:
        assert (layer.activation_zeros, layer.saturated) == (0, 0)
    assert {layer.saturated for layer in without.layers} == {0}
    assert {layer.activation_zeros for layer in no_zeros.layers} == {0}
    assert usual.histograms == {}


def check_window(window: WindowResult, runs: list[RunResult]) -> None:
    """A window is its runs, added up."""
    assert (window.run, window.runs) == (runs[0].run, len(runs))
    totals = [run.end.count for run in runs]
    assert (window.end.count_sum, window.end.count_min) == (sum(totals), min(totals))
    assert window.end.count_max == max(totals)
    assert window.end.macs_done_sum == sum(run.end.macs_done for run in runs)
    for node, layer in enumerate(window.layers):
        alone = [run.layers[node] for run in runs]
        zeros = [each.activation_zeros for each in alone]
        hits = [each.saturated for each in alone]
        macs, counts = [each.macs_done for each in alone], [each.count for each in alone]
        assert (layer.node, layer.layer, layer.activations) == (
            *(node, alone[0].layer, alone[0].activations),
        )
        assert (layer.activation_zeros_sum, layer.activation_zeros_min) == (sum(zeros), min(zeros))
        assert layer.activation_zeros_max == max(zeros)
        assert (layer.saturated_sum, layer.saturated_max) == (sum(hits), max(hits))
        assert (layer.macs_done_sum, layer.macs_done_min) == (sum(macs), min(macs))
        assert layer.macs_done_max == max(macs)
        assert (layer.count_sum, layer.count_min) == (sum(counts), min(counts))
        assert layer.count_max == max(counts)
    for key, bins in window.histograms.items():
        each = [run.histograms[key] for run in runs]
        assert list(bins) == np.sum(each, axis=0).tolist()


@pytest.mark.parametrize("flags", [0, FLAG_HISTOGRAMS])
def test_windows_add_up_runs_that_go_round_the_rows(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]], flags: int
) -> None:
    model, image, _ = ends
    with powered(board, model, image) as device:
        windows = list(device.session.watch(1, 9, every=4, rows=5, flags=flags))
        device.session.reset()
        alone = list(device.session.run(1, 9, rows=5, flags=flags))
        assert [run.outputs for run in alone[5:]] == [run.outputs for run in alone[:4]]
    assert [window.runs for window in windows] == [4, 4, 1]
    renumbered = [
        RunResult(i, run.layers, run.outputs, run.end, {}, run.histograms)
        for i, run in enumerate(alone)
    ]
    for window in windows:
        assert isinstance(window, WindowResult)
        assert len(window.histograms) == (len(image.nodes) + 1 if flags else 0)
        check_window(window, renumbered[window.run : window.run + window.runs])
    assert [memory.run for memory in device.memories][-1] == 18
    assert device.tally().sent == device.tally().received


def test_endless_runs_end_at_abort_with_what_was_added_up(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    model, image, _ = ends
    with powered(board, model, image) as device:
        windows = device.session.watch(0, ENDLESS, every=3, rows=ROWS)
        first, second = next(windows), next(windows)
        device.session.abort()
        sent = [e.type for e in device.events if isinstance(e, Record)]
        assert [first.run, second.run] == [0, 3]
        assert sent.count("run_end") == 1
        (after,) = device.session.run(2, 1)
    aborted = max(memory.run for memory in device.memories[:-1])
    assert aborted >= 6
    assert after.run == aborted


def check_refused(device: Device, reason: str, **fields: int) -> None:
    with pytest.raises(DeviceFaultError, match=f"refused RUN: {reason}"):
        list(device.session.watch(0, 1, **fields))


def test_impossible_runs_are_refused(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    model, image, _ = ends
    with powered(board, model, image) as device:
        check_refused(device, "bad_record", every=2, flags=FLAG_DUMP)
        check_refused(device, "bad_record", every=2**32 - 1, flags=FLAG_HISTOGRAMS)
        if isinstance(device.board.runner, NativeRunner):
            check_refused(device, "bad_record", rate=1000)
        else:
            check_refused(device, "bad_record", rate=1000, flags=FLAG_DUMP)


def test_no_room_for_sums_is_said() -> None:
    """A device whose RAM ends where the image's arena does."""
    model, _ = model_of_ends()
    image = build_image(encode(model, keep_dead=True))
    app = native.Application(image.device_bytes(), b"", arena_bytes=image.arena_bytes)
    try:
        app.feed(command("run", 0, run=0, count=1, every=2))
        app.poll()
        lines = b"".join(event_line(event) for event in Receiver().feed(app.take(65536)))
    finally:
        app.close()
    assert b'"status":"no_memory"' in lines.splitlines()[-1]


# --- What does not fit the line ------------------------------------------------------------------

QEMU = find_board("qemu")


@pytest.mark.parametrize(("every", "flags"), [(1, 0), (1, FLAG_HISTOGRAMS), (4, FLAG_HISTOGRAMS)])
def test_a_rate_is_kept_and_what_is_left_out_is_counted(
    ends: tuple[Model, Image, dict[int, frozenset[int]]], every: int, flags: int
) -> None:
    """Whole runs and windows arrive or none of their records, and not one is unaccounted for."""
    model, image, _ = ends
    rate, count = 20_000, 120
    nodes, histograms = len(image.nodes), len(image.nodes) + 1 if flags else 0
    outputs = len(model.outputs) + sum(
        (model.tensors[i].elements - 1) // 240 for i in model.outputs
    )  # a piece has 240 bytes
    each = nodes + histograms + (1 if every > 1 else 2 + outputs)
    with powered(QEMU, model, image) as device:
        received_bytes = 0
        hello = next(e for e in device.events if isinstance(e, Record) and e.type == "hello")
        before = len(device.events)
        arrived = list(
            device.session.watch(0, count, every=every, rate=rate, rows=ROWS, flags=flags)
        )
        events = device.events[before:]
        last = device.memories[-1]
        tally = device.tally()
    groups = count // every
    assert 1 < len(arrived) < groups
    assert last.unsent == (groups - len(arrived)) * each
    assert (tally.lost, tally.unsent) == (0, last.unsent)
    # A device that was slow to start may answer a second PING only now.
    kept = [e for e in events if isinstance(e, Record) and e.type not in ("memory", "hello")]
    assert len(kept) + last.unsent == groups * each
    assert tally.sent == tally.received + tally.unsent + tally.lost
    for event in events:
        assert isinstance(event, Record)
        received_bytes += 14 + native.layout(event.type).size_bytes + len(event.tail)
    counts = [run.end.count_max if every > 1 else run.end.count for run in arrived]  # type: ignore[union-attr]
    seconds = count * max(counts) / hello.fields["tick_rate_hz"]
    assert received_bytes < 4096 + each * 130 + 1.3 * rate * seconds
    assert received_bytes > 0.5 * rate * seconds


def test_a_slow_reader_gets_whole_records_and_the_rest_is_counted(
    ends: tuple[Model, Image, dict[int, frozenset[int]]],
) -> None:
    """The line takes 500 bytes a turn; windows of two runs make far more."""
    model, image, _ = ends
    memory_bytes = image.arena_bytes + 256 * 96
    batch = batch_bytes(rows_of(model))
    app = native.Application(image.device_bytes(), batch, arena_bytes=memory_bytes)
    receiver, runs, tally = Receiver(), RunCollector(7), Tally(7)
    events: list[Event] = []
    windows = []

    def read(max_bytes: int) -> None:
        for event in receiver.feed(app.take(max_bytes)):
            events.append(event)
            tally.push(event)
            ended = runs.push(event)
            if isinstance(ended, WindowResult):
                windows.append(ended)

    try:
        app.feed(command("ping", 0, nonce=7))
        app.poll()
        read(1 << 16)
        app.narrow(500)
        app.feed(command("run", 1, run=0, count=400, every=2, rows=ROWS))
        for _ in range(400):
            app.poll()
            read(200)
        for _ in range(200):
            app.poll()
            read(1 << 16)
    finally:
        app.close()
    groups, each = 200, len(image.nodes) + 1
    sent = [e for e in events if isinstance(e, Record) and e.type in ("layer_window", "run_window")]
    assert 10 < len(windows) < groups
    assert len(sent) == len(windows) * each
    assert (tally.lost, tally.unsent) == (0, (groups - len(windows)) * each)
    assert {window.runs for window in windows} == {2}


@pytest.mark.parametrize("line_bytes", [1, 30, 100])
def test_nothing_is_left_unsent_asleep(
    ends: tuple[Model, Image, dict[int, frozenset[int]]], line_bytes: int
) -> None:
    model, image, _ = ends
    arena_bytes = image.arena_bytes + 256 * 96
    app = native.Application(
        image.device_bytes(), batch_bytes(rows_of(model)), arena_bytes=arena_bytes
    )
    receiver, types = Receiver(), list[str]()

    def read() -> None:
        types.extend(e.type for e in receiver.feed(app.take(1 << 16)) if isinstance(e, Record))

    try:
        app.narrow(line_bytes)
        app.feed(command("run", 0, run=0, count=1, every=1, rows=ROWS))
        while not app.poll():
            read()
        read()
    finally:
        app.close()
    assert types.count("run_end") == 1
    assert types[-1] == "memory"
    assert receiver.feed(bytes(1)) == []


def test_a_line_that_loses_frames_is_told_from_a_device_that_leaves_out(
    ends: tuple[Model, Image, dict[int, frozenset[int]]],
) -> None:
    model, image, _ = ends
    with powered(QEMU, model, image) as device:
        target_read = device.session._target.read
        reads = [0]

        def damaging(max_bytes: int, timeout_s: float) -> bytes:
            data = bytearray(target_read(max_bytes, timeout_s))
            reads[0] += 1
            if reads[0] % 5 == 0 and len(data) > 300:
                data[200] ^= 0x55
            return bytes(data)

        device.session._target.read = damaging  # type: ignore[method-assign]
        arrived = list(device.session.watch(0, 60, rate=200_000, rows=ROWS))
        tally = device.tally()
    assert arrived
    assert tally.lost > 0
    assert tally.sent == tally.received + tally.unsent + tally.lost
    records = [e for e in device.events if isinstance(e, Record)]
    starts = sum(e.type == "run_start" for e in records)
    assert len(arrived) < starts


# --- Memory and restarts -------------------------------------------------------------------------


def test_the_arena_is_used_as_far_as_planned(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    """Before a run nothing but the reset values is written; after it, the plan's last byte."""
    model, image, _ = ends
    with powered(board, model, image) as device:
        (before,) = device.memories
        list(device.session.run(0, ROWS))
        after = device.memories[-1]
    assert (before.arena_used_bytes, before.arena_high_bytes) == (image.arena_bytes, 0)
    planned = max(
        [row["offset"] + row["bytes"] for row in image.tensors]
        + [row["scratch_off"] + row["scratch_bytes"] for row in image.nodes]
    )
    # A kernel need not write to the end of its scratch; all tensors are written whole.
    tensors = max(row["offset"] + row["bytes"] for row in image.tensors)
    assert tensors <= after.arena_high_bytes <= planned <= after.arena_used_bytes
    if isinstance(device.board.runner, NativeRunner):
        assert (after.stack_bytes, after.stack_high_bytes) == (0, 0)
    else:
        assert after.stack_bytes == device.board.memory.stack_bytes
        assert before.stack_high_bytes < after.stack_high_bytes < after.stack_bytes


def test_a_reset_by_the_host_is_told(
    board: Board, ends: tuple[Model, Image, dict[int, frozenset[int]]]
) -> None:
    model, image, _ = ends
    with powered(board, model, image) as device:
        assert device.session.hello().reset_reason == "power_on"
        assert device.session.reset().reset_reason == "software"
        assert device.session.hello().reset_reason == "software"


# --- deploy --------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3])
def test_deploy_tells_it_and_replay_tells_the_same(
    board: Board, tmp_path: Path, every: int
) -> None:
    options = Options(board.name, runs=7, log=tmp_path / "log", every=every, histograms=True)
    document = deploy_model(None, Recipe(), options, quiet=True)
    summary = (tmp_path / "log" / "summary.json").read_bytes()
    assert replay(tmp_path / "log") == document
    assert (tmp_path / "log" / "summary.json").read_bytes() == summary
    assert json.loads(summary) == document
    assert document["runs"] == 7
    assert document["reset_reason"] == "power_on"
    assert document["memory"]["arena_used_bytes"] == document["totals"]["arena_bytes"]
    assert 0 < document["memory"]["arena_high_bytes"] <= document["totals"]["arena_bytes"]
    records = document["records"]
    assert records["sent"] == records["received"] > 7
    assert (records["unsent"], records["lost"]) == (0, 0)
    assert (document["accuracy"] is None) == (every > 1 and board.memory.batch is not None)
    for layer in document["layers"]:
        assert layer["activation_zeros_min"] <= layer["activation_zeros"]
        assert layer["activation_zeros"] <= layer["activation_zeros_max"]
        if layer["histogram"] is not None:  # of what the device computes: constants are left out
            values, rest = divmod(sum(layer["histogram"]), 7)
            assert (0 < values <= layer["activations"], rest) == (True, 0)
    assert sum(layer["histogram"] is not None for layer in document["layers"]) == 7


def test_windows_and_single_runs_give_one_document(board: Board, tmp_path: Path) -> None:
    def run(every: int) -> dict[str, object]:
        options = Options(board.name, runs=7, log=tmp_path / f"{every}", every=every)
        return deploy_model(None, Recipe(), options, quiet=True)

    alone, windows = run(1), run(3)
    assert windows["layers"] == alone["layers"]
    assert windows["totals"] == alone["totals"]


def test_a_rate_needs_a_time_base(tmp_path: Path) -> None:
    options = Options("native", log=tmp_path / "log", rate=1000)
    with pytest.raises(UsageError, match="native has no time base"):
        deploy_model(None, Recipe(), options, quiet=True)
