"""The job of `edgesparse monitor`: a board that is started here, or a line to one that runs."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from rich.console import Console

from edgesparse.deploy.run import Options, Prepared, prepare, read_inputs
from edgesparse.deploy.session import FLAG_HISTOGRAMS, FLAG_RESET_STATE
from edgesparse.errors import StoppedError, UsageError
from edgesparse.image import Image
from edgesparse.inputs import row_bytes, rows_for
from edgesparse.monitor.control import Work
from edgesparse.monitor.link import BoardLine, Line, SerialLine
from edgesparse.monitor.names import find_image
from edgesparse.monitor.recorder import Recorder, Rotation
from edgesparse.monitor.view import View
from edgesparse.monitor.watch import Monitor, SetupFor, Until
from edgesparse.pipeline import Destination, Recipe, prepare_image
from edgesparse.telemetry.record import Hello, Memory
from edgesparse.telemetry.setup import Setup

__all__ = ["MonitorOptions", "Port", "monitor_board", "monitor_port"]

SCHEMA_VERSION = 1
_HELLO_S = 15.0


@dataclass(frozen=True, slots=True)
class MonitorOptions:
    """How to watch.

    runs, seconds: when to stop; None for never.  every, rate: as in control.Work.  log: the parent
    of all logs; None for one named after time, model and board.  rotation: None for no more logs
    than connections.
    """

    runs: int | None = None
    seconds: float | None = None
    every: int = 1
    rate: int = 0
    histograms: bool = False
    reset_state: bool = False
    log: Path | None = None
    rotation: Rotation | None = None

    @property
    def flags(self) -> int:
        """Of RUN."""
        histograms = FLAG_HISTOGRAMS if self.histograms else 0
        return histograms | (FLAG_RESET_STATE if self.reset_state else 0)


@dataclass(frozen=True, slots=True)
class Port:
    """A line to a device.

    Args:
        url: a path or a URL of pyserial's.
        baud: bits per second.
        wait: for the first connection too.
        start: have the device run, else only listen.
        rows: of the batch in its memory, to run; not where rows go over the line.
    """

    url: str
    baud: int
    wait: bool = False
    start: bool = False
    rows: int = 1


def monitor_board(
    path: Path | None, recipe: Recipe, place: Options, options: MonitorOptions, *, quiet: bool
) -> dict[str, Any]:
    """Start a board with a model and watch it; return the document.  Raises as deploying does."""
    prepared = prepare(path, recipe, place)
    rows = prepared.rows
    count = len(rows[0])
    link_rows = () if prepared.has_batch else [row_bytes(rows, i) for i in range(count)]
    work = Work(count, options.runs, options.every, options.rate, options.flags, link_rows)
    _check_work(work)

    def setup_for(hello: Hello, memory: Memory, nonce: int) -> Setup:  # noqa: ARG001
        return _setup(prepared, options, nonce)

    with prepared.power_on() as target:
        return _watch(BoardLine(target), setup_for, work, options, Until(hello_s=_HELLO_S), quiet)


def _setup(prepared: Prepared, options: MonitorOptions, nonce: int) -> Setup:
    setup = prepared.setup(options.runs or 0)
    known: dict[str, Any] = {"nonce": nonce}
    if prepared.image.has_state and not options.reset_state:
        # The runs go on from each other, the expected outputs start from the reset state.
        known |= {"labels": None, "golden": ()}
    return setup.model_copy(update=known)


def monitor_port(
    path: Path | None,
    recipe: Recipe,
    port: Port,
    inputs: Path | None,
    options: MonitorOptions,
    *,
    quiet: bool,
) -> dict[str, Any]:
    """Watch a device at a port; return the document.

    Args:
        path: of the model that it runs; None to find out from earlier logs.
        recipe: how the image was made, where `path` is a .tflite.
        port: the line.
        inputs: rows to send over the line; None to run those in the device's memory.
        options: how to watch.
        quiet: show nothing.

    Raises:
        TargetError: the port cannot be opened.
        UsageError: options contradict each other, or the device runs another image than `path`.
        LinkTimeoutError: nobody answers.
    """
    image = None if path is None else prepare_image(path, recipe, Destination())
    link_rows = _link_rows(image, inputs) if port.start else ()
    work = None
    if port.start:
        count = len(link_rows) or port.rows
        work = Work(count, options.runs, options.every, options.rate, options.flags, link_rows)
        _check_work(work)

    def setup_for(hello: Hello, memory: Memory, nonce: int) -> Setup:
        return _found_setup(hello, memory, nonce, image, options.runs or 0)

    line = SerialLine(port.url, baud=port.baud)
    try:
        if not port.wait:
            line.open()
        until = Until(hello_s=None if port.wait else _HELLO_S)
        return _watch(line, setup_for, work, options, until, quiet)
    finally:
        line.close()


def _check_work(work: Work) -> None:
    if work.link_rows and work.every > 1:
        hint = "leave out --every, or choose a board with memory for a batch"
        raise UsageError("rows that go over the line are runs of their own", hint=hint)


def _link_rows(image: Image | None, inputs: Path | None) -> list[tuple[bytes, ...]]:
    if inputs is None:
        return []
    given = read_inputs(inputs, bundled=False)
    if image is None or given is None:
        raise UsageError("--inputs needs the model", hint="give the .esm that the device runs")
    rows = rows_for(image.meta.inputs, given, range(given.rows))
    return [row_bytes(rows, i) for i in range(given.rows)]


def _found_setup(hello: Hello, memory: Memory, nonce: int, image: Image | None, runs: int) -> Setup:
    """What is known of a device that somebody else has started; of its rows, nothing."""
    known = find_image(hello, image)
    return Setup(
        nonce=nonce,
        command=tuple(sys.argv),
        board=hello.board,
        meta=known.meta,
        image_sha256=known.image_sha256,
        flash_bytes=known.flash_bytes,
        arena_bytes=memory.arena_used_bytes,
        runs=runs,
        rows=1,
        input_zeros=(),
    )


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and SIGTERM ask for the end, which comes between two reads; the second breaks."""
    asked = False

    def ask(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(
    line: Line,
    setup_for: SetupFor,
    work: Work | None,
    options: MonitorOptions,
    until: Until,
    quiet: bool,
) -> dict[str, Any]:
    """Watch until the end, then close the log; also an error leaves it whole."""
    recorder = Recorder(options.log, options.rotation)
    console = Console(quiet=quiet, highlight=False)
    notes = Console(stderr=True, quiet=quiet, highlight=False)
    until = Until(options.runs, options.seconds, until.hello_s)
    with _signals() as stopped, View(console, notes) as view:
        monitor = Monitor(line, setup_for, recorder, view, work)
        try:
            monitor.run(until, stopped)
        except BaseException as error:
            recorder.abandon(error)
            if isinstance(error, KeyboardInterrupt):
                raise StoppedError("stopped in the middle") from None
            raise
        recorder.close()
    return {
        "schema_version": SCHEMA_VERSION,
        "runs": view.runs,
        "broken_runs": view.broken,
        "restarts": monitor.restarts,
        "frames_lost": recorder.lost,
        "frames_damaged": recorder.damaged,
        "logs": [str(folder) for folder in monitor.folders],
        "summary": view.document(),
    }
