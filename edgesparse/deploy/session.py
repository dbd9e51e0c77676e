"""A conversation with a device: who it is, inferences, and what it says when something is wrong."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from edgesparse import native
from edgesparse.deploy.target import Target
from edgesparse.errors import (
    DeviceError,
    DeviceFaultError,
    ImageRefusedError,
    LinkTimeoutError,
)
from edgesparse.telemetry.log import RunLog
from edgesparse.telemetry.record import (
    Event,
    Fault,
    Hello,
    Receiver,
    Record,
    Sparsified,
    UnreadableRecord,
    command,
    fields_of,
    input_pieces,
    is_restart,
)
from edgesparse.telemetry.runs import (
    DUMP_RUNS_FROM,
    BrokenRun,
    Ended,
    RunCollector,
    RunResult,
    WindowResult,
    new_nonce,
)

__all__ = [
    "ENDLESS",
    "FLAG_COUNT_RECORDS",
    "FLAG_DUMP",
    "FLAG_HISTOGRAMS",
    "FLAG_NO_SATURATED",
    "FLAG_NO_ZEROS",
    "FLAG_RESET_STATE",
    "FROM_LINK",
    "Session",
    "check_hello",
    "check_hello_size",
    "fault_text",
]

FLAG_DUMP = 1
"""Of a RUN: send every node's outputs."""
FLAG_RESET_STATE = 2
"""Of a RUN: give persistent tensors their reset values before each inference."""
FLAG_NO_ZEROS = 4
"""Of a RUN: do not count zeros, so that the run shows what counting them costs."""
FLAG_COUNT_RECORDS = 8
"""Of a RUN: build its records once more, unsent, within the count of the run."""
FLAG_HISTOGRAMS = 16
"""Of a RUN: send a histogram of every node's int8 outputs."""
FLAG_NO_SATURATED = 32
"""Of a RUN: do not count saturated outputs, so that the run shows what counting them costs."""

ENDLESS = 0xFFFF_FFFF
"""Count of a RUN that goes on until abort()."""
FROM_LINK = 0xFFFF_FFFF
"""First row of a RUN whose one input comes with send_input()."""

_PROTOCOL = 2

_READ_BYTES = 65536
_READ_S = 0.5
_PING_EVERY_S = 1.0
_HELLO_S = 15.0
_RESTART_S = 3.0
_WHOLE = "use the board's whole firmware: without --firmware, or made without --only-ops"
_REFLASH = "build the firmware of this board again and put it onto the device"


