"""Accuracy at 10 … 90 % zeros, with and without compensation: docs/accuracy.md, its plot, a JSON.

Usage: accuracy.py MODELS [--cache FOLDER] [--json FILE] [--docs FOLDER] [--only NAME,…]
[--shares S,…] [--jobs N] [--collect].
MODELS is a folder with NAME/NAME.tflite and NAME/data.npz in it; models without labels are left
out, and so are those that keep state.  Each model's rows are cut into two halves with the same
classes; calibration and search look at one half, the accuracy is counted in the other, then the
other way round, so that every row counts once and never for a network that was calibrated on it.

Every point goes into a file of its own in FOLDER as soon as it is measured, under a name that all
goes into that decides it: model, data, way, share, half, and the code.  A run that was stopped goes
on where it was.  --collect measures nothing and writes the documents from the points that are
there.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import multiprocessing
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edgesparse
from edgesparse.calibration import MOST_ROWS
from edgesparse.errors import UnsupportedModelError
from edgesparse.files import write_file
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model, load_model
from edgesparse.ops import check_supported
from edgesparse.rows import Rows, device_rows, has_state
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import compensate_model, measure_sensitivity, share_out
from edgesparse.sparsify.evaluate import Accuracy, evaluate, halves

ROOT = Path(__file__).resolve().parents[1]
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MORE_SHARES = {"resnet8_cifar10": (0.45,), "lenet_300_100": (0.85,)}
FEW_SHARES = (0.5,)
"""Of ways that are compensated though thresholding by them is a poor start."""
MOST_WEIGHTS = 400_000  # beyond that one model takes hours
DENSE, SHARED = "dense", "shared out, compensated"
METHODS = ("relative", "topk", "flat", "triangular", "threshold")
COMPENSATED = ", compensated"
_MARKER = re.compile(r"(<!-- accuracy -->\n).*?(<!-- end accuracy -->)", flags=re.DOTALL)

Indices = NDArray[np.int64]
Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """What is measured at a time; half: that of the calibration, None for all rows and no such.

    A point without a way is the sensitivity of the layers, which further points need.
    """

    folder: str
    way: str
    share: float
    half: int | None

    @property
    def model(self) -> str:
        """Name of the model."""
        return Path(self.folder).name


@lru_cache(maxsize=1)
def labelled(folder: Path) -> tuple[Model, Inputs] | None:
    """A model and its labelled rows, None where it has none; all of MNIST's test rows for LeNet."""
    data = folder / "data.npz"
    if not data.is_file():
        return None
    model, inputs = load_model(folder / f"{folder.name}.tflite"), load_inputs(data)
    images, labels = folder / "t10k-images-idx3-ubyte.gz", folder / "t10k-labels-idx1-ubyte.gz"
    if images.is_file() and labels.is_file():
        x = np.frombuffer(gzip.decompress(images.read_bytes()), np.uint8, offset=16)
        y = np.frombuffer(gzip.decompress(labels.read_bytes()), np.uint8, offset=8)
        inputs = replace(
            inputs, x=(x.reshape(len(y), *inputs.x[0].shape[1:]),), y=y.astype(np.int64), golden=()
        )
    return None if inputs.y is None or has_state(model) else (model, inputs)


def calibration(half: Indices) -> list[int]:
    """Up to MOST_ROWS rows, evenly over a half."""
    places = np.linspace(0, len(half) - 1, min(len(half), MOST_ROWS))
    return half[np.unique(places.astype(int))].tolist()


def ways(
    name: str, layers: int, only: Sequence[float] | None = None
) -> Iterator[tuple[str, float, bool]]:
    """Every way at every share, and whether it is compensated.

    "relative" with compensation is "topk" with it but for ties, and in one layer nothing is shared.
    """
    yield DENSE, 0.0, False
    shares = sorted((*SHARES, *MORE_SHARES.get(name, ()))) if only is None else only
    for method in METHODS:
        yield from ((method, share, False) for share in shares)
    for method in METHODS[1:]:
        few = [share for share in shares if method == "topk" or share in FEW_SHARES]
        yield from ((method + COMPENSATED, share, True) for share in few)
    if layers > 1:
        yield from ((SHARED, share, True) for share in shares)


def rule_at(model: Model, method: str, share: float) -> Rule:
    """The rule by which a method zeroes that share of the weights it treats, or little more."""
    if method in ("relative", "topk"):
        return Rule(method, (share,))

    def rule(value: float) -> Rule:
        return Rule(method, (value, value / 2) if method == "triangular" else (value,))

    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        _, rows = sparsify(model, rule(middle))
        zeros = sum(row.zeros_after for row in rows) / sum(row.weights for row in rows)
        low, high = (low, middle) if zeros >= share else (middle, high)
    return rule(high)


def measure(point: Point, curves: Sequence[Any] | None) -> Any:
    """An accuracy as {right, rows}, or for a point without a way the sensitivity as lists."""
    loaded = labelled(Path(point.folder))
    assert loaded is not None
    model, inputs = loaded
    assert inputs.y is not None
    if point.half is None:
        thin = model
        if point.way != DENSE:
            thin, _ = sparsify(model, rule_at(model, point.way, point.share))
        return asdict(evaluate(thin, inputs, range(inputs.rows)))
    cut = halves(inputs.y)
    given = device_rows(model, inputs, calibration(cut[point.half]))
    if not point.way:
        return measure_sensitivity(model, given).tolist()
    thin = compensated(model, given, point, curves)
    return asdict(evaluate(thin, inputs, cut[1 - point.half].tolist()))


