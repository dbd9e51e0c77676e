"""The monitor: a line, what is said to the device, the log, and what is shown."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from edgesparse.deploy.session import check_hello_size, fault_text
from edgesparse.errors import LinkTimeoutError
from edgesparse.monitor.control import Control, Work
from edgesparse.monitor.link import Line
from edgesparse.monitor.recorder import Arrival, Recorder
from edgesparse.monitor.view import View
from edgesparse.telemetry.record import (
    Event,
    Fault,
    Hello,
    Memory,
    Receiver,
    Record,
    UnreadableRecord,
    fields_of,
)
from edgesparse.telemetry.runs import new_nonce
from edgesparse.telemetry.setup import Setup

__all__ = ["Monitor", "Until"]

_STOP_S = 5.0
# Of what a device says before it has said who it is; what came first goes.
_HELD_BYTES = 1 << 20

SetupFor = Callable[[Hello, Memory, int], Setup]
"""What is known before the runs of a device that said HELLO, under a nonce."""


@dataclass(frozen=True, slots=True)
class Until:
    """When to stop: after so many runs, so many seconds, or neither.

    hello_s: seconds to wait for the first HELLO; None for ever.
    """

    runs: int | None = None
    seconds: float | None = None
    hello_s: float | None = None


class Monitor:
    """Watches a device until it is told to stop.

    Each connection has a nonce and a log of its own: runs of two of them never mix, not even where
    a device counts its starts from 1 again.  So has a device that comes back with another image or
    firmware.

    Args:
        line: to the device; the caller closes it.
        setup_for: see there.
        recorder: writes the logs; the caller closes it.
        view: shows what arrives.
        work: what to have it run; None to listen only.
    """

    def __init__(
        self,
        line: Line,
        setup_for: SetupFor,
        recorder: Recorder,
        view: View,
        work: Work | None,
    ) -> None:
        self.restarts = 0
        self.folders: list[Path] = []
        self._line = line
        self._setup_for = setup_for
        self._recorder = recorder
        self._view = view
        self._work = work
        line.note = view.note
        self._answered = False
        self._last_nonce: int | None = None
        self._connect()

    # --- The loop ------------------------------------------------------------------------------

    def run(self, until: Until, stopped: Callable[[], bool]) -> None:
        """Watch until it is time, or `stopped` says so.

        Raises LinkTimeoutError where no HELLO came, and what Control, Recorder and a line raise.
        """
        started = time.monotonic()
        while not stopped() and not self._over(until, time.monotonic() - started):
            self._turn()
            self._view.refresh()
        if self._work is not None and self._line.is_open:
            self._stop()

    def _over(self, until: Until, seconds: float) -> bool:
        if until.hello_s is not None and not self.folders and seconds >= until.hello_s:
            raise LinkTimeoutError(
                f"the device did not say HELLO in {until.hello_s:g} s",
                hint="check that it runs edgesparse firmware and that the port is right",
            )
        enough = until.runs is not None and self._view.runs >= until.runs
        late = until.seconds is not None and seconds >= until.seconds
        return enough or late or self._control.finished

    def _turn(self) -> None:
        data = self._line.read()
        if self._line.opened != self._opened:
            self._connect()
        if data:
            self._take(data)
        if self._line.is_open:
            self._control.passed()

    def _stop(self) -> None:
        """Stop what was started, and take what still comes: a last window, for one."""
        self._last_nonce = self._control.stop()
        started = time.monotonic()
        while not self._answered and time.monotonic() - started < _STOP_S:
            self._turn()

    def _connect(self, sequence: int = 0) -> None:
        """Begin a conversation: a new nonce, and a new log once the device has said who it is.

        sequence: number of the first frame.
        """
        self._opened = self._line.opened
        self._nonce = new_nonce()
        self._probe = Receiver()
        self._held = b""
        self._hello: Hello | None = None
        self._boot: int | None = None
        self._last_nonce = None
        self._control = Control(self._line.write, self._nonce, self._work_left(), sequence=sequence)

    def _work_left(self) -> Work | None:
        """The work, without the runs of earlier connections."""
        if self._work is None or self._work.runs is None:
            return self._work
        return replace(self._work, runs=max(self._work.runs - self._view.runs, 0))

    # --- What arrives --------------------------------------------------------------------------

    def _take(self, data: bytes) -> None:
        begins = self._hello is None
        if begins:
            self._held = (self._held + data)[-_HELD_BYTES:]
            for event in self._probe.feed(data):
                self._hear(event)
            if self._hello is None:
                return
            for arrival in self._recorder.take(self._held):
                self._show(arrival)
            self._held = b""
        else:
            for arrival in self._recorder.take(data):
                self._show(arrival)
                self._hear(arrival.event)
        folder = self._recorder.folder
        if folder is not None and folder not in self.folders:
            self.folders.append(folder)
            self._view.log_to(folder)
            if self._hello is not None and not begins:
                self._control.ask()  # each log says of whom it is

    def _show(self, arrival: Arrival) -> None:
        self._view.heard(arrival.event)
        if arrival.result is not None:
            self._view.ended(arrival.result)
        event = arrival.event
        if isinstance(event, Record) and event.type == "log":
            self._view.note(f"device: {event.tail.decode('utf-8', 'backslashreplace')}")
        elif isinstance(event, Record) and event.type == "fault":
            self._view.note(f"device: {fault_text(fields_of(event, Fault))}")

    def _hear(self, event: Event) -> None:
        if isinstance(event, UnreadableRecord):
            check_hello_size(event)
        if not isinstance(event, Record):
            return
        restarts = self._control.restarts
        self._control.heard(event)
        if self._control.restarts != restarts:
            self.restarts += 1
            self._view.note(f"the device restarted: start {event.boot_id & 0xFFFF}")
        if self._last_nonce is not None and event.fields.get("nonce") == self._last_nonce:
            self._answered = True
        if self._control.greeted:
            self._greeted(event.boot_id & 0xFFFF)

    def _greeted(self, boot: int) -> None:
        """The device has said who it is and how much memory it uses; perhaps it did before."""
        hello, memory = self._control.hello, self._control.memory
        assert hello is not None
        assert memory is not None
        if self._hello is None:
            self._hello = hello
            setup = self._setup_for(hello, memory, self._nonce)
            self._recorder.begin(setup)
            self._view.begin(setup)
        elif _identity(hello) != _identity(self._hello):
            self._view.note("the device came back with another image or firmware")
            self._connect(self._control.sequence)
            return
        if boot != self._boot:
            self._boot = boot
            self._view.greet(hello, boot)


def _identity(hello: Hello) -> tuple[object, ...]:
    return hello.board, hello.build_id, hello.model_crc, hello.model_hash
