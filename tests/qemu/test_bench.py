"""Counts of the yardstick repeat, and what telemetry costs is what it says."""

from __future__ import annotations

from edgesparse.bench.measure import Bench, measure_all
from edgesparse.deploy.boards import Board, NativeRunner, find_board
from edgesparse.deploy.session import (
    FLAG_COUNT_RECORDS,
    FLAG_DUMP,
    FLAG_NO_SATURATED,
    FLAG_NO_ZEROS,
    Session,
)
from edgesparse.inputs import batch_bytes, row_bytes, rows_for
from edgesparse.pipeline import Recipe, prepare_image
from edgesparse.telemetry.runs import RunResult
from tests.devices import power_on


def test_two_benches_give_equal_documents() -> None:
    bench = Bench(sparsities=(0.0, 0.8), runs=2)
    first, second = (measure_all(bench, lambda _: None) for _ in range(2))
    assert first == second
    for entry in first["entries"]:
        total, telemetry = entry["totals"]["count"], entry["telemetry"]
        assert 0 < telemetry["zeros"] < 0.05 * total
        assert 0 < telemetry["records"] < 0.1 * total


def test_every_part_is_an_entry_with_the_same_instructions() -> None:
    bench = Bench(parts=("ideal", "stm32l4r5@120"), sparsities=(0.5,), runs=1)
    first, second = (measure_all(bench, lambda _: None) for _ in range(2))
    assert first == second
    ideal, slower = first["entries"]
    assert (ideal["cycles_part"], slower["cycles_part"]) == ("ideal", "stm32l4r5@120")
    assert ideal["totals"]["count"] == slower["totals"]["count"]
    assert ideal["totals"]["modelled_cycles"] < slower["totals"]["modelled_cycles"]


def runs_with(board: Board, *flags: int) -> list[RunResult]:
    """Runs of the demo on one row."""
    image = prepare_image(None, Recipe())
    rows = rows_for(image.meta.inputs, None, [0])
    has_batch = board.memory.batch is not None
    batch = batch_bytes(rows) if has_batch else b""
    with power_on(board, image.device_bytes(), batch, arena_bytes=image.arena_bytes) as target:
        session = Session(target)
        session.hello()
        if not has_batch:
            return [session.run_from_link(row_bytes(rows, 0), flags=each) for each in flags]
        return [result for each in flags for result in session.run(0, 1, flags=each)]


def test_zeros_need_not_be_counted(board: Board) -> None:
    usual, without = runs_with(board, FLAG_NO_SATURATED, FLAG_NO_SATURATED | FLAG_NO_ZEROS)
    assert without.outputs == usual.outputs
    assert any(layer.activation_zeros for layer in usual.layers)
    assert not any(layer.activation_zeros for layer in without.layers)
    if not isinstance(board.runner, NativeRunner):
        # A layer that skips zeros looks for them itself where nobody has counted them.
        assert without.end.count < usual.end.count


def test_records_can_be_counted_and_are_sent_once(board: Board) -> None:
    usual, counted, dumped = runs_with(board, 0, FLAG_COUNT_RECORDS, FLAG_COUNT_RECORDS | FLAG_DUMP)
    assert counted.outputs == usual.outputs
    assert [each.count for each in counted.layers] == [each.count for each in usual.layers]
    assert [each.activation_zeros for each in counted.layers] == [
        each.activation_zeros for each in usual.layers
    ]
    for with_dump, layer in zip(dumped.layers, usual.layers, strict=True):
        assert abs(with_dump.count - layer.count) < 64  # sending is not in it
    assert sum(each.count for each in dumped.layers) <= dumped.end.count
    if isinstance(board.runner, NativeRunner):
        assert counted.end.count == dumped.end.count == 0
    else:
        assert counted.end.count > usual.end.count


def test_the_cost_of_records_does_not_depend_on_the_conversation() -> None:
    """Frames before it, and the random boot id, are not in the count."""
    board = find_board("qemu-mps2-an386")
    costs = set()
    for others in (0, 3):
        *_, usual, counted = runs_with(board, *[0] * others, 0, FLAG_COUNT_RECORDS)
        costs.add(counted.end.count - usual.end.count)
    assert len(costs) == 1
