"""Records -> windows: what some runs together were, where the device does not send each of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from edgesparse.telemetry.frame import DamagedFrame
from edgesparse.telemetry.record import (
    Event,
    LayerWindow,
    LostFrames,
    Record,
    RunWindow,
    UnreadableRecord,
    fields_of,
)

__all__ = ["WindowCollector", "WindowResult"]


@dataclass(frozen=True, slots=True)
class WindowResult:
    """A whole window, checked: every layer is there, and they add up.

    Args:
        layers: one record a node of the image, in order.
        end: the record that closed it; it says which runs.
        boot_id: of the device; its lower half counts starts.
    """

    layers: tuple[LayerWindow, ...]
    end: RunWindow
    boot_id: int


@dataclass(slots=True)
class _OpenWindow:
    boot_id: int
    layers: list[LayerWindow] = field(default_factory=list)


class WindowCollector:
    """Gathers the records of each window.  The result depends on nonce and events alone.

    A window of which a part was lost, or that contradicts itself, is passed over; `broken` counts
    these.  Arguments as those of runs.RunCollector.
    """

    def __init__(self, nonce: int) -> None:
        self.broken = 0
        self._nonce = nonce & 0xFFFF
        self._open: _OpenWindow | None = None
        self._damaged = False

    def push(self, event: Event) -> WindowResult | None:
        """Return the window that an event ends."""
        if isinstance(event, LostFrames | DamagedFrame):
            self._damaged = True
            return None
        if isinstance(event, UnreadableRecord) or event.boot_id >> 16 != self._nonce:
            return None
        if event.type == "layer_window":
            self._take(fields_of(event, LayerWindow), event)
        if event.type != "run_window":
            return None
        opened, self._open = self._open or _OpenWindow(event.boot_id), None
        damaged, self._damaged = self._damaged, False
        window = _close(opened, fields_of(event, RunWindow), event)
        if window is None or damaged:
            self.broken += 1
            return None
        return window

    def _take(self, layer: LayerWindow, record: Record) -> None:
        if layer.node == 0 or self._open is None:
            self._open = _OpenWindow(record.boot_id)
        self._open.layers.append(layer)


def _close(opened: _OpenWindow, end: RunWindow, record: Record) -> WindowResult | None:
    layers = opened.layers
    runs = {(layer.run, layer.runs, layer.unit) for layer in layers}
    whole = (
        [layer.node for layer in layers] == list(range(end.node_count))
        and runs <= {(end.run, end.runs, end.unit)}
        and opened.boot_id == record.boot_id
        and end.runs > 0
        and sum(layer.macs_done_sum for layer in layers) == end.macs_done_sum
        and sum(layer.count_sum for layer in layers) <= end.count_sum
    )
    return WindowResult(tuple(layers), end, record.boot_id) if whole else None
