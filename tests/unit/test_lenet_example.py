"""examples/lenet: reading MNIST, and the table, with the demo in place of trained networks."""

from __future__ import annotations

import gzip
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgesparse import demo

EXAMPLE = Path(__file__).parents[2] / "examples" / "lenet"


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(EXAMPLE / name))


def write_idx(folder: Path, images: np.ndarray, labels: np.ndarray, *, magic: int = 2051) -> None:
    head = np.array([magic, *images.shape], ">u4").tobytes()
    (folder / "t-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + images.tobytes()))
    head = np.array([2049, len(labels)], ">u4").tobytes()
    (folder / "t-labels-idx1-ubyte.gz").write_bytes(gzip.compress(head + labels.tobytes()))


def test_reads_idx_files(tmp_path: Path) -> None:
    images = np.arange(2 * 28 * 28, dtype=np.uint8).reshape(2, 28, 28)
    write_idx(tmp_path, images, np.array([3, 7], np.uint8))
    x, y = script("train.py")["read_idx"](tmp_path)
    assert x.shape == (2, 28, 28, 1)
    assert x[1, 5, 6, 0] == pytest.approx(images[1, 5, 6] / 255)
    assert y.tolist() == [3, 7]


def test_refuses_other_files(tmp_path: Path) -> None:
    read_idx = script("train.py")["read_idx"]
    with pytest.raises(SystemExit, match="no .*images"):
        read_idx(tmp_path)
    write_idx(tmp_path, np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.uint8), magic=7)
    with pytest.raises(SystemExit, match="holds no images"):
        read_idx(tmp_path)


def test_a_row_has_the_papers_shares_and_ours() -> None:
    shares = {"weights": [0.1, 0.2, 0.3, 0.4], "activations": [0.5, 0.6, 0.7, 0.8]}
    row = script("table.py")["row"](3, {"l2": shares, "l1": shares})
    assert row == "| fc4 | 0.258 | 0.400 | 0.504 | 0.400 |  | 0.800 |  | 0.800 |"


def test_the_table_of_two_networks(tmp_path: Path) -> None:
    model, rows = demo.model_path(), demo.data_path()
    command = [sys.executable, EXAMPLE / "table.py", model, model, "--data", rows]
    options = ["--board", "native", "--runs", "3", "--max-drop", "0.05"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*command, *options],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = re.findall(r"^\| (?:conv|fc)\d \|.*$", done.stdout, re.MULTILINE)
    assert len(lines) == 4
    weights = [float(line.split("|")[3]) for line in lines]
    assert all(0 <= share <= 1 for share in weights)
    assert max(weights) > 0.5
    assert len(re.findall(r"^L[12]: accuracy 0\.\d{4} dense", done.stdout, re.MULTILINE)) == 2
