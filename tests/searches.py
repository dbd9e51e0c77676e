"""What tests of searches share: a job, the key of a store, a search run on made-up results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from edgesparse import demo, native
from edgesparse.encode import Goal
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model
from edgesparse.pipeline import PROFILE_ROWS, read_model
from edgesparse.rows import device_rows
from edgesparse.tune.command import Tuning
from edgesparse.tune.space import Assignment
from edgesparse.tune.store import SearchKey
from edgesparse.tune.strategy import Steps
from edgesparse.tune.trial import Job, Result, Trial

T = TypeVar("T")

KEY = SearchKey(
    build="b",
    model="m",
    model_sha256="1",
    data="d",
    data_sha256="2",
    rows=8,
    depthwise=False,
    optimize="cycles",
    cpu="cortex-m4",
)


def driven(steps: Steps[T], measure: Callable[[Assignment], Result]) -> tuple[T, list[Trial]]:
    """Run a search on a function of assignments; its result, and all that it asked for."""
    asked: list[Trial] = []
    try:
        batch = next(steps)
        while True:
            asked += batch.trials
            batch = steps.send([measure(trial.assignment) for trial in batch.trials])
    except StopIteration as stop:
        return stop.value, asked


def job_of(model: Model, inputs: Inputs, rows: Sequence[int], **changed: Any) -> Job:
    """A job that judges labelled rows, whose first ones tell of zeros in activations."""
    assert inputs.y is not None
    job = Job(
        tflite=model.source,
        name=model.name,
        depthwise=False,
        rows=device_rows(model, inputs, rows),
        judged=np.arange(len(rows)),
        classes=inputs.y[np.asarray(rows)],
        goal=Goal(),
        profile=device_rows(model, inputs, rows[:PROFILE_ROWS]),
        build_id=native.build_id(),
    )
    return replace(job, **changed)


def demo_job(rows: Sequence[int] = range(40), **changed: Any) -> Job:
    """The same of the demo."""
    return job_of(read_model(None), load_inputs(demo.data_path()), rows, **changed)


def demo_tuning(folder: Path, **changed: Any) -> Tuning:
    """A short search of the demo, measured nowhere, that writes into a folder."""
    plan = Tuning(
        None,
        demo.data_path(),
        folder / "out.tflite",
        folder / "out.toml",
        folder / "trials.jsonl",
        max_drop=0.1,
        rows=40,
        board=None,
        jobs=1,
        methods=("relative",),
        granularities=("element",),
    )
    return replace(plan, **changed)
