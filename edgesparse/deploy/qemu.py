"""A board in QEMU: real firmware, a pseudo-terminal as serial line, exact instruction counts.

The pseudo-terminal is made here and opened by QEMU, as a serial port of this computer.  The other
way round (``-serial pty``) each start costs a second: QEMU looks only once a second whether
somebody has opened what it made, and takes nothing from the host until then.
"""

from __future__ import annotations

import asyncio
import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import tty
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

from qemu.qmp import QMPClient, QMPError
from typing_extensions import Self

from edgesparse.cycles import CycleRequest, plugin_path
from edgesparse.deploy.boards import Board, Memory, QemuRunner
from edgesparse.errors import DoesNotFitError, MissingToolError, TargetError

__all__ = ["QemuTarget"]

_QEMU = "qemu-system-arm"
_QEMU_INSTALL = "sudo apt-get install --no-install-recommends qemu-system-arm"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_WRITE_TIMEOUT_S = 10.0  # for each piece
_WRITE_PIECE_BYTES = 256

# Starts QEMU, and kills it when the pipe on standard input closes: when this process lets go of it,
# or is gone.
_GUARD = """
"$@" </dev/null &
qemu=$!
{ read -r _; kill -KILL "$qemu"; } </proc/$$/fd/0 2>/dev/null &
wait "$qemu"
kill "$!" 2>/dev/null
"""


