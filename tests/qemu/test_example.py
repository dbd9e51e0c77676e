"""examples/pytest, run as its users run it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "pytest"
TESTS = 5


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EXAMPLE, tmp_path / "project"))


def run(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)


def test_passes_on_qemu_and_says_what_it_measured(project: Path) -> None:
    done = run(project)
    assert done.returncode == 0, done.stdout
    assert f"{TESTS} passed" in done.stdout
    lines = re.findall(r"digits on qemu-mps2-an386, mean of 20 runs: ([\d,]+) instr", done.stdout)
    assert len(lines) == 2  # each fixture deploys once, whoever asks


def test_runs_on_each_board_that_is_named(project: Path) -> None:
    done = run(project, "--edgesparse-board", "qemu,qemu:cortex-m3", "-k", "outputs or where")
    assert done.returncode == 0, done.stdout
    assert "4 passed" in done.stdout
    assert "on qemu-mps2-an385" in done.stdout


def test_fails_when_a_budget_is_exceeded(project: Path) -> None:
    tests = project / "test_model.py"
    tests.write_text(tests.read_text().replace("instructions < 170_000", "instructions < 1_000"))
    done = run(project)
    assert done.returncode == 1
    assert f"1 failed, {TESTS - 1} passed" in done.stdout


def test_an_unknown_board_is_one_clear_line(project: Path) -> None:
    done = run(project, "--edgesparse-board", "nowhere", "-k", "budgets")
    assert done.returncode == 1
    assert "edgesparse: " in done.stdout
    assert "nowhere" in done.stdout
    assert "Traceback" not in done.stdout
