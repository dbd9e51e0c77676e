"""A serial line that opens itself again, and the same for a board that this process has started."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable
from typing import Any, Protocol

import serial
from serial.tools import list_ports

from edgesparse.deploy.target import Target
from edgesparse.errors import TargetError, UsageError

__all__ = ["READ_S", "BoardLine", "Line", "SerialLine"]

READ_S = 0.1
"""How long a read waits for the first byte."""
_READ_BYTES = 65536
_FIRST_WAIT_S = 0.25
_LONGEST_WAIT_S = 5.0
_WRITE_TIMEOUT_S = 10.0


class Line(Protocol):
    """Bytes from and to a device.  `note` is called when the connection is lost, and is back."""

    note: Callable[[str], None]

    @property
    def opened(self) -> int:
        """How often it was opened; a number that is new means that a device may be new."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        ...

    def read(self) -> bytes:
        """What has come, or nothing if it took longer than READ_S."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of it, or lose it where there is no connection."""
        ...

    def close(self) -> None:
        """Let go of it.  May be called again."""
        ...


def _unsaid(text: str) -> None:
    del text


class SerialLine:
    """A port, or a URL that pyserial knows, such as socket://HOST:PORT or rfc2217://HOST:PORT.

    While it cannot be opened, tries come further and further apart, up to 5 s.

    Args:
        url: a device's path or a URL.
        baud: bits per second, where that means anything.
    """

    def __init__(self, url: str, *, baud: int) -> None:
        self._url = url
        self._baud = baud
        self.note: Callable[[str], None] = _unsaid
        self._port: Any = None
        self._opened = 0
        self._wait_s = _FIRST_WAIT_S
        self._next_try = 0.0

    @property
    def opened(self) -> int:
        """How often it was opened."""
        return self._opened

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._port is not None

    def open(self) -> None:
        """Open it now.

        Raises TargetError with the reason, and the ports that there are; UsageError for a URL that
        names none.
        """
        _check_url(self._url)
        try:
            self._try()
        except (OSError, ValueError) as error:
            ports = ", ".join(sorted(port.device for port in list_ports.comports()))
            hint = f"ports here: {ports}" if ports else "no serial port was found here"
            raise TargetError(f"cannot open {self._url}: {_reason(error)}", hint=hint) from error

    def _try(self) -> None:
        # pyserial has no time limit for writing through RFC 2217.
        limit_s = None if self._url.startswith("rfc2217://") else _WRITE_TIMEOUT_S
        self._port = serial.serial_for_url(
            self._url, baudrate=self._baud, timeout=READ_S, write_timeout=limit_s
        )
        self._opened += 1
        self._wait_s = _FIRST_WAIT_S

    def read(self) -> bytes:
        """What has come, or nothing if it took longer than READ_S, connected or not."""
        if self._port is None:
            self._try_again()
            return b""
        data = b""
        try:
            data = self._port.read(1)
            if data:
                data += self._waiting()
        except OSError as error:  # pyserial's errors are among them
            self._lost(error)
        return data

    def _waiting(self) -> bytes:
        """What has arrived already."""
        if not self._url.startswith("socket://"):
            return bytes(self._port.read(min(self._port.in_waiting, _READ_BYTES)))
        # Here in_waiting only says that there is something.
        self._port.timeout = 0.0
        try:
            return bytes(self._port.read(_READ_BYTES))
        finally:
            self._port.timeout = READ_S

    def _try_again(self) -> None:
        wait_s = self._next_try - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, READ_S))
            return
        try:
            self._try()
        except (OSError, ValueError):
            self._next_try = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        else:
            self.note(f"connected to {self._url}")

    def _lost(self, error: Exception) -> None:
        self.note(f"lost the connection to {self._url} ({_reason(error)}); trying again")
        self.close()
        self._next_try = time.monotonic() + self._wait_s

    def write(self, data: bytes) -> None:
        """Send all of it, or lose it where there is no connection."""
        if self._port is None:
            return
        try:
            self._port.write(data)
        except OSError as error:
            self._lost(error)

    def close(self) -> None:
        """Let go of it.  May be called again."""
        port, self._port = self._port, None
        if port is not None:
            port.close()


class BoardLine:
    """The line of a board that this process has started; its end is an error."""

    opened = 1
    is_open = True

    def __init__(self, target: Target) -> None:
        self.note: Callable[[str], None] = _unsaid  # there is nothing to say
        self._target = target

    def read(self) -> bytes:
        """What has come, or nothing.  Raises TargetError if the board is gone."""
        return self._target.read(_READ_BYTES, READ_S)

    def write(self, data: bytes) -> None:
        """Send all of it.  Raises TargetError if the board is gone."""
        self._target.write(data)

    def close(self) -> None:
        """Switch the board off."""
        self._target.close()


def _check_url(url: str) -> None:
    """Raise UsageError where a URL of a host has no port, which pyserial does not say."""
    scheme, _, place = url.partition("://")
    if scheme in ("socket", "rfc2217") and not re.search(r":\d+", place):
        raise UsageError(f"{url} names no port", hint=f"for instance {scheme}://localhost:4444")


def _reason(error: Exception) -> str:
    """An error's text in one line, without the wrapping of pyserial where it wraps an errno."""
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error).splitlines()[0]
