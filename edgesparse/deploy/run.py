"""The main job: model and inputs onto a board, runs, live table, log, document."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from edgesparse import demo
from edgesparse.cycles import Part, find_part
from edgesparse.deploy.boards import Board, find_board
from edgesparse.deploy.export import given_firmware
from edgesparse.deploy.firmware import Firmware
from edgesparse.deploy.on_device import Order, check_room, needed_ram_bytes, orders
from edgesparse.deploy.open import (
    Capacity,
    batch_rows,
    capacity_of,
    check_fit,
    open_target,
    sure_ram_bytes,
)
from edgesparse.deploy.qemu import QemuTarget
from edgesparse.deploy.session import FLAG_HISTOGRAMS, FLAG_RESET_STATE, FROM_LINK, Session
from edgesparse.deploy.target import Target
from edgesparse.encode.cost import CPUS, DEFAULT_CPU
from edgesparse.errors import DoesNotFitError, StoppedError, TargetError, UsageError
from edgesparse.image import Image
from edgesparse.inputs import Inputs, batch_bytes, check_golden, load_inputs, row_bytes, rows_for
from edgesparse.pipeline import Destination, Recipe, prepare_image, read_model
from edgesparse.report.live import LiveTable
from edgesparse.report.summary import Summary
from edgesparse.telemetry.cycles import CycleLog, read_run_cycles
from edgesparse.telemetry.log import RunLog
from edgesparse.telemetry.record import Hello
from edgesparse.telemetry.runs import RunResult, WindowResult
from edgesparse.telemetry.setup import Setup

__all__ = [
    "Options",
    "Prepared",
    "deploy_model",
    "destination_for",
    "image_for",
    "prepare",
    "read_inputs",
]

DEFAULT_RUNS = 20


@dataclass(frozen=True, slots=True)
class Options:
    """How to run.

    `runs` None takes every input row but at most DEFAULT_RUNS.  `firmware` is a file to use in
    place of the board's own.  `part` is the processor whose cycles are modelled, see
    cycles.find_part.  A model with state starts from its reset state each time its first row comes,
    and with `reset_state` in every run.  `every`: runs that the device adds up before it tells of
    them, 1 for each on its own.  `rate`: bytes per second that records may take, 0 for all of them.
    `histograms`: whether each layer's values are counted in 16 bins.
    """

    board: str
    inputs: Path | None = None
    runs: int | None = None
    log: Path | None = None
    timeout_s: float = 60.0
    firmware: Path | None = None
    reset_state: bool = False
    part: str | None = None
    every: int = 1
    rate: int = 0
    histograms: bool = False


def read_inputs(path: Path | None, *, bundled: bool) -> Inputs | None:
    """The input file; for the bundled model its own test rows; None where there is neither."""
    if path is None and bundled:
        path = demo.data_path()
    return None if path is None else load_inputs(path)


def _row_count(inputs: Inputs | None, runs: int | None) -> tuple[int, int]:
    """Runs to do and different rows among them."""
    there = DEFAULT_RUNS if inputs is None else inputs.rows
    runs = min(there, DEFAULT_RUNS) if runs is None else runs
    return runs, runs if inputs is None else min(runs, there)


def destination_of(board: Board, *, firmware: Firmware | None = None) -> Destination:
    """A board as a destination of images; `firmware` has perhaps not all kernels."""
    return Destination(
        cpu=board.cpu if board.cpu in CPUS else DEFAULT_CPU,
        ram_bytes=sure_ram_bytes(board),
        flash_bytes=board.memory.model.bytes,
        kernels=None if firmware is None else frozenset(firmware.kernels),
    )


def image_for(path: Path | None, recipe: Recipe, options: Options) -> Image:
    """The image that deploy_model runs.

    Unless the recipe says which zeros to expect in activations, it takes input rows for that which
    are not run.  Raises what deploying raises.
    """
    return prepare_image(path, recipe, destination_for(path, options))


def destination_for(path: Path | None, options: Options) -> Destination:
    """Where deploy_model runs a model, with the input rows that it leaves over."""
    board = find_board(options.board)
    inputs = read_inputs(options.inputs, bundled=path is None)
    firmware = None if options.firmware is None else given_firmware(options.firmware, board)
    _, run = _row_count(inputs, options.runs)
    left = () if inputs is None else range(run, inputs.rows)
    return replace(destination_of(board, firmware=firmware), inputs=inputs, rows=left)


def _check_batch(image: Image, board: Board, capacity: Capacity, rows: int) -> None:
    room = batch_rows(image, capacity)
    if 0 < room < rows:
        needed = rows * capacity.batch_bytes // room
        hint = f"ask for at most {room} runs"
        what = f"the input rows in {board.name}'s memory for them"
        raise DoesNotFitError(what, needed, capacity.batch_bytes, hint=hint)


@dataclass(frozen=True, slots=True)
class _Plan:
    """Runs to do and different rows among them; whether those lie in the device's memory.

    reset: in which runs state is reset: in "none", in the "first" of each pass, or in "all".
    """

    runs: int
    rows: int
    batch: bool
    reset: str
    options: Options

    def flags(self, row: int) -> int:
        wanted = self.reset == "all" or (self.reset == "first" and row == 0)
        histograms = FLAG_HISTOGRAMS if self.options.histograms else 0
        return histograms | (FLAG_RESET_STATE if wanted else 0)


def _results(
    session: Session, rows: Sequence[Any], plan: _Plan
) -> Iterator[RunResult | WindowResult]:
    """All runs, in order; run i takes row i % plan.rows."""
    options = plan.options
    done = 0
    while done < plan.runs:
        row = done % plan.rows
        flags = plan.flags(row)
        first, count, wrap = row, plan.runs - done, 0
        if not plan.batch:
            first, count = FROM_LINK, 1
            for index, data in enumerate(row_bytes(rows, row)):
                session.send_input(index, data)
        elif plan.reset == "first":
            # One RUN goes as far as its flags hold.
            count = min(plan.rows - row if row > 0 else 1, count)
        else:
            wrap = plan.rows
        if options.every == 1 and options.rate == 0:
            yield from session.run(first, count, rows=wrap, flags=flags)
        else:
            every, rate = options.every, options.rate
            yield from session.watch(first, count, every=every, rate=rate, rows=wrap, flags=flags)
        done += count


def check_rate(hello: Hello, rate: int) -> None:
    """Raise UsageError where a device is to keep to a rate that has no time base."""
    if rate > 0 and hello.tick_rate_hz == 0:
        raise UsageError(
            f"board {hello.board} has no time base to keep a rate by",
            hint="leave --rate out, or choose a board that counts: edgesparse boards",
        )


class _Cycles:
    """Takes the modelled cycles of runs from the target, where it has any, to summary and log."""

    def __init__(self, target: Target, part: Part | None, summary: Summary, log: RunLog) -> None:
        has_model = part is not None and isinstance(target, QemuTarget) and target.models_cycles
        self._target = target if has_model and isinstance(target, QemuTarget) else None
        self._summary = summary
        self._log = log
        if part is not None and self._target is not None:
            summary.model_cycles(CycleLog(part.name, {}))
            log.cycled(CycleLog.header(part.name))

    def collect(self) -> None:
        """What there is by now: at least the runs of which the end has arrived."""
        lines = [] if self._target is None else self._target.cycle_lines()
        for line in lines:
            self._log.cycled(line)
            self._summary.add_cycles(read_run_cycles(line))


@dataclass(frozen=True, slots=True)
class Prepared:
    """A board, and all that goes onto it.

    runs: how many there are to do, if nobody says more.  rows: the different rows among them, for
    each model input.  orders: which weights the device is to set to zero before the first run.
    """

    board: Board
    image: Image
    inputs: Inputs | None
    runs: int
    rows: tuple[NDArray[np.int8], ...]
    capacity: Capacity
    orders: tuple[Order, ...]

    @property
    def ram_bytes(self) -> int:
        """The RAM that it takes: the arena, and a copy of an image that the device changes."""
        return needed_ram_bytes(self.image) if self.orders else self.image.arena_bytes

    @property
    def has_batch(self) -> bool:
        """Whether the rows lie in the device's memory; else they go over the line."""
        return batch_rows(self.image, self.capacity) > 0

    def setup(self, runs: int) -> Setup:
        """What is known before the start; `runs` as in Setup."""
        return Setup.prepare(
            board=self.board.name,
            meta=self.image.meta,
            image=self.image.device_bytes(),
            arena_bytes=self.ram_bytes,
            inputs=self.inputs,
            rows=self.rows,
            runs=runs,
            command=sys.argv,
        )

    def power_on(self, part: Part | None = None) -> Target:
        """The board with image and rows; see open_target."""
        batch = batch_bytes(self.rows) if self.has_batch else b""
        return open_target(
            self.board, self.image, batch, self.capacity, part=part, ram_bytes=self.ram_bytes
        )


