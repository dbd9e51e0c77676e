"""A board in QEMU: real firmware, a pseudo-terminal as serial line, exact instruction counts."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import serial
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
        command += ["-S", "-display", "none", "-monitor", "none", "-serial", "pty"]
        memory = self._board.memory
        files = [
            self._place(command, "model image", image, memory.model),
            self._place(command, "batch of inputs", batch, memory.batch),
        ]
        cycles = None
        if model is not None:
            cycles, starts = self._model_cycles(command, *model)
            files += [cycles, starts]
        ours, theirs = socket.socketpair()
        self._resources.callback(ours.close)
        command += ["-chardev", f"socket,id=qmp,fd={theirs.fileno()}", "-mon", "qmp,mode=control"]
        self._errors: IO[bytes] = self._resources.enter_context(tempfile.TemporaryFile())
        with theirs:
            self._process = subprocess.Popen(
                ["sh", "-c", _GUARD, "sh", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=[theirs.fileno(), *(file.fileno() for file in files if file)],
                start_new_session=True,  # Ctrl-C is for this process, which then closes QEMU
            )
        self._resources.callback(self._kill)
        # A thread of its own: this one may have an event loop that runs already.
        with ThreadPoolExecutor(1) as executor:
            self._port = executor.submit(asyncio.run, self._connect(ours)).result()
        self._resources.callback(self._port.close)
        self._cycles = cycles

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

    async def _connect(self, connection: socket.socket) -> serial.Serial:
        """Open the serial line, then let the processor go: QEMU drops what nobody listens to."""
        client = QMPClient("edgesparse")
        try:
            await asyncio.wait_for(client.connect(connection), _START_TIMEOUT_S)
            try:
                devices: Any = await client.execute("query-chardev")
                name = next(item["filename"] for item in devices if item["label"] == "serial0")
                port = serial.Serial(
                    name.removeprefix("pty:"), exclusive=True, write_timeout=_WRITE_TIMEOUT_S
                )
                await client.execute("cont")
            finally:
                await client.disconnect()
        except (QMPError, OSError, EOFError, asyncio.TimeoutError, StopIteration) as error:
            raise self._gone("QEMU does not start", error) from error
        return port

    def _gone(self, what: str, error: Exception | None) -> TargetError:
        """What QEMU said last, or else the error that its end caused here."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_STOP_TIMEOUT_S if error is not None else 0)
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").splitlines()
        said = [line for line in lines if line.strip() and "warning:" not in line]
        errors = [line for line in said if line.startswith(f"{_QEMU}:")]  # then come hints
        last = (errors or said or [str(error or "no reason given")])[-1]
        return TargetError(f"{what}: {last}")

    def read(self, max_bytes: int, timeout_s: float) -> bytes:
        """Take what the device sent: 1 to `max_bytes` bytes, or none if `timeout_s` went by.

        Raises:
            TargetError: QEMU has ended.
        """
        try:
            if self._port.timeout != timeout_s:
                self._port.timeout = timeout_s
            data: bytes = self._port.read(1)
            if data and max_bytes > 1:
                data += self._port.read(min(self._port.in_waiting, max_bytes - 1))
        except OSError as error:  # pyserial's errors are among them
            raise self._gone("QEMU has ended", error) from error
        if not data and self._process.poll() is not None:
            raise self._gone("QEMU has ended", None)
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data` to the device.

        Raises:
            TargetError: QEMU has ended, or the firmware takes nothing more.
        """
        try:
            for start in range(0, len(data), _WRITE_PIECE_BYTES):
                self._port.write(data[start : start + _WRITE_PIECE_BYTES])
        except serial.SerialTimeoutException as error:
            raise TargetError(
                f"the firmware of {self._board.name} has taken nothing for {_WRITE_TIMEOUT_S:g} s"
            ) from error
        except OSError as error:
            raise self._gone("QEMU has ended", error) from error

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