def compensated(
    model: Model, given: Mapping[int, Rows], point: Point, curves: Sequence[Any] | None
) -> Model:
    """The model thinned in the way of a point."""
    if point.way == SHARED:
        shared = share_out(model, given, point.share, curves=np.array(curves))
        return compensate_model(model, shared, given)[0]
    rule = rule_at(model, point.way.removesuffix(COMPENSATED), point.share)
    return compensate_model(model, replace(rule, compensate=True), given)[0]


def code_hash() -> str:
    """Of all sources that decide an accuracy."""
    package = Path(edgesparse.__file__).parent
    files = sorted((package / "sparsify").rglob("*.py"))
    together = b"".join(path.read_bytes() for path in (*files, Path(__file__)))
    return hashlib.sha256(together).hexdigest()


class Cache:
    """Points as files."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.code = folder, code_hash()

    def path(self, point: Point) -> Path:
        """Where a point is kept."""
        folder = Path(point.folder)
        files = (folder / f"{folder.name}.tflite", folder / "data.npz")
        parts = [self.code, str(point.way), str(point.share), str(point.half)]
        parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        key = hashlib.sha256("|".join(parts).encode()).hexdigest()[:20]
        return self.folder / f"{folder.name}-{key}.json"

    def read(self, point: Point) -> Any:
        """What was measured, or None."""
        path = self.path(point)
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None

    def write(self, point: Point, found: Any) -> None:
        """Keep what was measured."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_file(self.path(point), json.dumps(found).encode("utf-8"))


def points_of(folder: Path, layers: int, only: Sequence[float] | None = None) -> list[Point]:
    """All points of a model, those that further ones need and cheap ones first."""
    found = [Point(str(folder), "", 0.0, half) for half in (0, 1)] if layers > 1 else []
    for way, share, is_compensated in ways(folder.name, layers, only):
        parts = (0, 1) if is_compensated else (None,)
        found += [Point(str(folder), way, share, half) for half in parts]
    return found


def run(points: Sequence[Point], cache: Cache, jobs: int) -> None:
    """Measure the points that the cache does not have, `jobs` at a time."""
    todo = [point for point in points if cache.read(point) is None]
    first = [point for point in todo if not point.way]
    then = sorted((point for point in todo if point.way), key=_turn)
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


def _turn(point: Point) -> tuple[bool, bool, float]:
    """In which order points are measured: what is quick first, then the middle, which says most."""
    return point.half is not None, point.way != SHARED, abs(point.share - 0.6)


def entries_of(points: Sequence[Point], cache: Cache) -> list[Entry]:
    """Accuracies by model, way and share; halves together, and left out where one is missing."""
    together: dict[tuple[str, str, float], list[Any]] = {}
    for point in points:
        if point.way:
            key = (point.model, point.way, point.share)
            together.setdefault(key, []).append(cache.read(point))
    return [
        _entry(*key, [Accuracy(**each) for each in found])
        for key, found in together.items()
        if None not in found
    ]


def _entry(model: str, way: str, share: float, found: Sequence[Accuracy]) -> Entry:
    both = Accuracy(sum(each.right for each in found), sum(each.rows for each in found))
    return {
        "model": model,
        "way": way,
        "share": share,
        "accuracy": both.share,
        "standard_error": both.standard_error,
        "rows": both.rows,
    }


def table(entries: Sequence[Entry]) -> str:
    """Markdown: one row a model and a way, one column a share."""
    shares = sorted({entry["share"] for entry in entries} - {0.0})
    found = {(entry["model"], entry["way"], entry["share"]): entry for entry in entries}
    head = ["model (rows)", "way", "dense", *(f"{100 * share:g} %" for share in shares)]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(shares) + 1)]
    for name in dict.fromkeys(entry["model"] for entry in entries):
        dense = found[name, "dense", 0.0]
        ways = dict.fromkeys(e["way"] for e in entries if e["model"] == name and e["share"] > 0)
        for way in ways:
            cells = [_cell(dense), *(_cell(found.get((name, way, share))) for share in shares)]
            lines.append("| " + " | ".join([f"{name} ({dense['rows']})", way, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return ""
    return f"{100 * entry['accuracy']:.1f} ± {100 * entry['standard_error']:.1f}"


def plot(entries: Sequence[Entry], path: Path) -> None:
    """One panel a model, one line a way, with the standard error."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "edgesparse"  # the same file for the same numbers
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(entry["model"] for entry in entries))
    figure, panels = plt.subplots(
        -(-len(names) // 2), 2, figsize=(9, 3 * -(-len(names) // 2)), squeeze=False
    )
    for panel in panels.flat[len(names) :]:
        panel.axis("off")
    for name, panel in zip(names, panels.flat, strict=False):
        mine = [entry for entry in entries if entry["model"] == name]
        for way in dict.fromkeys(entry["way"] for entry in mine if entry["share"] > 0):
            points = [entry for entry in mine if entry["way"] in ("dense", way)]
            panel.errorbar(
                [100 * entry["share"] for entry in points],
                [100 * entry["accuracy"] for entry in points],
                [100 * entry["standard_error"] for entry in points],
                label=way,
                capsize=2,
                linewidth=1,
            )
        panel.set(title=name, xlabel="zeros, %", ylabel="accuracy, %")
        panel.grid(alpha=0.3)
    handles, labels = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=4, fontsize="small")
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, metadata={"Date": None})


def rewritten(text: str, new: str) -> str:
    """The document with its block replaced.  SystemExit unless it has the markers once."""
    found, count = _MARKER.subn(lambda match: f"{match[1]}{new}{match[2]}", text)
    if count != 1:
        raise SystemExit("accuracy.md needs one pair of markers <!-- accuracy -->")
    return found


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
    parser = argparse.ArgumentParser(description=__doc__)
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
