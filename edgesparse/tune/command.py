"""What `edgesparse tune` does: split the rows, search, judge, measure, write, tell.

Protocol: the rows are cut into two halves with the same classes.  The search sees one half alone;
accuracy is reported on the other, with its standard error, so that it owes nothing to the choice
among many trials.  Right is the label, or without labels the dense model's own class.

With activation thresholds what is found is told in three steps: the dense model, the tuned weights
alone, and both.  Thresholds are no part of a .tflite, so that the policy alone has them.

With compensation the rows that `--calibration` of the same file draws (calibration.drawn) are what
weights are moved by, so that policy and file give the tuned model again; the two halves are cut
from the others, since a model does better on rows that it was fitted to.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgesparse import calibration, demo, native
from edgesparse.deploy.boards import find_board
from edgesparse.encode import Goal
from edgesparse.encode.cost import CPUS
from edgesparse.errors import StoppedError, TargetError, UsageError
from edgesparse.files import read_file, write_file
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import Model, save_model
from edgesparse.pipeline import PROFILE_ROWS, Recipe, read_model
from edgesparse.rows import device_rows, has_state
from edgesparse.sparsify.evaluate import Accuracy, halves, predict
from edgesparse.sparsify.granularity import check_granularity
from edgesparse.sparsify.policy import Policy
from edgesparse.sparsify.policy_toml import policy_toml
from edgesparse.tune.cluster import ClusterRunner
from edgesparse.tune.compensated import compensated_options, compensated_search
from edgesparse.tune.engine import Engine, Runner
from edgesparse.tune.measure import measure
from edgesparse.tune.report import ProgressBar
from edgesparse.tune.runners import ProcessRunner, SerialRunner
from edgesparse.tune.search import AUTO, methods_of, search
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.store import SearchKey, Store
from edgesparse.tune.strategy import Budget, Steps
from edgesparse.tune.thresholds import threshold_search
from edgesparse.tune.trial import Job, Result, Trial

__all__ = ["OBJECTIVES", "Tuning", "tune_file"]

Found = dict[str, tuple[Assignment, Result]]
"""What is told of: "dense", with activation thresholds "tuned_weights" without these, "tuned"."""

SCHEMA_VERSION = 1
OBJECTIVES = {"cycles": "cycles", "instructions": "instructions", "bytes": "size"}
"""What can be minimised, and what the kernels are then chosen for (encode.Goal.optimize)."""
_LEAST_ROWS = 4


@dataclass(frozen=True, slots=True)
class Tuning:
    """What to search.

    Args:
        model: a .tflite file; None is the bundled demo.
        data: an .npz file with rows x and perhaps labels y.
        output, policy, trials: files to write.
        max_drop: accuracy that may be lost, as a share of the rows; margin: standard errors of it
            that have to fit in as well, see strategy.Budget.
        search, methods: see tune.search.
        compensate: weights that stay make up for those that go; that has a search of its own.
        activation_thresholds: search thresholds of activations too, see tune.thresholds.
        granularities: see sparsify.granularity.
        optimize: one of OBJECTIVES.
        cpu: the core that costs are predicted for; None: the board's.
        board: where dense and tuned model are measured; None: costs are predicted alone.
        depthwise: thin depthwise convolutions too.
        rows: how many rows to look at, evenly over the data; None: all.
        jobs: processes; None: one a processor.
        dask: address of a Dask scheduler to run trials there.
    """

    model: Path | None
    data: Path
    output: Path
    policy: Path
    trials: Path
    max_drop: float = 0.01
    margin: float = 1.0
    search: str = "auto"
    methods: tuple[str, ...] = (AUTO,)
    compensate: bool = False
    activation_thresholds: bool = False
    granularities: tuple[str, ...] = ("element", "filter")
    optimize: str = "cycles"
    cpu: str | None = None
    board: str | None = "qemu"
    depthwise: bool = False
    rows: int | None = None
    jobs: int | None = None
    dask: str | None = None

    def __post_init__(self) -> None:
        methods_of(self.search, self.methods)
        if self.compensate and (self.search, self.methods) != (AUTO, (AUTO,)):
            raise UsageError("--compensate has a search of its own, without --search and --method")
        for granularity in self.granularities:
            check_granularity(granularity)
        if self.optimize not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise UsageError(f"cannot optimize for '{self.optimize}'", hint=f"one of: {known}")
        if not 0.0 <= self.max_drop <= 1.0:
            raise UsageError(f"--max-drop {self.max_drop:g} is outside 0 ... 1")
        if not 0.0 <= self.margin <= 10.0:
            raise UsageError(f"--margin {self.margin:g} is outside 0 ... 10")
        if self.dask is not None and self.jobs is not None:
            raise UsageError("--jobs is for this computer, --dask has workers of its own")

    def goal(self) -> Goal:
        """What kernels are chosen for."""
        board = None if self.board is None else find_board(self.board)
        usual = Goal().cpu if board is None or board.cpu not in CPUS else board.cpu
        return Goal(optimize=OBJECTIVES[self.optimize], cpu=self.cpu or usual)


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Rows for the search and rows held out, by number; classes: what is right, for every row.

    calibration: the rows that weights are moved by, none without compensation.
    """

    inputs: Inputs
    calibration: tuple[int, ...]
    search: NDArray[np.int64]
    held_out: NDArray[np.int64]
    classes: NDArray[np.int64]

    @classmethod
    def of(cls, inputs: Inputs, model: Model, tuning: Tuning) -> _Data:
        drawn = calibration.drawn(inputs).rows if tuning.compensate else ()
        taken = np.setdiff1d(np.arange(inputs.rows), np.array(drawn, np.int64))
        count = len(taken) if tuning.rows is None else min(tuning.rows, len(taken))
        if count < _LEAST_ROWS:
            raise UsageError(f"{count} rows are too few to search, give {_LEAST_ROWS} or more")
        taken = _some(taken, count)
        labels = inputs.y
        classes = predict(model, inputs, range(inputs.rows)) if labels is None else labels
        one, other = halves(classes[taken])
        return cls(inputs, drawn, taken[one], taken[other], classes)


