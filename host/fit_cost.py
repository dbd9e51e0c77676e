"""Measure single layers of every kernel in QEMU and fit the weights of edgesparse/cost.json.

Usage: python -m host.fit_cost [--keep FILE].  See edgesparse/encode/work.py for what is fitted.

A weight is what one unit of an amount costs; weights are not negative, and the sum of squares of
the relative errors is least (Lawson and Hanson, Solving Least Squares Problems, chapter 23).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgesparse import native
from edgesparse.cycles import find_part
from edgesparse.deploy.boards import Board, find_board
from edgesparse.deploy.open import capacity_of, open_target
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import Session
from edgesparse.encode import Goal, encode
from edgesparse.encode.cost import CYCLES, INSTRUCTIONS, SKIPPING, THRESHOLD, cost_file
from edgesparse.encode.encoded import Encoded, Variant
from edgesparse.encode.job import Amounts, job_of
from edgesparse.encode.lower.candidate import NEVER
from edgesparse.encode.variants import scratch_bytes
from edgesparse.encode.work import WORK
from edgesparse.encode.work_weights import thresholded
from edgesparse.files import write_file
from edgesparse.image import build_image
from edgesparse.inputs import batch_bytes
from edgesparse.telemetry.cycles import check_cycles, read_run_cycles
from host.cost_layers import NOWHERE, Place, Stack, input_row, stacks, with_classes
from host.cost_thresholds import code_row, pairs

BOARDS = ("qemu-mps2-an385", "qemu-mps2-an386", "qemu-mps2-an500")
_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Measured:
    """A node: under which key its weights are kept, its amounts, and what it took."""

    key: str
    amounts: Amounts
    instructions: int
    cycles: int


def _placed(encoded: Encoded, stack: Stack) -> Encoded:
    """The stack's nodes as they are to be measured."""
    chosen = [
        _variant(node.variants, stack.places[node.layer])
        if node.layer in stack.places
        else node.chosen
        for node in encoded.nodes
    ]
    nodes = zip(encoded.nodes, chosen, strict=True)
    return replace(encoded, nodes=tuple(replace(node, chosen=each) for node, each in nodes))


def _variant(variants: Sequence[Variant], place: Place) -> Variant:
    found = next(each for each in variants if each.kernel == place.kernel)
    candidate = with_classes(found.candidate, place.classes)
    params = {"list_zeros": 0 if place.skip else NEVER, "band": place.band}
    heeded = {name: value for name, value in params.items() if name in candidate.params}
    candidate = replace(candidate, params={**candidate.params, **heeded})
    return replace(found, candidate=candidate, scratch_bytes=scratch_bytes(candidate))


def measure(board: Board, stack: Stack) -> Iterator[Measured]:
    """Run a stack once; counting the zeros of what it makes is part of a node's cost."""
    encoded = _placed(encode(stack.model, keep_dead=True, goal=Goal(max_flash=1 << 30)), stack)
    counts = _counted(board, encoded, input_row())
    for node, (instructions, cycles) in zip(encoded.nodes, counts, strict=True):
        place = stack.places.get(node.layer, NOWHERE)
        work, job = WORK[node.choice.kernel], job_of(node.choice, place.zeros)
        key, amounts = node.choice.kernel, work.amounts(job)
        if place.skip and work.skipping is not None:
            key, amounts = key + SKIPPING, work.skipping(job)
        yield Measured(key, amounts, instructions, cycles)


def measure_thresholds(board: Board) -> Iterator[Measured]:
    """What a threshold of activations adds to a node, at several sizes."""
    for plain, model in pairs():
        rows = code_row(model)
        (before,), (after,) = (_counted(board, encode(each), rows) for each in (plain, model))
        output = model.tensors[model.outputs[0]]
        amounts = thresholded(output.elements, output.affine()[1])
        yield Measured(THRESHOLD, amounts, after[0] - before[0], after[1] - before[1])


def _counted(board: Board, encoded: Encoded, row: NDArray[np.int8]) -> list[tuple[int, int]]:
    """Instructions and cycles of each node in a run of one row."""
    image = build_image(encoded)
    capacity = capacity_of(board)
    part = find_part(None, board)
    with open_target(board, image, batch_bytes([row]), capacity, part=part) as target:
        assert isinstance(target, QemuTarget)
        session = Session(target)
        session.hello()
        (run,) = session.run(0, 1)
        (line,) = target.cycle_lines()
    cycles = read_run_cycles(line)
    check_cycles(cycles, run)
    taken = [each for _, each in cycles.nodes]
    return [(layer.count, each) for layer, each in zip(run.layers, taken, strict=True)]


