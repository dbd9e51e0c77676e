"""A board in QEMU as somebody else's device: it runs by itself, and its line is a TCP port."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path

from typing_extensions import Self

from edgesparse.deploy.boards import Board, QemuRunner
from edgesparse.deploy.firmware import ensure_firmware
from edgesparse.image import Image

_START_S = 20.0


class QemuAtPort:
    """Starts QEMU, and again at the same port after kill().  Use it as a context manager.

    A socket that is bound but does not listen keeps the port from everybody but QEMU, which, like
    it, allows an address to be used again.
    """

    def __init__(self, board: Board, image: Image, batch: bytes, folder: Path) -> None:
        assert isinstance(board.runner, QemuRunner)
        assert board.memory.batch is not None
        self._reservation = socket.socket()
        self._reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reservation.bind(("127.0.0.1", 0))
        self.port = int(self._reservation.getsockname()[1])
        self.url = f"socket://127.0.0.1:{self.port}"
        (folder / "image").write_bytes(image.device_bytes())
        (folder / "batch").write_bytes(batch)
        command = ["qemu-system-arm", "-M", board.runner.machine, *board.runner.args]
        command += ["-kernel", str(ensure_firmware(board).path)]
        command += ["-display", "none", "-monitor", "none"]
        command += ["-serial", f"tcp:127.0.0.1:{self.port},server=on,wait=off"]
        places = {"image": board.memory.model.base, "batch": board.memory.batch.base}
        for name, base in places.items():
            loader = f"loader,file={folder / name},addr={base:#x},force-raw=on"
            command += ["-device", loader]
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Power on, and wait until the port can be opened."""
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL)
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            assert self._process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.05)
        raise AssertionError("QEMU does not listen")

    def kill(self) -> None:
        """Cut the power."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        """Cut the power, and let it come back."""
        self.kill()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._reservation.close()