def prepare(path: Path | None, recipe: Recipe, options: Options) -> Prepared:
    """Make the image and the rows for a board, if they fit.  Raises what deploying raises."""
    notes = Console(stderr=True, highlight=False)
    board = find_board(options.board)
    inputs = read_inputs(options.inputs, bundled=path is None)
    image = image_for(path, recipe, options)
    if inputs is not None:
        check_golden(image.meta.outputs, inputs)
    runs, count = _row_count(inputs, options.runs)
    rows = rows_for(image.meta.inputs, inputs, range(count))
    capacity = capacity_of(board, firmware=options.firmware, progress=notes.print)
    check_fit(image, board, capacity)
    _check_batch(image, board, capacity, count)
    todo: tuple[Order, ...] = ()
    if recipe.on_device is not None:
        check_room(image, board, capacity)
        todo = tuple(orders(read_model(path), image, recipe.on_device))
    return Prepared(board, image, inputs, runs, rows, capacity, todo)


def deploy_model(
    path: Path | None, recipe: Recipe, options: Options, *, quiet: bool
) -> dict[str, Any]:
    """Run a model on a board and return the document of the runs; see report.Summary.

    Shows a live table on stdout unless `quiet`.  Raises StoppedError after Ctrl-C, with the log of
    what was done kept.
    """
    part = find_part(options.part, find_board(options.board))
    prepared = prepare(path, recipe, options)
    image, rows = prepared.image, prepared.rows
    setup = prepared.setup(prepared.runs)
    reset = "all" if options.reset_state else "first" if image.has_state else "none"
    plan = _Plan(prepared.runs, len(rows[0]), prepared.has_batch, reset, options)
    summary = Summary(setup)
    with (
        prepared.power_on(part) as target,
        RunLog.create(options.log, setup) as log,
        LiveTable(Console(quiet=quiet), summary, log=log.folder) as table,
    ):
        session = Session(target, timeout_s=options.timeout_s, log=log, observe=summary.observe)
        check_rate(session.hello(), options.rate)
        for order in prepared.orders:
            session.sparsify(order.node, smallest=order.smallest, limit=order.limit_bits)
        cycles = _Cycles(target, part, summary, log)
        try:
            for result in _results(session, rows, plan):
                cycles.collect()
                table.add(result)
        except KeyboardInterrupt:
            with contextlib.suppress(TargetError):  # Ctrl-C may have reached QEMU too
                session.abort()
            raise StoppedError(f"stopped; what was done is in {log.folder}") from None
        document = summary.document()
        log.finish(document)
    return document
