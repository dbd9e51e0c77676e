"""Models x boards x shares of zeros -> one document of counts, the same on every host."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgesparse.bench.first_row import FirstRow
from edgesparse.bench.profile import check_profiled, profile_run
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.open import capacity_of, open_target
from edgesparse.deploy.run import Options, deploy_model, image_for, read_inputs
from edgesparse.deploy.session import (
    FLAG_COUNT_RECORDS,
    FLAG_NO_SATURATED,
    FLAG_NO_ZEROS,
    Session,
)
from edgesparse.errors import StoppedError, UsageError
from edgesparse.image import Image
from edgesparse.pipeline import AUTO, OFF, Recipe
from edgesparse.sparsify.granularity import check_granularity
from edgesparse.sparsify.rule import SHARE_METHODS

__all__ = ["RUNS", "SCHEMA_VERSION", "Bench", "as_document", "deployed", "measure", "measure_all"]

SCHEMA_VERSION = 1
"""Of the document: keys may be added to it, but never change."""
RUNS = 3
"""Inferences that a count is the mean of, unless another number is asked for."""

# What deploy's document says of the run, not of this computer; a part where one was modelled.
_ENTRY_KEYS = ("model", "model_sha256", "board", "cycles_part", "unit", "runs", "firmware_build_id")


@dataclass(frozen=True, slots=True)
class Bench:
    """What to measure: every model on every board at every share of zeros.

    Args:
        models: .tflite files, or .esm files if weights stay as they are; None is the bundled demo.
        boards: names or aliases.
        parts: processors whose cycles are modelled, each with every board; see cycles.find_part.
        sparsities: shares of each layer's weights to set to zero; at 0 they stay as they are.
        method: relative or topk, whose value is a share of zeros.
        depthwise, granularity: as in pipeline.Recipe.
        choice: the rest of the recipe: all but those, sparsity and skip_activations.
        skips: values of Recipe.skip_activations, each at every share.
        inputs: rows for the model; None takes the demo's own or made-up ones.
        runs: inferences, one a row; counts are their mean.
        timeout_s: seconds of silence after which a device is given up.
        profile: whether to tell modelled cycles apart by function, in one run more.
    """

    models: tuple[Path | None, ...] = (None,)
    boards: tuple[str, ...] = ("qemu",)
    parts: tuple[str | None, ...] = (None,)
    sparsities: tuple[float, ...] = (0.0, 0.5, 0.8, 0.9)
    method: str = "topk"
    depthwise: bool = False
    choice: Recipe = field(default_factory=Recipe)
    skips: tuple[str, ...] = (AUTO,)
    inputs: Path | None = None
    runs: int = RUNS
    timeout_s: float = 60.0
    profile: bool = False
    granularity: str = "element"

    def __post_init__(self) -> None:
        if self.method not in SHARE_METHODS:
            known = " or ".join(SHARE_METHODS)
            raise UsageError(f"bench goes by shares of zeros: {known}, not '{self.method}'")
        check_granularity(self.granularity)
        if self.inputs is not None and len(self.models) != 1:
            raise UsageError("--inputs belongs to one model", hint="bench the models one by one")
        boards = [find_board(name).name for name in self.boards]
        names = ["" if path is None else path.stem for path in self.models]
        if self.choice.profile is not None and len(self.models) != 1:
            raise UsageError("--profile-from belongs to one model", hint="bench them one by one")
        lists = {"board": boards, "part": self.parts, "sparsity": self.sparsities, "model": names}
        lists["--skip-activations"] = self.skips
        for what, given in lists.items():
            if len(set(given)) < len(given):
                raise UsageError(f"the same {what} twice")
        if self.profile:
            for name in self.boards:
                for part in self.parts:
                    check_profiled(find_board(name), part)

    @property
    def entry_count(self) -> int:
        """How many entries its document has."""
        lists = (self.models, self.boards, self.parts, self.sparsities, self.skips)
        return math.prod(map(len, lists))

    def recipe(self, sparsity: float, skip: str = AUTO) -> Recipe:
        """How a model is converted for one share of zeros."""
        method = self.method if sparsity > 0 else "none"
        return replace(
            self.choice,
            method=method,
            sparsity=sparsity,
            depthwise=self.depthwise,
            granularity=self.granularity if sparsity > 0 else "element",
            skip_activations=skip,
        )


def _telemetry(bench: Bench, path: Path | None, image: Image, board_name: str) -> dict[str, int]:
    """What telemetry costs in a run of the first row, by runs with less of it and with more.

    zeros, saturated: counting them, part of every count; saturated beside zeros.  records: building
    them, part of none; handing them to the serial line is not in it, since that waits for the line.
    """
    board = find_board(board_name)
    capacity = capacity_of(board)
    row = FirstRow.of(image, capacity, read_inputs(bench.inputs, bundled=path is None))
    with open_target(board, image, row.batch, capacity) as target:
        session = Session(target, timeout_s=bench.timeout_s)
        session.hello()
        usual, with_zeros, with_neither, with_records = (
            row.run(session, flags=flags).end.count
            for flags in (
                0,
                FLAG_NO_SATURATED,
                FLAG_NO_SATURATED | FLAG_NO_ZEROS,
                FLAG_COUNT_RECORDS,
            )
        )
    return {
        "zeros": with_zeros - with_neither,
        "saturated": usual - with_zeros,
        "records": with_records - usual,
    }


def deployed(path: Path | None, recipe: Recipe, options: Options) -> dict[str, Any]:
    """The document of a model's runs on a board, of which no log is kept.

    Raises what deploy_model raises.
    """
    with tempfile.TemporaryDirectory() as folder:
        options = replace(options, log=Path(folder) / "log")
        try:
            return deploy_model(path, recipe, options, quiet=True)
        except StoppedError:
            raise StoppedError from None  # without the place of the log, which goes away


def measure(
    bench: Bench,
    path: Path | None,
    board_name: str,
    sparsity: float,
    *,
    part: str | None = None,
    skip: str = AUTO,
) -> dict[str, Any]:
    """One entry: a model on a board at one share of zeros.

    Raises what deploying the model raises.
    """
    recipe = bench.recipe(sparsity, skip)
    options = Options(
        board=board_name,
        inputs=bench.inputs,
        runs=bench.runs,
        timeout_s=bench.timeout_s,
        part=part,
    )
    document = deployed(path, recipe, options)
    image = image_for(path, recipe, options)
    entry = {key: document[key] for key in _ENTRY_KEYS if key in document}
    entry |= {
        "method": recipe.method,
        "sparsity": sparsity,
        "depthwise": recipe.depthwise,
        "encoding": recipe.encoding,
        "granularity": recipe.granularity,
        "skip_activations": recipe.skip_activations,
        "goal": document["goal"],
        "activations": document["activations"],
        "totals": document["totals"],
        "telemetry": _telemetry(bench, path, image, document["board"]),
        "layers": document["layers"],
    }
    for layer, meta in zip(entry["layers"], image.meta.layers, strict=True):
        node = None if meta.node is None else image.nodes[meta.node]
        layer["encoded_bytes"] = meta.encoded_bytes
        layer["scratch_bytes"] = 0 if node is None else node["scratch_bytes"]
    if bench.profile:
        given = read_inputs(bench.inputs, bundled=path is None)
        entry["profile"] = profile_run(image, document["board"], given, bench.timeout_s, part=part)
    return entry


def _entries(bench: Bench, progress: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    places = [
        (path, board, part, sparsity, skip)
        for path in bench.models
        for board in bench.boards
        for part in bench.parts
        for sparsity in bench.sparsities
        for skip in bench.skips
    ]
    for i, (path, board, part, sparsity, skip) in enumerate(places, start=1):
        name = "the demo" if path is None else path.stem
        where = board if part is None else f"{board} ({part})"
        kept = ", no activations skipped" if skip == OFF else ""
        progress(f"{i} of {len(places)}: {name} on {where}, {100 * sparsity:g} % zeros{kept}")
        yield measure(bench, path, board, sparsity, part=part, skip=skip)


def measure_all(bench: Bench, progress: Callable[[str], None]) -> dict[str, Any]:
    """The document of all entries; no time and no path is in it.

    `progress` is told what comes next, one line each.
    """
    return as_document(list(_entries(bench, progress)))


def as_document(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Entries as the document that --json writes and --against reads."""
    return {"schema_version": SCHEMA_VERSION, "entries": list(entries)}
