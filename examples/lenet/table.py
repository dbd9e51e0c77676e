"""Rebuild Table 1 of the TensorQuant paper: sparsity of LeNet's weights and activations.

    python table.py lenet_l2.tflite lenet_l1.tflite --data data.npz

For each model: `edgesparse tune --search grid` finds for each layer alone the highest threshold
that keeps the accuracy, then takes all together; `edgesparse deploy` runs the result on a board,
which counts the zeros of the activations.  Prints a table in Markdown.
"""

import argparse
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

LAYERS = ("conv1", "conv2", "fc3", "fc4")
# Source: D. Loroch et al., "Sparsity in Deep Neural Networks - An Empirical Investigation with
# TensorQuant", 2018, Table 1.  The output layer's activations are not given there.
PAPER: dict[str, dict[str, Sequence[float | None]]] = {
    "weights": {"l2": (0.142, 0.491, 0.258, 0.258), "l1": (0.289, 0.505, 0.502, 0.504)},
    "activations": {"l2": (0.717, 0.528, 0.661, None), "l1": (0.513, 0.662, 0.593, None)},
}


def edgesparse(*words: object) -> dict[str, Any]:
    """The document that a command prints."""
    command = ["edgesparse", *map(str, words), "--json"]
    print("$", *command, flush=True)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def thinned(model: Path, data: Path, max_drop: float, out: Path) -> tuple[Path, dict[str, Any]]:
    """The model after the grid search, and what the search says of it."""
    target = out / f"{model.stem}-grid.tflite"
    options = ["--search", "grid", "--max-drop", max_drop, "--no-measure", "-o", target]
    trials = out / f"{model.stem}-trials.jsonl"
    return target, edgesparse("tune", model, "--data", data, "--trials", trials, *options)


def measured(model: Path, data: Path, board: str, runs: int) -> dict[str, list[float]]:
    """Shares of zeros in weights and activations of the layers with weights, on the device."""
    document = edgesparse("deploy", model, "--board", board, "--inputs", data, "--runs", runs)
    layers = [layer for layer in document["layers"] if layer["weights"]]
    return {
        "weights": [layer["weight_zeros"] / layer["weights"] for layer in layers],
        "activations": [layer["activation_zeros"] / layer["activations"] for layer in layers],
    }


def row(layer: int, ours: dict[str, dict[str, list[float]]]) -> str:
    """A line of the table: for weights and activations, L2 and L1, the paper's share and ours."""
    cells = [LAYERS[layer]]
    for kind, by_penalty in PAPER.items():
        for penalty, shares in by_penalty.items():
            paper = shares[layer]
            cells += ["" if paper is None else f"{paper:.3f}", f"{ours[penalty][kind][layer]:.3f}"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Parse the command line, search, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("l2", type=Path, help="LeNet trained with an L2 penalty")
    parser.add_argument("l1", type=Path, help="LeNet trained with an L1 penalty")
    parser.add_argument("--data", type=Path, required=True, help="rows x and labels y (.npz)")
    parser.add_argument("--board", default="qemu", help="where to count the activations' zeros")
    parser.add_argument("--runs", type=int, default=100, help="inferences there")
    parser.add_argument("--max-drop", type=float, default=0.001, help="accuracy that may be lost")
    parser.add_argument("--out", type=Path, default=Path(), help="where thinned models go")
    arguments = parser.parse_args()

    ours, notes = {}, []
    for penalty in ("l2", "l1"):
        given: Path = getattr(arguments, penalty)
        model, found = thinned(given, arguments.data, arguments.max_drop, arguments.out)
        ours[penalty] = measured(model, arguments.data, arguments.board, arguments.runs)
        dense, tuned = (found[which]["held_out"] for which in ("dense", "tuned"))
        notes.append(
            f"{penalty.upper()}: accuracy {dense['share']:.4f} dense, {tuned['share']:.4f} thinned,"
            f" standard error {tuned['standard_error']:.4f} ({tuned['rows']} rows the search did"
            " not see)"
        )
    print()
    print("| | weights L2 | ours | L1 | ours | activations L2 | ours | L1 | ours |")
    print("|---|" + "---:|" * 8)
    for layer in range(len(LAYERS)):
        print(row(layer, ours))
    print()
    print("\n".join(notes))


if __name__ == "__main__":
    main()