def _some(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """As many of the rows, evenly spread."""
    return rows[np.linspace(0, len(rows) - 1, count).astype(np.int64)]


def tune_file(tuning: Tuning, *, quiet: bool) -> dict[str, Any]:
    """Search, write model, policy and trials, and return what was found as a document.

    Shows a progress bar on stderr unless `quiet`.  Raises StoppedError after Ctrl-C, with the
    trials kept; UsageError for data or files that do not fit; what deploying raises but TargetError
    (then the costs are those predicted).
    """
    model, inputs = read_model(tuning.model), load_inputs(tuning.data)
    data = _Data.of(inputs, model, tuning)
    job = _job(tuning, model, data)
    space = job.space()
    budget = Budget(tuning.max_drop, tuning.optimize, tuning.granularities, tuning.margin)
    store = Store(tuning.trials, _key(tuning, job, data), space)
    try:
        steps = _steps(tuning, space, store, job, budget)
        with _runner(tuning, job) as runner, ProgressBar(tuning.optimize, quiet=quiet) as bar:
            dense = _dense(store, runner, space)
            bar.dense = dense
            engine = Engine(store, runner, budget, bar.update)
            went_by = engine.run(steps)
    except KeyboardInterrupt:
        count = len(store.trials())
        raise StoppedError(
            f"stopped; {count} trials are in {tuning.trials}, start it again to go on"
        ) from None
    best = engine.best() or (space.dense, dense)
    if budget.cost(dense) <= budget.cost(best[1]):
        best = (space.dense, dense)
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": model.name,
        "search": "compensate" if tuning.compensate else tuning.search,
        "base": went_by,
        "optimize": tuning.optimize,
        "cpu": job.goal.cpu,
        "max_drop": tuning.max_drop,
        "margin": tuning.margin,
        "trials": {
            "file": str(tuning.trials),
            "known": len(store.trials()),
            "new": engine.run_count,
        },
    }
    found = {"dense": (space.dense, dense)}
    if tuning.activation_thresholds:
        weights = best[0].weights_alone
        found["tuned_weights"] = (weights, engine.known(weights))
    found["tuned"] = best
    return document | _judged(tuning, model, data, space, found)


def _steps(tuning: Tuning, space: Space, store: Store, job: Job, budget: Budget) -> Steps[str]:
    """The search."""
    if tuning.compensate:
        with calibration.working("how much layers can lose") as progress:
            options = compensated_options(store, job, budget, progress=progress)
        weights = compensated_search(space, budget, options)
    else:
        methods = methods_of(tuning.search, tuning.methods)
        weights = search(space, budget, tuning.search, methods)
    return threshold_search(space, budget, weights) if tuning.activation_thresholds else weights


def _job(tuning: Tuning, model: Model, data: _Data) -> Job:
    keeps_state = has_state(model)
    run = np.arange(data.inputs.rows) if keeps_state else data.search
    few = data.search[np.linspace(0, len(data.search) - 1, PROFILE_ROWS).astype(int)]
    return Job(
        tflite=model.source,
        name=model.name,
        depthwise=tuning.depthwise,
        rows=device_rows(model, data.inputs, run.tolist()),
        judged=data.search if keeps_state else np.arange(len(run)),
        classes=data.classes[data.search],
        goal=tuning.goal(),
        profile=device_rows(model, data.inputs, np.unique(few).tolist()),
        build_id=native.build_id(),
        calibration=device_rows(model, data.inputs, data.calibration) if data.calibration else {},
        activation_thresholds=tuning.activation_thresholds,
    )


def _key(tuning: Tuning, job: Job, data: _Data) -> SearchKey:
    return SearchKey(
        build=job.build_id.hex(),
        model=job.name,
        model_sha256=hashlib.sha256(job.tflite).hexdigest(),
        data=tuning.data.name,
        data_sha256=hashlib.sha256(read_file(tuning.data)).hexdigest(),
        rows=len(data.search) + len(data.held_out),
        depthwise=tuning.depthwise,
        optimize=tuning.optimize,
        cpu=job.goal.cpu,
        compensate=tuning.compensate,
    )


