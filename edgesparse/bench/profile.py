"""Where the time goes: modelled cycles of one run by layer and function, for tables and graphs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgesparse.bench.first_row import FirstRow
from edgesparse.cycles import find_part
from edgesparse.deploy.boards import Board, find_board
from edgesparse.deploy.firmware import Function, read_functions
from edgesparse.deploy.open import capacity_of, open_target
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import Session
from edgesparse.errors import TargetError, UsageError
from edgesparse.image import Image
from edgesparse.inputs import Inputs
from edgesparse.meta import LayerMeta
from edgesparse.telemetry.cycles import RunCycles, check_cycles, read_run_cycles

__all__ = [
    "REST_OF_RUN",
    "as_profile",
    "check_profiled",
    "file_name",
    "folded_stacks",
    "profile_run",
]

REST_OF_RUN = "rest of run"


def check_profiled(board: Board, part: str | None) -> None:
    """Raise UsageError unless the cycles of a board are modelled, as `part` if that is named."""
    if find_part(part, board) is None:
        raise UsageError(
            f"--profile: cycles of board {board.name} are not modelled",
            hint="take a board in QEMU with a Cortex-M3, M4 or M7",
        )


def profile_run(
    image: Image, board_name: str, inputs: Inputs | None, timeout_s: float, *, part: str | None
) -> dict[str, Any]:
    """Run the first row, or a made-up one, and return its cycles; see as_profile.

    Raises TargetError where QEMU cannot load the cycle model, and what a run raises.
    """
    board = find_board(board_name)
    capacity = capacity_of(board)
    modelled = find_part(part, board)
    row = FirstRow.of(image, capacity, inputs)
    functions = [] if capacity.firmware is None else read_functions(capacity.firmware.path)
    starts = tuple(function.start for function in functions)
    with open_target(
        board, image, row.batch, capacity, part=modelled, function_starts=starts
    ) as target:
        if not isinstance(target, QemuTarget) or not target.models_cycles:
            raise TargetError(f"{board.name}: this QEMU cannot load the cycle model")
        session = Session(target, timeout_s=timeout_s)
        session.hello()
        result = row.run(session)
        (line,) = target.cycle_lines()
    cycles = read_run_cycles(line)
    check_cycles(cycles, result)
    return as_profile(cycles, functions, image.meta.layers)


def as_profile(
    cycles: RunCycles, functions: Sequence[Function], layers: Iterable[LayerMeta]
) -> dict[str, Any]:
    """Cycles of a run as a document: all, by layer, and by function over all layers.

    Layers that cost nothing are not in it; the last one, with index None, is the rest of the run.
    Functions come with the most cycles first.
    """
    by_node: dict[int, Counter[str]] = {}
    for node, function, count in cycles.functions or []:
        by_node.setdefault(node, Counter())[functions[function].name] += count
    places: list[tuple[int | None, str, int | None]] = [
        (layer.index, layer.name, layer.node) for layer in layers
    ]
    places.append((None, REST_OF_RUN, len(cycles.nodes)))
    overall: Counter[str] = Counter()
    for counts in by_node.values():
        overall.update(counts)
    return {
        "cycles": cycles.cycles,
        "layers": [
            {"index": index, "name": name, **_costs(by_node[node])}
            for index, name, node in places
            if node in by_node
        ],
        "functions": _costs(overall)["functions"],
    }


def _costs(counts: Counter[str]) -> dict[str, Any]:
    order = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return {
        "cycles": sum(counts.values()),
        "functions": [{"name": name, "cycles": count} for name, count in order],
    }


def folded_stacks(entry: Mapping[str, Any]) -> str:
    """An entry's profile as lines ``model;layer;function cycles``, which flame graphs take."""
    return "".join(
        f"{_frame(entry['model'])};{_layer_frame(layer['name'])};{_frame(function['name'])}"
        f" {function['cycles']}\n"
        for layer in entry["profile"]["layers"]
        for function in layer["functions"]
    )


def _layer_frame(name: str) -> str:
    """The tensor that a layer is named after: fused ones follow it, with semicolons between."""
    return _frame(name.split(";", maxsplit=1)[0])


def _frame(name: str) -> str:
    """A name without what has a meaning in folded stacks."""
    return " ".join(name.replace(";", ",").split())


def file_name(entry: Mapping[str, Any], *, with_part: bool, with_sparsity: bool) -> Path:
    """Where an entry's folded stacks go unless that is said."""
    part = f"-{entry['cycles_part']}" if with_part else ""
    share = f"-{100 * entry['sparsity']:g}" if with_sparsity else ""
    return Path(f"{entry['model']}-{entry['board']}{part}{share}.folded")
