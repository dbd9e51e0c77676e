"""Accuracy at 10 … 90 % zeros, with and without compensation: docs/accuracy.md, its plot, a JSON.

Usage: accuracy.py MODELS [--json FILE] [--only NAME,…] [--shares S,…].  MODELS is a folder with
NAME/NAME.tflite and NAME/data.npz in it; models without labels are left out, and so are those that
keep state.  Each model's rows are cut into two halves with the same classes; calibration and search
look at one half, the accuracy is counted in the other, then the other way round, so that every row
counts once and never for a network that was calibrated on it.  Results of models that are not run
stay as the JSON file has them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.errors import UnsupportedModelError
from edgesparse.files import write_file
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model, load_model
from edgesparse.rows import device_rows, has_state
from edgesparse.sparsify import Rule, sparsify
from edgesparse.sparsify.compensate import compensate, measure_sensitivity
from edgesparse.sparsify.evaluate import Accuracy, evaluate, halves

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "accuracy.md"
PLOT = ROOT / "docs" / "accuracy.svg"
SHARES = (0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9)
CALIBRATION_ROWS = 300
MOST_WEIGHTS = 400_000  # beyond that one model takes hours
_MARKER = re.compile(r"(<!-- accuracy -->\n).*?(<!-- end accuracy -->)", flags=re.DOTALL)

Rows = NDArray[np.int64]
Entry = dict[str, Any]


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


def calibration(half: Rows) -> list[int]:
    """Up to CALIBRATION_ROWS rows, evenly over a half."""
    places = np.linspace(0, len(half) - 1, min(len(half), CALIBRATION_ROWS))
    return half[np.unique(places.astype(int))].tolist()


def thinned(model: Model, inputs: Inputs, half: Rows) -> dict[str, Callable[[float], Model]]:
    """How to thin the model, by the name of the way; the compensated ones look at `half` alone."""
    given = device_rows(model, inputs, calibration(half))
    curves = measure_sensitivity(model, given)

    def compensated(share: float, allocation: str) -> Model:
        return compensate(model, given, sparsity=share, allocation=allocation, curves=curves)[0]

    ways = {
        "relative": lambda share: sparsify(model, Rule("relative", (share,)))[0],
        "topk": lambda share: sparsify(model, Rule("topk", (share,)))[0],
        "compensated, uniform": lambda share: compensated(share, "uniform"),
        "compensated": lambda share: compensated(share, "weights"),
    }
    if len(curves) == 1:  # one layer: both are the same
        del ways["compensated, uniform"]
    return ways


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


def measure(name: str, model: Model, inputs: Inputs, shares: Sequence[float]) -> list[Entry]:
    """All ways at all shares, each half judged by the network calibrated on the other."""
    assert inputs.y is not None
    one, other = halves(inputs.y)
    dense = [evaluate(model, inputs, half.tolist()) for half in (other, one)]
    entries = [_entry(name, "dense", 0.0, dense)]
    ways = [thinned(model, inputs, half) for half in (one, other)]
    for share in shares:
        for way in ways[0]:
            found = [
                evaluate(thin[way](share), inputs, half.tolist())
                for thin, half in zip(ways, (other, one), strict=True)
            ]
            entries.append(_entry(name, way, share, found))
            shown = entries[-1]
            print(f"{name} {100 * share:g} % {way}: {100 * shown['accuracy']:.1f}", file=sys.stderr)
    return entries


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
    panels.flat[0].legend(fontsize="small")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def rewritten(text: str, new: str) -> str:
    """The document with its block replaced.  SystemExit unless it has the markers once."""
    found, count = _MARKER.subn(lambda match: f"{match[1]}{new}{match[2]}", text)
    if count != 1:
        raise SystemExit(f"{DOCUMENT} needs one pair of markers <!-- accuracy -->")
    return found


def _earlier(path: Path, again: set[str]) -> list[Entry]:
    """What an earlier run found of models that are not measured again."""
    if not path.is_file():
        return []
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8"))["entries"]
    return [entry for entry in entries if entry["model"] not in again]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path)
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "accuracy.json")
    parser.add_argument("--only", help="names of models, with commas between")
    parser.add_argument("--shares", help="shares of zeros, with commas between")
    arguments = parser.parse_args()
    folders = sorted(
        p.parent for p in arguments.models.glob("*/*.tflite") if p.stem == p.parent.name
    )
    wanted = None if arguments.only is None else set(arguments.only.split(","))
    shares = SHARES if arguments.shares is None else tuple(map(float, arguments.shares.split(",")))
    entries = _earlier(
        arguments.json,
        {folder.name for folder in folders if wanted is None or folder.name in wanted},
    )
    for folder in folders:
        if wanted is not None and folder.name not in wanted:
            continue
        loaded = labelled(folder)
        if loaded is None:
            continue
        model, inputs = loaded
        if sum(t.elements for t in model.tensors if t.is_constant) > MOST_WEIGHTS:
            print(f"{folder.name} left out: too large", file=sys.stderr)
            continue
        try:
            entries += measure(folder.name, model, inputs, shares)
        except UnsupportedModelError as error:
            print(f"{folder.name} left out: {error}", file=sys.stderr)
    entries.sort(key=lambda entry: str(entry["model"]))
    document = {"schema_version": 1, "entries": entries}
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    write_file(arguments.json, json.dumps(document, indent=1).encode("utf-8"))
    text = DOCUMENT.read_text(encoding="utf-8")
    write_file(DOCUMENT, rewritten(text, table(entries)).encode("utf-8"))
    plot(entries, PLOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