class QemuTarget:
    """A board in QEMU, from power-on to `close`.

    Args:
        board: one with a QEMU runner.
        firmware: the ELF file.
        image: bytes of the model partition; empty leaves it as a blank board has it.
        batch: input rows, placed in the board's batch memory.
        cycles: what to model; where QEMU cannot load the model, it runs without.

    Raises:
        MissingToolError: QEMU is not installed.
        DoesNotFitError: image or batch are larger than the board's memory for them.
        TargetError: QEMU does not start.
        ValueError: the board is not one for QEMU.
    """

    def __init__(
        self,
        board: Board,
        firmware: Path,
        *,
        image: bytes = b"",
        batch: bytes = b"",
        cycles: CycleRequest | None = None,
    ) -> None:
        if not isinstance(board.runner, QemuRunner):
            raise ValueError(f"board {board.name} does not run in QEMU")
        self._board = board
        self._cycles: IO[bytes] | None = None
        self._cycles_rest = b""
        plugin = None if cycles is None else plugin_path()
        if cycles is not None and plugin is not None:
            with suppress(TargetError):  # without the plugin it starts, or says why not
                self._power_on(board.runner, firmware, image, batch, (cycles, plugin))
                return
        self._power_on(board.runner, firmware, image, batch, None)

    def _power_on(
        self,
        runner: QemuRunner,
        firmware: Path,
        image: bytes,
        batch: bytes,
        model: tuple[CycleRequest, Path] | None,
    ) -> None:
        """Start all of it, or nothing."""
        self._resources = ExitStack()
        with ExitStack() as undo:
            undo.callback(self.close)
            self._start(runner, firmware, image, batch, model)
            undo.pop_all()

    @property
    def board(self) -> Board:
        """What it is."""
        return self._board

    @property
    def models_cycles(self) -> bool:
        """Whether cycles were asked for, and QEMU could load the model."""
        return self._cycles is not None

    def cycle_lines(self) -> list[bytes]:
        """What the cycle model wrote since the last call: a line for each run that has ended."""
        if self._cycles is None:
            return []
        # The next run may be writing its line meanwhile.
        *lines, self._cycles_rest = (self._cycles_rest + self._cycles.read()).split(b"\n")
        return [line + b"\n" for line in lines]

    def _start(
        self,
        runner: QemuRunner,
        firmware: Path,
        image: bytes,
        batch: bytes,
        model: tuple[CycleRequest, Path] | None,
    ) -> None:
        if shutil.which(_QEMU) is None:
            raise MissingToolError(_QEMU, _QEMU_INSTALL)
        command = [_QEMU, "-M", runner.machine, *runner.args, "-kernel", str(firmware)]
        command += ["-display", "none", "-monitor", "none"]
        memory = self._board.memory
        files = [
            self._place(command, "model image", image, memory.model),
            self._place(command, "batch of inputs", batch, memory.batch),
        ]
        cycles = None
        if model is not None:
            cycles, starts = self._model_cycles(command, *model)
            files += [cycles, starts]
        self._errors: IO[bytes] = self._resources.enter_context(tempfile.TemporaryFile())
        with ExitStack() as until_open:
            self._line, name = self._make_line(until_open)
            command += ["-serial", name]
            control, qmp = socket.socketpair()
            self._resources.enter_context(control)
            command += ["-chardev", f"socket,id=qmp,fd={qmp.fileno()}", "-mon", "qmp,mode=control"]
            with qmp:
                self._process = subprocess.Popen(
                    ["sh", "-c", _GUARD, "sh", *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=self._errors,
                    pass_fds=[qmp.fileno(), *(file.fileno() for file in files if file)],
                    start_new_session=True,  # Ctrl-C is for this process, which then closes QEMU
                )
            self._resources.callback(self._kill)
            # A thread of its own: this one may have an event loop that runs already.
            with ThreadPoolExecutor(1) as executor:
                executor.submit(asyncio.run, self._wait_for_start(control)).result()
        self._cycles = cycles

    def _make_line(self, until_open: ExitStack) -> tuple[IO[bytes], str]:
        """Our end of the serial line, and the name that QEMU opens before `until_open` is left."""
        ours_fd, theirs_fd = os.openpty()
        ours = self._resources.enter_context(os.fdopen(ours_fd, "r+b", buffering=0))
        until_open.callback(os.close, theirs_fd)
        tty.setraw(theirs_fd)
        os.set_blocking(ours_fd, False)
        return ours, os.ttyname(theirs_fd)

    def _model_cycles(
        self, command: list[str], cycles: CycleRequest, plugin: Path
    ) -> tuple[IO[bytes], IO[bytes] | None]:
        """Have QEMU load the cycle model; returns the files that it writes and reads, nameless."""
        out = self._resources.enter_context(tempfile.TemporaryFile())
        starts = None
        if cycles.function_starts:
            starts = self._resources.enter_context(tempfile.TemporaryFile())
            starts.write("".join(f"{start}\n" for start in cycles.function_starts).encode())
            starts.flush()
        out_name = f"/dev/fd/{out.fileno()}"
        starts_name = None if starts is None else f"/dev/fd/{starts.fileno()}"
        arguments = cycles.arguments(plugin, out_name, self._board, starts_name)
        command += ["-plugin", arguments]
        return out, starts

    def _place(
        self, command: list[str], what: str, data: bytes, memory: Memory | None
    ) -> IO[bytes] | None:
        """Have QEMU load `data` into `memory`, from a file without a name."""
        capacity_bytes = 0 if memory is None else memory.bytes
        if len(data) > capacity_bytes:
            raise DoesNotFitError(f"{what} on {self._board.name}", len(data), capacity_bytes)
        if memory is None or not data:
            return None
        file = self._resources.enter_context(tempfile.TemporaryFile())
        file.write(data)
        file.flush()
        source = f"file=/dev/fd/{file.fileno()}"
        command += ["-device", f"loader,{source},addr={memory.base:#x},force-raw=on"]
        return file

    async def _wait_for_start(self, connection: socket.socket) -> None:
        """Until QEMU answers, which it does when it has loaded all, or has ended."""
        client = QMPClient("edgesparse")
        try:
            await asyncio.wait_for(client.connect(connection), _START_TIMEOUT_S)
            await client.disconnect()
        except (QMPError, OSError, EOFError, asyncio.TimeoutError) as error:
            raise self._gone("QEMU does not start", error) from error

    def _gone(self, what: str, error: Exception) -> TargetError:
        """What QEMU said last, or else the error that its end caused here."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_TIMEOUT_S)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        said = [line for line in lines if line.strip() and "warning:" not in line]
        errors = [line for line in said if line.startswith(f"{_QEMU}:")]  # then come hints
        last = (errors or said or [str(error)])[-1]
        return TargetError(f"{what}: {last}")

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the device sent: 1 to `max_bytes` bytes, or none if `timeout_s` went by.

        Raises:
            TargetError: QEMU has ended.
        """
        if not self._wait_for(select.POLLIN, timeout_s):
            return b""
        try:
            return os.read(self._line.fileno(), max_bytes)
        except OSError as error:
            raise self._gone("QEMU has ended", error) from error

    def write(self, data: bytes) -> None:
        """Send all of `data` to the device.

        Raises:
            TargetError: QEMU has ended, or the firmware takes nothing more.
        """
        while data:
            events = self._wait_for(select.POLLOUT, _WRITE_TIMEOUT_S)
            if events & select.POLLHUP:  # what is written then goes nowhere, without an error
                raise self._gone("QEMU has ended", EOFError("it has closed the line"))
            if not events:
                raise TargetError(
                    f"the firmware of {self._board.name} has taken nothing"
                    f" for {_WRITE_TIMEOUT_S:g} s"
                )
            data = data[os.write(self._line.fileno(), data[:_WRITE_PIECE_BYTES]) :]

    def _wait_for(self, event: int, timeout_s: float) -> int:
        """The events of poll on our end of the line, POLLHUP among them; 0 if the time went by."""
        line = select.poll()
        line.register(self._line, event)
        found = line.poll(1000 * timeout_s)
        return found[0][1] if found else 0

    def close(self) -> None:
        """Switch the board off: ends QEMU and releases all that it took.  May be called again."""
        self._resources.close()

    def _kill(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def __enter__(self) -> Self:
        """Return the target itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
