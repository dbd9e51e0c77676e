"""What the monitor says to a device: who are you, and run, again after each restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgesparse.deploy.run import check_rate
from edgesparse.deploy.session import FROM_LINK, check_hello, fault_text
from edgesparse.errors import DeviceFaultError
from edgesparse.telemetry.record import (
    Fault,
    Hello,
    Memory,
    Record,
    command,
    fields_of,
    input_pieces,
    is_restart,
)
from edgesparse.telemetry.runs import DUMP_RUNS_FROM

__all__ = ["Control", "Work"]

_PING_EVERY_S = 1.0
_QUIET_S = 5.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a device is to run.

    Args:
        rows: different ones; the runs go through them again and again.
        runs: how many in all; None without an end.
        every: runs in a window; 1 for records of each run.
        rate: bytes per second that records may take; 0 without a limit.
        flags: of RUN.
        link_rows: bytes of each model input, by row, to send; empty where the rows lie in the
            device's batch.
    """

    rows: int
    runs: int | None = None
    every: int = 1
    rate: int = 0
    flags: int = 0
    link_rows: Sequence[Sequence[bytes]] = ()


class Control:
    """Greets a device, notices that it restarted, and keeps it running; for one connection.

    Args:
        write: sends bytes to it.
        nonce: of all PINGs.
        work: None to listen only.
        now_s: a clock.
        sequence: number of the first frame.
    """

    def __init__(
        self,
        write: Callable[[bytes], None],
        nonce: int,
        work: Work | None,
        now_s: Callable[[], float] = time.monotonic,
        sequence: int = 0,
    ) -> None:
        self.restarts = 0
        self.hello: Hello | None = None
        self.memory: Memory | None = None
        self.sequence = sequence
        self._write = write
        self._nonce = nonce
        self._work = work
        self._now_s = now_s
        self._boot_id: int | None = None
        self._heard_s = self._asked_s = now_s()
        self._after_hello = False
        self._working = False
        self._begun = False
        self._next = 0
        self._end = 0
        self._seen = 0
        self._over = False
        self._quiet = False
        self._stalled_at: int | None = None
        self.ask()

    @property
    def greeted(self) -> bool:
        """Whether it said, since it last started, who it is and how much memory it uses."""
        return self.hello is not None and self.memory is not None

    @property
    def finished(self) -> bool:
        """Whether all runs that were wanted are over."""
        return self._over or (self._work is not None and self._left(self._work) == 0)

    def _left(self, work: Work) -> int:
        return DUMP_RUNS_FROM if work.runs is None else max(work.runs - self._seen, 0)

    def _send(self, name: str, tail: bytes = b"", **fields: int) -> None:
        self._write(command(name, self.sequence, tail, **fields))
        self.sequence = (self.sequence + 1) & 0xFFFF

    def ask(self) -> None:
        """Have it say who it is; before it is put to work, also stop what it does."""
        self._asked_s = self._now_s()
        if self._work is not None and not self._working:
            self._send("abort")
        self._send("ping", nonce=self._nonce)

    # --- What happens --------------------------------------------------------------------------

    def passed(self) -> None:
        """Time has passed: ask again where an answer is due, or nothing was heard for long."""
        now = self._now_s()
        if not self.greeted:
            if now - self._asked_s >= _PING_EVERY_S:
                self.ask()
        elif now - max(self._heard_s, self._asked_s) >= _QUIET_S:
            self._quiet = True
            self.ask()

    def heard(self, record: Record) -> None:
        """A record has come.

        Raises:
            DeviceFaultError: the device refused to run.
            DeviceError, ImageRefusedError: it cannot run what it has; see session.check_hello.
        UsageError: it cannot keep to a rate.
        """
        self._heard_s = self._now_s()
        before, self._boot_id = self._boot_id, record.boot_id
        answer, self._after_hello = self._after_hello, record.type == "hello"
        if before is not None and is_restart(before, record.boot_id):
            self.restarts += 1
            self.hello, self.memory, self._working, self._next = None, None, False, 0
            self.ask()
        if record.type == "hello":
            self._met(fields_of(record, Hello))
        elif record.type == "memory":
            self._look_after(fields_of(record, Memory), answer=answer)
        elif record.type == "fault":
            self._refused(fields_of(record, Fault))
        elif record.boot_id >> 16 == self._nonce & 0xFFFF:
            self._quiet, self._stalled_at, self._begun = False, None, True
            self._count(record)

    def _count(self, record: Record) -> None:
        aborted = record.fields.get("status") == "aborted"
        if self._working and record.type in ("run_end", "run_window") and not aborted:
            self._seen += record.fields.get("runs", 1)

    def _met(self, hello: Hello) -> None:
        if hello.nonce != self._nonce:
            return
        check_hello(hello)
        self.hello = hello
        if self._work is not None and not self._working:
            check_rate(hello, self._work.rate)
            self._start(self._work)

    def _refused(self, fault: Fault) -> None:
        if self._working and fault.status != "fault":
            raise DeviceFaultError(fault_text(fault))

    # --- Work ----------------------------------------------------------------------------------

    def _start(self, work: Work) -> None:
        """Have it run from a first row on."""
        self._working, self._begun = True, False
        self._quiet, self._stalled_at = False, None
        if work.link_rows:
            self._send_row(work)
            return
        # Run i takes row i % rows, whatever came before.
        first = -(-self._next // work.rows) * work.rows
        first = 0 if first >= DUMP_RUNS_FROM else first
        count = min(self._left(work), DUMP_RUNS_FROM - first)
        self._end = first + count
        self._send(
            "run",
            run=first,
            count=count,
            first_row=0,
            rows=work.rows,
            every=work.every,
            rate=work.rate,
            flags=work.flags,
        )

    def _send_row(self, work: Work) -> None:
        for index, data in enumerate(work.link_rows[self._next % len(work.link_rows)]):
            for offset, piece in input_pieces(data):
                self._send("input", piece, index=index, offset=offset)
        self._send(
            "run", run=self._next, count=1, first_row=FROM_LINK, rate=work.rate, flags=work.flags
        )

    def _look_after(self, memory: Memory, *, answer: bool) -> None:
        """MEMORY says which run is next: how far it is, and whether anything goes on at all.

        answer: to a PING; else it closes a window or what RUN asked for.
        """
        self.memory = memory
        work = self._work
        if work is None or not self._working:
            return
        asked, self._quiet = self._quiet, False
        stalled = asked and memory.run == self._stalled_at
        self._stalled_at = memory.run if asked else None
        if work.link_rows and memory.run == self._next + 1:
            self._next = memory.run % DUMP_RUNS_FROM
            if self._left(work) > 0:
                self._send_row(work)
        elif (
            not work.link_rows and self._begun and memory.run == self._end and (asked or not answer)
        ):
            # Also where not all of them arrived.
            self._over = work.runs is not None
            if not self._over:
                self._next = 0
                self._start(work)
        elif stalled and self._left(work) > 0:
            self._next = max(self._next, memory.run)
            self._send("abort")
            self._start(work)

    def stop(self) -> int:
        """Stop what was started, and ask once more; return the nonce of the answer.

        Commands are taken in order, so that nothing more comes behind the answer.
        """
        if self._work is not None:
            self._send("abort")
        nonce = self._nonce ^ 0x8000_0000  # the lower half makes the boot id, which stays
        self._send("ping", nonce=nonce)
        return nonce
