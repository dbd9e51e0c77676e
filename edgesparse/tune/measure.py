"""What the dense model and tuned ones cost on a board, with and without skipping activations."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse.bench.measure import deployed
from edgesparse.deploy.run import Options
from edgesparse.inputs import Inputs
from edgesparse.pipeline import AUTO, OFF, PROFILE_ROWS, Recipe

__all__ = ["MEASURED_ROWS", "measure"]

MEASURED_ROWS = 10
"""Held-out rows that a count is the mean of."""


def measure(
    models: dict[str, tuple[Path, Recipe]],
    board: str,
    inputs: Inputs,
    *,
    run: Sequence[int],
    profile: Sequence[int],
) -> dict[str, Any]:
    """Mean counts an inference, for each model with activations skipped and without.

    Args:
        models: .tflite files by name, and how they are converted.
        board: where they run.
        inputs: the data.
        run: its rows to run; MEASURED_ROWS of them, evenly spread.
        profile: its rows that tell which zeros to expect in activations.

    Returns:
        unit, board, rows and per name {"count": …, "count_without_skipping": …}.

    Raises what deploying raises: TargetError where the board cannot run here.
    """
    rows = _spread(run, MEASURED_ROWS)
    document: dict[str, Any] = {"board": board, "rows": len(rows)}
    with tempfile.TemporaryDirectory() as folder:
        # deploy takes the rows that it does not run for a profile.
        data = Path(folder) / "rows.npz"
        _save(inputs, [*rows, *_spread(profile, PROFILE_ROWS)], data)
        options = Options(board=board, inputs=data, runs=len(rows), part="none")
        for name, (path, recipe) in models.items():
            counts = {}
            for key, skip in (("count", AUTO), ("count_without_skipping", OFF)):
                found = deployed(path, replace(recipe, skip_activations=skip), options)
                counts[key] = found["totals"]["count"]
                document["unit"] = found["unit"]
            document[name] = counts
    return document


def _spread(rows: Sequence[int], most: int) -> list[int]:
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [int(rows[place]) for place in places]


def _save(inputs: Inputs, rows: list[int], path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {
        "x" if at == 0 else f"x{at}": array[rows] for at, array in enumerate(inputs.x)
    }
    factors = {"x_scale": inputs.x_scale, "x_mean": inputs.x_mean}
    arrays |= {name: factor for name, factor in factors.items() if factor is not None}
    np.savez(path, **arrays)
