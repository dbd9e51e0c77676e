"""What happens to a monitor while it runs: steps in a thread, each when a log has grown enough."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_S = 60.0


def size_of(path: str) -> int:
    return Path(path).stat().st_size if Path(path).exists() else 0


def wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def meanwhile(*steps: tuple[str, Callable[[], None]]) -> Iterator[None]:
    """In a thread, as soon as that log has some runs (more), do that; Ctrl-C at the end."""
    over = threading.Event()

    def work() -> None:
        for log, step in steps:
            capture = f"{log}/capture.bin"
            enough = size_of(capture) + 8000
            while size_of(capture) < enough and not over.wait(0.02):
                pass
            step()
        if not over.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def nothing() -> None:
    """The last step, which only waits."""
