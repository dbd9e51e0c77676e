"""Accuracy at 10 … 90 % zeros, with and without compensation: docs/accuracy.md, its plot, a JSON.

Usage: python -m host.accuracy MODELS [--cache FOLDER] [--json FILE] [--docs FOLDER]
[--only NAME,…] [--shares S,…] [--jobs N] [--collect].
MODELS is a folder with NAME/NAME.tflite and NAME/data.npz in it; models without labels are left
out, and so are those that keep state.  A run that was stopped goes on where it was.  --collect
measures nothing and writes the documents from the points that are there.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from edgesparse.errors import UnsupportedModelError
from edgesparse.files import write_file
from edgesparse.ops import check_supported
from host.accuracy.cache import Cache
from host.accuracy.measure import labelled, measure
from host.accuracy.page import entries_of, plot, rewritten, table
from host.accuracy.points import Point, points_of, turn

ROOT = Path(__file__).resolve().parents[2]
MOST_WEIGHTS = 400_000  # beyond that one model takes hours


def run(points: Sequence[Point], cache: Cache, jobs: int) -> None:
    """Measure the points that the cache does not have, `jobs` at a time."""
    todo = [point for point in points if cache.read(point) is None]
    first = [point for point in todo if not point.way]
    then = sorted((point for point in todo if point.way), key=turn)
    for stage in (first, then):
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            waiting = {
                pool.submit(measure, point, cache.read(_before(point))): point for point in stage
            }
            for done, future in enumerate(as_completed(waiting), start=1):
                point = waiting[future]
                cache.write(point, future.result())
                told = f"{point.way or 'sensitivity'} {100 * point.share:g} %"
                print(f"{done} of {len(stage)}: {point.model} {told}", file=sys.stderr, flush=True)


def _before(point: Point) -> Point:
    """The point with the sensitivity that another one needs."""
    return replace(point, way="", share=0.0)


def chosen(models: Path, only: set[str] | None) -> Iterator[tuple[Path, int]]:
    """Folders of models that can be measured, and how many layers share the zeros in each."""
    for file in sorted(models.glob("*/*.tflite")):
        folder = file.parent
        if file.stem != folder.name or (only is not None and folder.name not in only):
            continue
        loaded = labelled(folder)
        if loaded is None:
            continue
        model, _ = loaded
        if sum(t.elements for t in model.tensors if t.is_constant) > MOST_WEIGHTS:
            print(f"{folder.name} left out: too large", file=sys.stderr)
            continue
        try:
            check_supported(model)
        except UnsupportedModelError as error:
            print(f"{folder.name} left out: {error}", file=sys.stderr)
            continue
        yield folder, sum(node.op in ("CONV_2D", "FULLY_CONNECTED") for node in model.nodes)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser("python -m host.accuracy", description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "accuracy.json")
    parser.add_argument("--cache", type=Path, default=ROOT / "build" / "accuracy")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--shares", help="shares of zeros, with commas between")
    parser.add_argument("--only", help="names of models, with commas between")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--collect", action="store_true")
    arguments = parser.parse_args()
    # Points are measured side by side, so that each takes one processor.
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    only = None if arguments.only is None else set(arguments.only.split(","))
    shares = None if arguments.shares is None else [float(s) for s in arguments.shares.split(",")]
    cache = Cache(arguments.cache)
    points = [
        point
        for folder, layers in chosen(arguments.models, only)
        for point in points_of(folder, layers, shares)
    ]
    if not arguments.collect:
        run(points, cache, arguments.jobs)
    entries = entries_of(points, cache)
    document = {"schema_version": 1, "entries": entries}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    write_file(arguments.json, json.dumps(document, indent=1).encode("utf-8"))
    page = arguments.docs / "accuracy.md"
    text = rewritten(page.read_text(encoding="utf-8"), table(entries))
    write_file(page, text.encode("utf-8"))
    plot(entries, arguments.docs / "accuracy.svg")
    return 0


if __name__ == "__main__":
    sys.exit(main())
