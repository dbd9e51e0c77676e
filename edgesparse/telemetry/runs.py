"""Records -> runs: what one inference was, once all of it has arrived and agrees with itself."""

from __future__ import annotations

import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgesparse.telemetry.frame import DamagedFrame
from edgesparse.telemetry.record import (
    Event,
    Histogram,
    LayerRecord,
    LayerWindow,
    LostFrames,
    Output,
    Record,
    RunEnd,
    RunStart,
    RunWindow,
    TensorData,
    UnreadableRecord,
    fields_of,
)

DUMP_RUNS_FROM = 0x8000_0000
"""Runs with this number and above carry tensors instead of counts; no statistics include them."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """A whole inference, checked: every layer is there, and the outputs have the device's CRC.

    Args:
        run: its number.
        layers: one record a node of the image, in order.
        outputs: bytes of each model output, as the device holds them.
        end: the record that closed it.
        tensors: by (node, tensor) of the image, the bytes of each node's outputs; empty unless
            asked for.
        histograms: by (node, tensor) of the image, 16 counts; empty unless asked for.
        boot_id: of the device; its lower half counts starts.
    """

    run: int
    layers: tuple[LayerRecord, ...]
    outputs: tuple[bytes, ...]
    end: RunEnd
    tensors: Mapping[tuple[int, int], bytes] = field(default_factory=dict)
    histograms: Mapping[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    boot_id: int = 0


@dataclass(frozen=True, slots=True)
class WindowResult:
    """What the device added up over `runs` inferences from number `run` on, whole and checked.

    Args:
        run: number of the first one.
        runs: how many.
        layers: one record a node of the image, in order.
        end: the record that closed it.
        histograms: by (node, tensor) of the image, 16 counts; empty unless asked for.
        boot_id: of the device; its lower half counts starts.
    """

    run: int
    runs: int
    layers: tuple[LayerWindow, ...]
    end: RunWindow
    histograms: Mapping[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    boot_id: int = 0


@dataclass(frozen=True, slots=True)
class BrokenRun:
    """An inference that cannot be used, why, and the status that the device gave it."""

    run: int
    reason: str
    status: str = "ok"


class _Pieces:
    """Tensors that arrive piece by piece, each from its start to its end."""

    def __init__(self) -> None:
        self._data: dict[tuple[int, int], bytearray] = {}
        self._total: dict[tuple[int, int], int] = {}

    def add(self, key: tuple[int, int], offset: int, total_bytes: int, data: bytes) -> bool:
        """Take a piece; False if it does not follow the one before."""
        got = self._data.setdefault(key, bytearray())
        total = self._total.setdefault(key, total_bytes)
        if offset != len(got) or total_bytes != total or len(data) > total - offset:
            return False
        got += data
        return True

    def complete(self) -> bool:
        return all(len(data) == self._total[key] for key, data in self._data.items())

    def whole(self) -> dict[tuple[int, int], bytes]:
        return {key: bytes(data) for key, data in self._data.items()}


class _OpenRun:
    """An inference of which RUN_START has arrived, and RUN_END not yet."""

    def __init__(self, start: RunStart, boot_id: int) -> None:
        self.start = start
        self.boot_id = boot_id
        self.layers: list[LayerRecord] = []
        self.outputs = _Pieces()
        self.tensors = _Pieces()
        self.histograms: dict[tuple[int, int], tuple[int, ...]] = {}
        self.problem = ""

    def blame(self, problem: str) -> None:
        """Remember the first thing that went wrong."""
        self.problem = self.problem or problem

    def take(self, record: Record) -> None:
        if record.fields["run"] != self.start.run:
            self.blame(f"{record.type} of run {record.fields['run']} in between")
        elif record.type == "layer":
            layer = fields_of(record, LayerRecord)
            if layer.node != len(self.layers):
                self.blame(f"LAYER of node {layer.node} where node {len(self.layers)} was due")
            self.layers.append(layer)
        elif record.type == "output":
            piece = fields_of(record, Output)
            key = (piece.index, 0)
            if not self.outputs.add(key, piece.offset, piece.total_bytes, record.tail):
                self.blame(f"output {piece.index} has a gap at byte {piece.offset}")
        elif record.type == "histogram":
            histogram = fields_of(record, Histogram)
            self.histograms[histogram.node, histogram.tensor] = histogram.bins
        else:
            data = fields_of(record, TensorData)
            key = (data.node, data.tensor)
            if not self.tensors.add(key, data.offset, data.total_bytes, record.tail):
                self.blame(f"tensor {data.tensor} has a gap at byte {data.offset}")

    def close(self, end: RunEnd) -> RunResult | BrokenRun:
        outputs = tuple(data for _, data in sorted(self.outputs.whole().items()))
        self.check(end, outputs)
        if self.problem:
            return BrokenRun(self.start.run, self.problem, end.status)
        tensors = self.tensors.whole()
        return RunResult(
            self.start.run,
            tuple(self.layers),
            outputs,
            end,
            tensors,
            self.histograms,
            self.boot_id,
        )

    def check(self, end: RunEnd, outputs: tuple[bytes, ...]) -> None:
        crc = 0
        for data in outputs:
            crc = zlib.crc32(data, crc)
        if end.status != "ok":
            self.blame(f"status {end.status}")
        if len(self.layers) != self.start.node_count:
            self.blame(f"{len(self.layers)} LAYER records of {self.start.node_count}")
        if not self.outputs.complete() or not self.tensors.complete():
            self.blame("a tensor did not arrive whole")
        if crc != end.output_crc:
            self.blame(f"outputs have CRC {crc:08x}, the device sent {end.output_crc:08x}")
        if any(layer.unit != end.unit for layer in self.layers):
            self.blame("counts in more than one unit")
        if sum(layer.macs_done for layer in self.layers) != end.macs_done:
            self.blame("macs_done of the layers do not add up to that of the run")
        if sum(layer.count for layer in self.layers) > end.count:
            self.blame("the layers count more than the whole run")


class _OpenWindow:
    """A window of which records have arrived, and RUN_WINDOW not yet."""

    def __init__(self, run: int, boot_id: int) -> None:
        self.run = run
        self.boot_id = boot_id
        self.layers: list[LayerWindow] = []
        self.histograms: dict[tuple[int, int], tuple[int, ...]] = {}
        self.problem = ""

    def take(self, record: Record) -> None:
        if record.type == "layer_window":
            self.layers.append(fields_of(record, LayerWindow))
        else:
            histogram = fields_of(record, Histogram)
            self.histograms[histogram.node, histogram.tensor] = histogram.bins

    def close(self, end: RunWindow) -> WindowResult | BrokenRun:
        layers = tuple(self.layers)
        problem = self.problem or _window_problem(layers, end)
        if problem:
            return BrokenRun(end.run, problem)
        return WindowResult(end.run, end.runs, layers, end, self.histograms, self.boot_id)


def _window_problem(layers: tuple[LayerWindow, ...], end: RunWindow) -> str:
    """Why the parts of a window are not all there or do not agree; empty if they are and do."""
    if [layer.node for layer in layers] != list(range(end.node_count)):
        return f"{len(layers)} LAYER_WINDOW records of {end.node_count}"
    if any(
        (layer.run, layer.runs, layer.unit) != (end.run, end.runs, end.unit) for layer in layers
    ):
        return "LAYER_WINDOW records of more than one window"
    if sum(layer.macs_done_sum for layer in layers) != end.macs_done_sum:
        return "macs_done of the layers do not add up to that of the window"
    if sum(layer.count_sum for layer in layers) > end.count_sum:
        return "the layers count more than the whole window"
    return ""


Ended = RunResult | WindowResult | BrokenRun
"""What can come to its end: a run, a window of runs, or one of which something is missing."""


def new_nonce() -> int:
    """Return a random nonce for PING.

    Its lower half is not 0, so that the boot id that it becomes part of shows a restart.
    """
    return secrets.randbits(16) << 16 | (1 + secrets.randbelow(0xFFFF))


class RunCollector:
    """Gathers the records of each run.  The result depends on nonce and events alone.

    Args:
        nonce: of the PING after which the runs were asked for.  Those that the device still sends
            from before carry another one in their boot id and are passed over.
    """

    def __init__(self, nonce: int) -> None:
        self._nonce = nonce & 0xFFFF
        self._open: _OpenRun | None = None
        self._window: _OpenWindow | None = None

    def push(self, event: Event) -> Ended | None:
        """Return the run or window, good or broken, that an event ends."""
        if isinstance(event, LostFrames | DamagedFrame):
            self._damage(event)
            return None
        if isinstance(event, UnreadableRecord):
            return None
        broken = None
        if self._open is not None and self._open.boot_id != event.boot_id:
            broken = BrokenRun(self._open.start.run, "the device restarted")
            self._open = None
        ended = self._take(event) if event.boot_id >> 16 == self._nonce else None
        return ended or broken

    def _damage(self, event: LostFrames | DamagedFrame) -> None:
        if isinstance(event, LostFrames):
            problem = f"{event.count} frames were lost"
        else:
            problem = f"a frame was damaged ({event.reason})"
        if self._open is not None:
            self._open.blame(problem)
        if self._window is not None:
            self._window.problem = self._window.problem or problem

    def _take(self, record: Record) -> Ended | None:
        if record.type == "run_start":
            opened, self._open = self._open, _OpenRun(fields_of(record, RunStart), record.boot_id)
            return None if opened is None else BrokenRun(opened.start.run, "its RUN_END is missing")
        if record.type == "run_end":
            return self._close(fields_of(record, RunEnd))
        if record.type == "run_window":
            return self._close_window(fields_of(record, RunWindow), record.boot_id)
        if self._open is not None:
            if record.type in ("layer", "output", "tensor_data", "histogram"):
                self._open.take(record)
        elif record.type in ("layer_window", "histogram"):
            self._windowed(record).take(record)
        return None

    def _windowed(self, record: Record) -> _OpenWindow:
        """The window that a record belongs to; an open one of other runs has lost its end."""
        run, window = record.fields["run"], self._window
        if window is None or (window.run, window.boot_id) != (run, record.boot_id):
            self._window = window = _OpenWindow(run, record.boot_id)
        return window

    def _close_window(self, end: RunWindow, boot_id: int) -> WindowResult | BrokenRun:
        window, self._window = self._window, None
        if window is None or (window.run, window.boot_id) != (end.run, boot_id):
            window = _OpenWindow(end.run, boot_id)
        return window.close(end)

    def _close(self, end: RunEnd) -> RunResult | BrokenRun:
        opened, self._open = self._open, None
        if opened is not None and opened.start.run == end.run:
            return opened.close(end)
        # A run that could not start, or was aborted, ends without RUN_START.
        reason = "its RUN_START is missing" if end.status == "ok" else f"status {end.status}"
        return BrokenRun(end.run, reason, end.status)
