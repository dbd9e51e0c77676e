"""How long a row takes natively and in the reference interpreter: `row_speed.py MODELS [--rows N]`.

MODELS is a folder with NAME/NAME.tflite and NAME/data.npz in it, or one .tflite with its data.npz
beside.  Both run the same rows in one thread each, the reference with its reference kernels
(oracle.py), and must agree on every output.  Processor time, the best of REPEATS.  Models that the
reference refuses are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from edgesparse import oracle
from edgesparse.edges import input_meta
from edgesparse.errors import EdgesparseError
from edgesparse.inputs import feeds_for, load_inputs
from edgesparse.model import load_model
from edgesparse.outputs import finish_output, same_values
from edgesparse.rows import device_rows, fast_image, run_image_rows

T = TypeVar("T")

REPEATS = 3


def compare(path: Path, rows: int) -> tuple[float, float]:
    """Milliseconds a row, native and reference.  SystemExit where their outputs differ."""
    model, inputs = load_model(path), load_inputs(path.parent / "data.npz")
    run = range(min(rows, inputs.rows))
    image = fast_image(model)
    given = list(device_rows(model, inputs, run).values())
    feeds = list(feeds_for([input_meta(model, index) for index in model.inputs], inputs, run))
    native_s, native = _timed(lambda: run_image_rows(image, given, threads=1))
    reference_s, reference = _timed(lambda: oracle.run(model, feeds))
    for at, expected in enumerate(reference):
        for values, meta, wanted in zip(native, image.meta.outputs, expected, strict=True):
            if not same_values(finish_output(meta, values[at].tobytes()), np.asarray(wanted)):
                raise SystemExit(f"{path}: row {at} differs from the reference")
    return 1e3 * native_s / len(run), 1e3 * reference_s / len(run)


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    """The least processor time of REPEATS, and the result."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        result = work()
        best = min(best, time.process_time() - start)
    return best, result


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--rows", type=int, default=200)
    arguments = parser.parse_args()
    paths = [arguments.models]
    if arguments.models.is_dir():
        found = sorted(arguments.models.glob("*/*.tflite"))
        paths = [path for path in found if (path.parent / "data.npz").is_file()]
    print("| model | native, ms a row | reference, ms a row | ratio |\n|---|---:|---:|---:|")
    for path in paths:
        try:
            native, reference = compare(path, arguments.rows)
        except EdgesparseError as error:
            print(f"{path.stem} left out: {error}", file=sys.stderr)
            continue
        print(f"| {path.stem} | {native:.3f} | {reference:.3f} | {reference / native:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
