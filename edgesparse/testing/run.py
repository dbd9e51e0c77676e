"""A run of a model on a board, to assert on: `run.layer("conv1").activation_sparsity > 0.5`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgesparse.compare import compare_documents
from edgesparse.deploy.run import Options, deploy_model
from edgesparse.errors import UsageError
from edgesparse.names import short_name
from edgesparse.pipeline import Recipe
from edgesparse.report.table import show_table
from edgesparse.sparsify.policy import matches

__all__ = ["Layer", "Run", "deploy"]


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _counted(document: Mapping[str, Any], unit: str, count: float) -> float:
    """A count in the unit that the caller names; no count is taken for one of another unit."""
    if document["unit"] != unit:
        raise UsageError(
            f"{document['board']} counts {document['unit']}, not {unit}",
            hint="QEMU counts instructions, silicon cycles, native nothing",
        )
    return count


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of the .tflite in a run; numbers are means over the inferences.

    Sparsities are shares of zeros, 0 to 1.  `row` is its row of the run's document, with all else.
    """

    row: Mapping[str, Any]
    document: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """The part of its tensor's name that tells it from others."""
        return short_name(self.row["name"])

    @property
    def kernel(self) -> str:
        """The kernel that ran it; empty for a layer that costs nothing."""
        kernel: str = self.row["kernel"]
        return kernel

    @property
    def activation_sparsity(self) -> float:
        """Share of its outputs that are zero."""
        return _share(self.row["activation_zeros"], self.row["activations"])

    @property
    def weight_sparsity(self) -> float:
        """Share of its weights that are zero."""
        return _share(self.row["weight_zeros"], self.row["weights"])

    @property
    def macs_skipped(self) -> float:
        """Share of its products that were not formed."""
        return _share(self.row["macs"] - self.row["macs_done"], self.row["macs"])

    @property
    def instructions(self) -> float:
        """Instructions an inference.  Raises UsageError where the board counts something else."""
        return _counted(self.document, "instructions", self.row["count"])

    @property
    def cycles(self) -> float:
        """Cycles an inference.  Raises UsageError where the board counts something else."""
        return _counted(self.document, "cycles", self.row["count"])


@dataclass(frozen=True, slots=True)
class Run:
    """What `edgesparse deploy` measured: means over the inferences.

    `document` is what `edgesparse deploy --json` prints; `log` is the folder of the run's log.
    """

    document: Mapping[str, Any] = field(repr=False)
    log: Path

    @property
    def layers(self) -> Sequence[Layer]:
        """All layers, in the order of the .tflite."""
        return [Layer(row, self.document) for row in self.document["layers"]]

    def layer(self, name: str) -> Layer:
        """The layer with this name, as tables show it; else a part or a pattern of the whole name.

        Raises UsageError, with the closest name, unless there is exactly one.
        """
        layers = self.layers
        found = [layer for layer in layers if layer.name == name]
        found = found or [layer for layer in layers if matches(name, [layer.row["name"]])]
        if len(found) == 1:
            return found[0]
        names = [layer.name for layer in layers]
        if found:
            several = ", ".join(layer.name for layer in found)
            raise UsageError(f"'{name}' matches {len(found)} layers: {several}")
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(names)}"
        raise UsageError(f"no layer is named '{name}'", hint=hint)

    @property
    def board(self) -> str:
        """The board's name."""
        board: str = self.document["board"]
        return board

    @property
    def instructions(self) -> float:
        """Instructions an inference.  Raises UsageError where the board counts something else."""
        return _counted(self.document, "instructions", self.document["totals"]["count"])

    @property
    def cycles(self) -> float:
        """Cycles an inference.  Raises UsageError where the board counts something else."""
        return _counted(self.document, "cycles", self.document["totals"]["count"])

    @property
    def macs_skipped(self) -> float:
        """Share of all products that were not formed."""
        totals = self.document["totals"]
        return _share(totals["macs"] - totals["macs_done"], totals["macs"])

    @property
    def accuracy(self) -> float:
        """Share of inferences with the right class.  Raises UsageError without labels."""
        accuracy: float | None = self.document["accuracy"]
        if accuracy is None:
            raise UsageError("the inputs have no labels to tell the accuracy by", hint="give y")
        return accuracy

    @property
    def mismatches(self) -> int:
        """Rows of which an output differs from `golden`.  Raises UsageError without any."""
        mismatches: int | None = self.document["mismatches"]
        if mismatches is None:
            raise UsageError("the inputs have no expected outputs", hint="give golden")
        return mismatches

    @property
    def flash_bytes(self) -> int:
        """Size of the model image."""
        flash_bytes: int = self.document["totals"]["flash_bytes"]
        return flash_bytes

    @property
    def arena_bytes(self) -> int:
        """RAM for tensors and scratch."""
        arena_bytes: int = self.document["totals"]["arena_bytes"]
        return arena_bytes

    def speedup_over(self, other: Run) -> float:
        """How many times as fast as another run of this model.

        Raises UsageError where the runs have other inputs, another unit or another model.
        """
        speedup: float | None = compare_documents(other.document, self.document)["speedup"]
        if speedup is None:
            raise UsageError(f"{self.board} counts nothing")
        return speedup

    def show(self) -> None:
        """Print the table that `edgesparse deploy` shows."""
        show_table(dict(self.document), log=self.log)


def deploy(
    model: Path | str | None,
    *,
    board: str,
    log: Path,
    inputs: Path | str | None = None,
    runs: int | None = None,
    reset_state: bool = False,
    timeout_s: float = 60.0,
    **recipe: Any,
) -> Run:
    """Deploy a model and run it.

    Args:
        model: a .tflite or .esm file; None for the bundled demo.
        board: where to run.
        log: a new folder for the run's log.
        inputs: rows x, labels y, expected outputs golden (.npz).
        runs: inferences; None for every row, at most 20.
        reset_state: reset a model's state before each run.
        timeout_s: seconds of silence after which the device is given up.
        recipe: fields of pipeline.Recipe, such as method="topk", sparsity=0.5.

    Raises what deploy_model raises, and UsageError for a recipe with unknown fields.
    """
    try:
        wanted = Recipe(**recipe)
    except TypeError as error:
        raise UsageError(f"deploy(): {error}") from error
    options = Options(
        board=board,
        inputs=None if inputs is None else Path(inputs),
        runs=runs,
        log=log,
        reset_state=reset_state,
        timeout_s=timeout_s,
    )
    path = None if model is None else Path(model)
    return Run(deploy_model(path, wanted, options, quiet=True), log)