# --- Fitting -----------------------------------------------------------------------------------


def non_negative_least_squares(
    a: NDArray[np.float64], b: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The x >= 0 for which |a x - b| is least."""
    x = np.zeros(a.shape[1])
    active = np.zeros(a.shape[1], bool)
    for _ in range(10 * a.shape[1]):
        gradient = a.T @ (b - a @ x)
        gradient[active] = -np.inf
        if active.all() or gradient.max() <= 1e-9:
            break
        active[int(gradient.argmax())] = True
        while True:
            trial = np.zeros_like(x)
            trial[active] = np.linalg.lstsq(a[:, active], b, rcond=None)[0]
            if (trial[active] > 0).all():
                x = trial
                break
            falling = active & (trial <= 0)
            step = float((x[falling] / (x[falling] - trial[falling])).min())
            x = x + step * (trial - x)
            active &= x > 1e-12
            x[~active] = 0
    return x


def fit(rows: Sequence[Amounts], costs: Sequence[int]) -> dict[str, float]:
    """Weights for the least squares of relative errors."""
    names = sorted({name for row in rows for name, amount in row.items() if amount})
    a = np.asarray([[row.get(name, 0.0) for name in names] for row in rows], float)
    a /= np.asarray(costs, float)[:, None]
    scale = np.sqrt((a * a).sum(axis=0))
    weights = non_negative_least_squares(a / scale, np.ones(len(rows))) / scale
    return {
        name: float(f"{weight:.{_DIGITS}g}")
        for name, weight in zip(names, weights, strict=True)
        if weight > 0
    }


def _errors(
    rows: Sequence[Amounts], costs: Sequence[int], weights: dict[str, float]
) -> NDArray[np.float64]:
    predicted = [sum(weights.get(name, 0) * n for name, n in row.items()) for row in rows]
    return np.asarray(predicted) / np.asarray(costs, float) - 1


def _report(key: str, errors: NDArray[np.float64], unit: str) -> str:
    size = np.abs(errors)
    within = float(np.mean(size <= 0.1))
    return (
        f"  {key:36} {unit:12} {len(size):4} layers, errors: median {100 * np.median(size):5.1f} %,"
        f" nine in ten {100 * np.quantile(size, 0.9):5.1f} %, worst {100 * size.max():6.1f} %,"
        f" {100 * within:5.1f} % within 10 %"
    )


def fit_board(measured: Sequence[Measured]) -> dict[str, dict[str, dict[str, float]]]:
    """Weights by unit and key."""
    found: dict[str, dict[str, dict[str, float]]] = {INSTRUCTIONS: {}, CYCLES: {}}
    for key in sorted({each.key for each in measured}):
        mine = [each for each in measured if each.key == key]
        rows = [each.amounts for each in mine]
        for unit, by_key in found.items():
            costs = [int(getattr(each, unit)) for each in mine]
            weights = fit(rows, costs)
            by_key[key] = weights
            print(_report(key, _errors(rows, costs, weights), unit))
    return found


def _missing(measured: Sequence[Measured]) -> list[str]:
    wanted = set(native.table("kernel"))
    wanted |= {name + SKIPPING for name, work in WORK.items() if work.skipping is not None}
    return sorted(wanted - {each.key for each in measured})


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", metavar="FILE", help="add what was measured, as JSON lines")
    arguments = parser.parse_args()
    models = list(stacks())
    weights = {}
    for name in BOARDS:
        board = find_board(name)
        print(f"{board.cpu}, {len(models)} models of layers", flush=True)
        measured = [each for stack in models for each in measure(board, stack)]
        measured += measure_thresholds(board)
        if _missing(measured):
            raise SystemExit(f"no layer was measured for {', '.join(_missing(measured))}")
        weights[board.cpu] = fit_board(measured)
        if arguments.keep is not None:
            with open(arguments.keep, "a", encoding="utf-8") as file:  # noqa: PTH123
                for each in measured:
                    row = {"cpu": board.cpu, "key": each.key, **each.amounts}
                    row |= {"instructions": each.instructions, "cycles": each.cycles}
                    file.write(json.dumps(row) + "\n")
    text = json.dumps({"weights": weights}, indent=1, sort_keys=True) + "\n"
    write_file(cost_file(), text.encode("utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
