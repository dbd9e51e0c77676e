"""The native device behind a TCP port, raw or in RFC 2217, in a thread: it can lose its line."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any

from serial.rfc2217 import PortManager
from typing_extensions import Self

from edgesparse.deploy.native import NativeTarget
from edgesparse.telemetry.record import command

_POLL_S = 0.005


class _Modem:
    """What a port manager asks of a port: settings that nobody looks at."""

    def __init__(self) -> None:
        self.baudrate, self.bytesize, self.parity, self.stopbits = 115200, 8, "N", 1
        self.rtscts = self.xonxoff = self.break_condition = False
        self.rts = self.dtr = True
        self.cts = self.dsr = self.ri = self.cd = False

    def reset_input_buffer(self) -> None: ...
    def reset_output_buffer(self) -> None: ...


class ServedDevice:
    """Serves one connection after another while it is entered.

    Args:
        target: the device, closed at the end.
        rfc2217: whether the line is wrapped in telnet.
        mute: whether the device never says anything.
        port: 0 for any that is free.
    """

    def __init__(
        self, target: NativeTarget, *, rfc2217: bool = False, mute: bool = False, port: int = 0
    ) -> None:
        self._target = target
        self._rfc2217 = rfc2217
        self._mute = mute
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(_POLL_S)
        kind = "rfc2217" if rfc2217 else "socket"
        self.url = f"{kind}://127.0.0.1:{self._server.getsockname()[1]}"
        self._over = threading.Event()
        self._drop = threading.Event()
        self._reset = threading.Event()
        self.connections = 0
        self._thread = threading.Thread(target=self._serve)

    def drop(self) -> None:
        """Lose the connection."""
        self._drop.set()

    def reset(self) -> None:
        """Restart the device, as its watchdog would."""
        self._reset.set()

    def _serve(self) -> None:
        while not self._over.is_set():
            try:
                connection, _ = self._server.accept()
            except TimeoutError:
                continue
            self.connections += 1
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        connection.settimeout(_POLL_S)
        manager: Any = None
        if self._rfc2217:
            writer = type("Writer", (), {"write": staticmethod(connection.sendall)})
            manager = PortManager(_Modem(), writer, logging.getLogger("tests.served"))
        self._drop.clear()
        while not (self._over.is_set() or self._drop.is_set()):
            try:
                data = connection.recv(4096)
                if not data:
                    return
            except TimeoutError:
                data = b""
            except OSError:
                return
            if manager is not None:
                data = b"".join(manager.filter(data))
            if self._reset.is_set():
                self._reset.clear()
                data += command("reset", 0)
            if not self._mute:
                self._target.write(data)
            said = b"" if self._mute else self._target.read(65536, 0.0)
            if manager is not None:
                said = b"".join(manager.escape(said))
            try:
                connection.sendall(said)
            except OSError:
                return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._server.close()
        self._target.close()
