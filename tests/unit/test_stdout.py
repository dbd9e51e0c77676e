"""The command line where stdout is a closed pipe, closed, or a full disk."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = [sys.executable, "-c", "import sys; from edgesparse.cli import main; sys.exit(main())"]
COMMANDS = (["boards"], ["boards", "--json"], ["--help"])


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_reader_that_stops_is_no_error(arguments: list[str]) -> None:
    with subprocess.Popen(
        [*PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == b""
    assert process.returncode == 0


@pytest.mark.parametrize("arguments", COMMANDS)
def test_without_stdout_nothing_is_said(arguments: list[str]) -> None:
    shell = ["sh", "-c", '"$@" >&-', "sh", *PROGRAM, *arguments]
    done = subprocess.run(shell, stderr=subprocess.PIPE, check=True)
    assert done.stderr == b""


@pytest.mark.parametrize("arguments", COMMANDS)
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*PROGRAM, *arguments], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert (done.returncode, done.stderr) == (2, b"edgesparse: cannot write: the disk is full\n")