def _runner(tuning: Tuning, job: Job) -> contextlib.AbstractContextManager[Runner]:
    if tuning.dask is not None:
        return ClusterRunner(job, tuning.dask)
    jobs = tuning.jobs or os.cpu_count() or 1
    return SerialRunner(job) if jobs == 1 else ProcessRunner(job, jobs)


def _dense(store: Store, runner: Runner, space: Space) -> Result:
    """The dense model's own result, which the budget is counted from."""
    known = store.get(space.dense)
    if known is not None:
        return known
    trial = Trial("dense", space.dense, space.dense)
    ((_, result),) = runner.run([trial])
    store.add(trial, result)
    return result


def _judged(
    tuning: Tuning, model: Model, data: _Data, space: Space, found: Found
) -> dict[str, Any]:
    """Write what was found; how it does on the rows held out, and what it costs."""
    assignment, result = found["tuned"]
    policy = space.policy(assignment)
    tuned, layers = space.thin(assignment)
    save_model(tuned, tuning.output)
    dense = found["dense"][1]
    comment = (
        f"edgesparse tune of {model.name}: {result.right} of {result.rows} rows of the search"
        f" right, dense {dense.right}"
    )
    if tuning.compensate:
        comment += f"\nCalibrated on the rows that --calibration {tuning.data.name} draws."
    write_file(tuning.policy, policy_toml(policy, comment=comment).encode("utf-8"))
    models = {"dense": model, "tuned_weights": space.cut(tuned, space.dense), "tuned": tuned}
    right = {name: _right(models[name], data) for name in found}
    drop = right["dense"].astype(np.float64) - right["tuned"].astype(np.float64)
    described = {
        name: _described(each) | {"held_out": _accuracy(right[name])}
        for name, (_, each) in found.items()
    }
    return described | {
        "right_means": "label" if data.inputs.y is not None else "class of the dense model",
        "drop": {
            "share": float(drop.mean()),
            "standard_error": float(drop.std() / math.sqrt(len(drop))),
            "rows": len(drop),
        },
        "cost": _costs(tuning, data, policy, found),
        "layers": [
            {"index": layer.node_index} | {"match": each.match} | asdict(each.rule) | _zeros(layer)
            for each, layer in zip(policy.layers, layers, strict=True)
        ],
        "activations": [
            {"index": output.node.index, "match": output.pattern, "threshold": fraction}
            for output, fraction in zip(space.outputs, assignment.fractions, strict=True)
            if fraction > 0.0
        ],
        "output": str(tuning.output),
        "policy": str(tuning.policy),
        "deploy": _deploy_command(tuning),
    }


def _deploy_command(tuning: Tuning) -> str:
    """What deploys the tuned model, thresholds of activations and all."""
    words = ["edgesparse", "deploy"]
    words += [] if tuning.model is None else [str(tuning.model)]
    words += ["--policy", str(tuning.policy)]
    if tuning.compensate and tuning.model is not None:
        words += ["--calibration", str(tuning.data)]
    return shlex.join(words)


def _zeros(layer: Any) -> dict[str, Any]:
    return {key: getattr(layer, key) for key in ("weights", "zeros_before", "zeros_after")}


def _right(model: Model, data: _Data) -> NDArray[np.bool_]:
    found = predict(model, data.inputs, data.held_out.tolist())
    return np.asarray(found == data.classes[data.held_out])


def _accuracy(right: NDArray[np.bool_]) -> dict[str, Any]:
    found = Accuracy(int(right.sum()), len(right))
    return {"share": found.share, "standard_error": found.standard_error, "rows": found.rows}


def _described(result: Result) -> dict[str, Any]:
    described = asdict(result)
    del described["seconds"]
    return described | {"accuracy": result.accuracy}


def _costs(tuning: Tuning, data: _Data, policy: Policy, found: Found) -> dict[str, Any]:
    """Instructions or cycles an inference, measured on the board, else predicted."""
    reason = None
    if tuning.board is not None:
        recipe = Recipe(optimize=OBJECTIVES[tuning.optimize], cpu=tuning.cpu)
        thresholds = Policy(activations=policy.activations)
        models = {
            "dense": (tuning.model or demo.model_path(), recipe),
            "tuned_weights": (tuning.output, recipe),
            "tuned": (tuning.output, replace(recipe, policy=thresholds)),
        }
        run, profile = data.held_out.tolist(), data.search.tolist()
        wanted = {name: models[name] for name in found}
        try:
            counts = measure(wanted, tuning.board, data.inputs, run=run, profile=profile)
            return {"source": "measured", "reason": None} | counts
        except TargetError as error:
            reason = str(error)
    return {
        "source": "predicted",
        "reason": reason,
        "board": None,
        "rows": 0,
        "unit": "instructions",
    } | {name: {"count": result.predicted_instructions} for name, (_, result) in found.items()}