class _Patience:
    """How long nothing useful has come.

    Targets that know at once that nothing will come do not wait, so that each empty read counts for
    the time that it was given.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.restart()

    def restart(self) -> None:
        self._since = time.monotonic()
        self._empty_s = 0.0

    def read_s(self) -> float:
        return min(_READ_S, self._limit_s)

    def nothing_came(self) -> None:
        self._empty_s += self.read_s()

    def over(self) -> bool:
        return max(self._empty_s, time.monotonic() - self._since) >= self._limit_s


class Session:
    """Talks to one device over a target's line.

    Call hello() first.  Whatever arrives goes to the log, if there is one, before it is acted upon.

    Args:
        target: the device and its line; the caller closes it.
        timeout_s: seconds of silence after which a run is given up.
        log: takes the bytes as received and the records in them; the caller closes it.
        observe: is told every event as soon as it has arrived, before it is acted upon.
    """

    def __init__(
        self,
        target: Target,
        *,
        timeout_s: float = 60.0,
        log: RunLog | None = None,
        observe: Callable[[Event], None] | None = None,
    ) -> None:
        self._target = target
        self._observe = observe
        self._timeout_s = timeout_s
        self._log = log
        self._nonce = new_nonce() if log is None else log.setup.nonce
        self._receiver = Receiver()
        self._runs = RunCollector(self._nonce)
        self._arrived: deque[tuple[Event, Ended | None]] = deque()
        self._sequence = 0
        self._next_number = {0: 0, FLAG_DUMP: DUMP_RUNS_FROM}
        self._boot_id = 0

    # --- The line --------------------------------------------------------------------------

    def _send(self, name: str, tail: bytes = b"", **fields: int) -> None:
        self._target.write(command(name, self._sequence, tail, **fields))
        self._sequence = (self._sequence + 1) & 0xFFFF

    def _next(self, patience: _Patience) -> tuple[Event | None, Ended | None]:
        """The next event and the run that it ends; (None, None) if one read brought nothing."""
        if not self._arrived:
            data = self._target.read(_READ_BYTES, patience.read_s())
            if not data:
                patience.nothing_came()
                return None, None
            if self._log is not None:
                self._log.received(data)
            events = self._receiver.feed(data)
            if self._log is not None:
                self._log.decoded(events)
            for event in events:
                if self._observe is not None:
                    self._observe(event)
                self._arrived.append((event, self._runs.push(event)))
        return self._arrived.popleft() if self._arrived else (None, None)

    # --- Who is there ----------------------------------------------------------------------

    def hello(self, *, timeout_s: float = _HELLO_S) -> Hello:
        """Ask the device who it is, until it answers.  Anything else that arrives is passed over.

        Raises:
            LinkTimeoutError: no answer in `timeout_s` seconds.
            DeviceFaultError: no answer but a report of a fault.
            DeviceError: it speaks another protocol or was built from other tables.
            ImageRefusedError: it has no model, or refused the one it has.
        """
        hello = self._greet(timeout_s)
        check_hello(hello)
        return hello

    def _greet(self, timeout_s: float) -> Hello:
        """Send PING until the HELLO comes that carries its nonce."""
        fault: Fault | None = None
        for _ in range(max(1, round(timeout_s / _PING_EVERY_S))):
            # Runs that another host left behind would stand in the way of ours.
            self._send("abort")
            self._send("ping", nonce=self._nonce)
            patience = _Patience(min(_PING_EVERY_S, timeout_s))
            while not patience.over():
                event, _ = self._next(patience)
                if isinstance(event, UnreadableRecord):
                    check_hello_size(event)
                if not isinstance(event, Record):
                    continue
                if event.type == "fault":
                    fault = fields_of(event, Fault)
                elif event.type == "hello" and event.fields["nonce"] == self._nonce:
                    self._boot_id = event.boot_id
                    return fields_of(event, Hello)
        if fault is not None:
            raise DeviceFaultError(fault_text(fault))
        raise LinkTimeoutError(
            f"the device did not say HELLO in {timeout_s:g} s",
            hint="check that it runs edgesparse firmware and that the port is right",
        )

    def reset(self) -> Hello:
        """Restart the device and greet it again.  Raises what hello() raises."""
        before = self._boot_id
        self._send("reset")
        patience = _Patience(_RESTART_S)
        while not patience.over():
            event, _ = self._next(patience)
            if isinstance(event, Record) and is_restart(before, event.boot_id):
                break
        hello = self.hello()
        if self._boot_id & 0xFFFF == before & 0xFFFF:
            raise DeviceError("the device did not restart when asked to")
        return hello

    def sparsify(self, node: int, *, smallest: int, limit: int) -> Sparsified:
        """Have the device set the smallest weights of a node to zero; see the record SPARSIFY.

        Raises LinkTimeoutError for silence, DeviceFaultError where it refuses, DeviceError for a
        restart.
        """
        self._send("sparsify", node=node, smallest=smallest, limit=limit)
        patience = _Patience(self._timeout_s)
        while not patience.over():
            event, _ = self._next(patience)
            if not isinstance(event, Record):
                continue
            if event.type == "fault":
                fault = fields_of(event, Fault)
                hint = _WHOLE if fault.status == "left_out" else None
                raise DeviceFaultError(f"node {node}: {fault_text(fault)}", hint=hint)
            if event.boot_id != self._boot_id:
                raise DeviceError("the device restarted while it set weights to zero")
            if event.type == "sparsified" and event.fields["node"] == node:
                return fields_of(event, Sparsified)
        raise LinkTimeoutError(
            f"node {node}: the device did not set weights to zero in {self._timeout_s:g} s"
        )

    # --- Inferences ------------------------------------------------------------------------

    def run(
        self, first_row: int, count: int, *, rows: int = 0, flags: int = 0
    ) -> Iterator[RunResult]:
        """Run rows of the batch that lies in the device's memory; yield each run as it ends.

        Runs are numbered from 0 over the whole session, those with FLAG_DUMP from DUMP_RUNS_FROM.

        Args:
            first_row: row of the batch for the first run, or FROM_LINK.
            count: runs, at least 1.
            rows: rows to go through, again and again; 0: do not go back to the first.
            flags: FLAG_DUMP, FLAG_RESET_STATE and so on, added up.

        Raises:
            LinkTimeoutError: silence.
            DeviceFaultError: the device refused, or its processor took a fault.
            DeviceError: it restarted, a run failed, or part of one was lost or contradicts itself.
        """
        fields = {"first_row": first_row, "count": count, "rows": rows, "flags": flags}
        first = self._start(fields)
        return self._results(first, count)

    def watch(
        self,
        first_row: int,
        count: int,
        *,
        every: int = 1,
        rate: int = 0,
        rows: int = 0,
        flags: int = 0,
    ) -> Iterator[RunResult | WindowResult]:
        """Run rows as run() does; yield the runs, or windows of runs, that arrive whole.

        What the device leaves out to keep to the rate, and what is lost on the line, is missing
        among them; tally.Tally says how much that was.

        Args:
            first_row: as in run().
            count: runs, or ENDLESS.
            every: runs a window; 1 for the records of every run.
            rate: bytes per second that records may take on average; 0: no limit.
            rows: as in run().
            flags: FLAG_RESET_STATE, FLAG_HISTOGRAMS and so on, added up.

        Raises what run() raises, but for parts that were lost.
        """
        fields = {"first_row": first_row, "count": count, "rows": rows, "flags": flags}
        first = self._start(fields | {"every": every, "rate": rate})
        return self._arrivals(first, count)

    def _start(self, fields: dict[str, int]) -> int:
        """Send RUN; returns the number of its first run."""
        dump, count = fields["flags"] & FLAG_DUMP, fields["count"]
        first = self._next_number[dump]
        self._next_number[dump] += 0 if count == ENDLESS else count
        self._send("run", b"", run=first, **fields)
        return first

    def run_from_link(self, inputs: Sequence[bytes], *, flags: int = 0) -> RunResult:
        """Send one row, bytes for each model input, and run it.  Raises what run() raises."""
        for index, data in enumerate(inputs):
            self.send_input(index, data)
        (result,) = self.run(FROM_LINK, 1, flags=flags)
        return result

    def send_input(self, index: int, data: bytes) -> None:
        """Send all of one model input.  A refusal comes up in the run that follows."""
        for offset, piece in input_pieces(data):
            self._send("input", piece, index=index, offset=offset)

    def tensors(
        self, row: int | Sequence[bytes], *, flags: int = 0
    ) -> dict[tuple[int, int], bytes]:
        """Run one row and return the bytes of every node's outputs, by (node, tensor) of the image.

        The run is no part of the statistics.  Raises what run() raises.

        Args:
            row: a row of the batch, or the bytes of each model input.
            flags: FLAG_RESET_STATE or 0.
        """
        flags |= FLAG_DUMP
        if not isinstance(row, int):
            return dict(self.run_from_link(row, flags=flags).tensors)
        (result,) = self.run(row, 1, flags=flags)
        return dict(result.tensors)

    def abort(self, *, timeout_s: float = 10.0) -> None:
        """Stop after the present run, and pass over what still arrives of it.

        Returns when the device has answered, or after `timeout_s` seconds without an answer.
        """
        self._send("abort")
        # Commands are taken in order, so that the answer to this PING comes behind all runs.  The
        # lower half of the nonce makes the boot id, which stays.
        nonce = secrets.randbits(16) << 16 | self._nonce & 0xFFFF
        self._send("ping", nonce=nonce)
        patience = _Patience(timeout_s)
        while not patience.over():
            event, _ = self._next(patience)
            if not isinstance(event, Record):
                continue
            if event.type == "memory" and event.fields["run"] < DUMP_RUNS_FROM:
                self._next_number[0] = event.fields["run"]
            if event.fields.get("nonce") == nonce:
                return

    def _results(self, first: int, count: int) -> Iterator[RunResult]:
        """The runs first … first + count - 1 as they end."""
        due = first
        for ended in self._ends(first, count):
            if isinstance(ended, BrokenRun):
                raise DeviceError(f"run {ended.run}: {ended.reason}{self._damage()}")
            if ended.run != due or isinstance(ended, WindowResult):
                raise DeviceError(f"run {ended.run} ended where run {due} was due")
            due += 1
            yield ended
        if due != first + count:
            raise DeviceError(f"run {due} did not arrive{self._damage()}")

    def _arrivals(self, first: int, count: int) -> Iterator[RunResult | WindowResult]:
        """What ends whole of the runs from `first` on."""
        for ended in self._ends(first, count):
            if not isinstance(ended, BrokenRun):
                yield ended
            elif ended.status != "ok":
                raise DeviceError(f"run {ended.run}: {ended.reason}{self._damage()}")

    def _ends(self, first: int, count: int) -> Iterator[Ended]:
        """All that ends, until the device says that the last of `count` runs is over."""
        patience = _Patience(self._timeout_s)
        due = first
        while True:
            event, ended = self._next(patience)
            if isinstance(event, Record):
                patience.restart()
                self._check(event, due)
                if event.type == "memory" and event.fields["run"] == first + count:
                    return
            elif patience.over():
                raise LinkTimeoutError(
                    f"run {due}: nothing readable from the device for {self._timeout_s:g} s"
                    f"{self._damage()}"
                )
            if ended is not None:
                due = ended.run + (ended.runs if isinstance(ended, WindowResult) else 1)
                yield ended
                patience.restart()

    def _damage(self) -> str:
        lost, damaged = self._receiver.lost, self._receiver.damaged
        return f" ({lost} frames lost, {damaged} damaged)" if lost or damaged else ""

    def _check(self, record: Record, due: int) -> None:
        """Raise for a restart and for a fault."""
        if record.type == "fault":
            raise DeviceFaultError(f"run {due}: {fault_text(fields_of(record, Fault))}")
        if record.boot_id != self._boot_id:
            raise DeviceError(f"the device restarted during run {due}")


def check_hello(hello: Hello) -> None:
    """Raise unless the device speaks as this host does and has a model that it accepted.

    Raises:
        DeviceError: it speaks another protocol or was built from other tables.
        ImageRefusedError: it has no model, or refused the one it has.
    """
    if hello.protocol != _PROTOCOL:
        raise DeviceError(
            f"the device speaks protocol {hello.protocol}, this host {_PROTOCOL}", hint=_REFLASH
        )
    if hello.tables_crc != native.tables_crc():
        raise DeviceError(
            f"the firmware was built from other tables (CRC {hello.tables_crc:08x}, here"
            f" {native.tables_crc():08x})",
            hint=_REFLASH,
        )
    if hello.model_status != "ok":
        raise _refusal(hello)


def _refusal(hello: Hello) -> ImageRefusedError:
    section = hello.model_section
    where = "header" if section == 0 else native.name_of("section", section)
    hints = {"no_model": "put a model onto the device", "left_out": _WHOLE}
    hint = hints.get(hello.model_status)
    return ImageRefusedError(hello.model_status, where, hello.model_offset, hint=hint)


def check_hello_size(event: UnreadableRecord) -> None:
    """Raise DeviceError for a HELLO of another version."""
    if event.type == native.number("record", "hello"):
        raise DeviceError(
            f"the device sends a HELLO of another version: {event.reason}", hint=_REFLASH
        )


def fault_text(fault: Fault) -> str:
    """Return what a FAULT says, in words."""
    if fault.status == "fault":
        return (
            f"the processor took a fault (status register 0x{fault.detail:08x}) at"
            f" pc 0x{fault.pc:08x}, lr 0x{fault.lr:08x}"
        )
    refused = native.name_of("record", fault.detail).upper()
    return f"the device refused {refused}: {fault.status}"
