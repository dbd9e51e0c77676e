"""Search with compensation: its options, its trials, and that policy and data give the model."""

import json
from dataclasses import replace

import numpy as np
import pytest

from edgesparse import native
from edgesparse.calibration import drawn
from edgesparse.cli import main
from edgesparse.encode import Goal
from edgesparse.errors import FormatError, StoppedError, UsageError
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import load_model, parse_model
from edgesparse.rows import device_rows
from edgesparse.sparsify import Rule
from edgesparse.sparsify.compensate.allocate import SHARES
from edgesparse.sparsify.evaluate import agreement, evaluate
from edgesparse.tune import report
from edgesparse.tune.allocate import Option
from edgesparse.tune.command import Tuning, _Data, tune_file
from edgesparse.tune.compensated import compensated_options, compensated_search
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.store import Store
from edgesparse.tune.strategy import Budget
from edgesparse.tune.trial import Evaluator, Job, Trial
from tests.searches import KEY
from tests.tflite_builder import Builder

CLASSES = 4


def network(*, is_shared=False):
    """Three FULLY_CONNECTED layers; the second's weights may be read by another one too."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 16), 0.05)
    weights = [
        b.constant(rng.integers(-100, 101, shape).astype(np.int8), 0.01)
        for shape in ((16, 16), (16, 16), (CLASSES, 16))
    ]
    order = [0, 1, 1, 2] if is_shared else [0, 1, 2]
    for at in order:
        x = b.fully_connected(x, weights[at], scale=0.05)
    b.output(b.softmax(x))
    return parse_model(b.finish(), name="m")


def data_of(count=80):
    rng = np.random.default_rng(4)
    rows = rng.integers(-128, 128, (count, 16)).astype(np.int8)
    return Inputs((rows,), np.arange(count) % CLASSES)


@pytest.fixture
def folder(tmp_path):
    """A model and rows without labels."""
    model, inputs = network(), data_of()
    (tmp_path / "m.tflite").write_bytes(model.source)
    np.savez(tmp_path / "data.npz", x=inputs.x[0])
    return tmp_path


def tuning(folder, name="out", **changed):
    plan = Tuning(
        folder / "m.tflite",
        folder / "data.npz",
        folder / f"{name}.tflite",
        folder / f"{name}.toml",
        folder / f"{name}.jsonl",
        max_drop=0.2,
        compensate=True,
        granularities=("element",),
        optimize="bytes",
        board=None,
        jobs=1,
    )
    return replace(plan, **changed)


def job_of(model, inputs):
    rows = drawn(inputs).others
    return Job(
        tflite=model.source,
        name=model.name,
        depthwise=False,
        rows=device_rows(model, inputs, rows),
        judged=np.arange(len(rows)),
        classes=inputs.y[rows],
        goal=Goal(optimize="size"),
        profile=device_rows(model, inputs, rows[:20]),
        build_id=native.build_id(),
        calibration=device_rows(model, inputs, drawn(inputs).rows),
    )


@pytest.mark.parametrize(("count", "rows"), [(81, None), (1200, None), (1200, 300)])
def test_no_row_of_the_calibration_judges(folder, count, rows):
    inputs = data_of(count)
    data = _Data.of(inputs, network(), tuning(folder, rows=rows))
    used = [*drawn(inputs).rows, *data.search, *data.held_out]
    assert len(set(used)) == len(used)
    assert len(used) == count if rows is None else len(used) == 500 + rows
    assert abs(len(data.search) - len(data.held_out)) <= CLASSES


def test_a_search_goes_along_the_frontier_and_never_from_a_compensated_base():
    def rule(share):
        return Rule("topk", (share,), compensate=True)

    space = Space.of(network(), depthwise=False)
    dense = Option(Rule(), 0.0, 100.0)
    options = [
        [dense, Option(rule(0.5), 0.1, 90.0), Option(rule(0.9), 0.9, 80.0)],
        [dense],
        [dense, Option(rule(0.4), 0.1, 60.0)],
    ]
    batch = next(compensated_search(space, Budget(0.0, "bytes"), options))
    assert [trial.assignment for trial in batch.trials] == [
        Assignment((Rule(), Rule(), rule(0.4))),
        Assignment((rule(0.5), Rule(), rule(0.4))),
        Assignment((rule(0.9), Rule(), rule(0.4))),
    ]
    assert {trial.base for trial in batch.trials} == {space.dense}


def test_options_of_layers(tmp_path, monkeypatch):
    """More zeros cost less and move the logits more; shared weights cannot be made up for."""
    job = job_of(network(is_shared=True), data_of())
    space = job.space()
    budget = Budget(0.0, "bytes", ("element", "filter"))
    key = KEY.model_copy(update={"rows": 80, "optimize": "bytes", "compensate": True})

    def options_of():
        kept = Store(tmp_path / "t.jsonl", key, space)
        return compensated_options(kept, job, budget, progress=lambda _: None)

    found = first, shared, last = options_of()
    assert [option.choice for option in shared] == [Rule()]
    for options in (first, last):
        assert options[0] == Option(Rule(), 0.0, job.costs(space.model, {})["bytes"])
        assert [option.choice.value for option in options[1:]] == [(share,) for share in SHARES] * 2
        assert [option.choice.granularity for option in options[9:11]] == ["element", "filter"]
        assert all(option.choice.compensate for option in options[1:])
        assert options[9].damage > options[1].damage > 0.0
    thinned, _ = space.thin(space.dense.with_rule(0, Rule("topk", (0.9,), "filter")))
    assert first[18].cost == job.costs(thinned, {})["bytes"]
    # The curves are kept: nothing is measured again.
    monkeypatch.setattr("edgesparse.tune.compensated.measure_sensitivity", None)
    assert options_of() == list(found)
    with (tmp_path / "t.jsonl").open("a") as file:
        file.write('{"granularity": "element", "curves": {"x": [0.5]}}\n')
    with pytest.raises(FormatError, match="line 4 is not a trial of this model"):
        options_of()


def test_a_compensated_trial_owes_nothing_to_a_base():
    model, inputs = network(), data_of()
    job = job_of(model, inputs)
    space = job.space()
    base = Assignment((Rule("topk", (0.5,), compensate=True),) * 3)
    trial = Trial("", base.with_rule(2, Rule("topk", (0.25,))), base)
    found = Evaluator(job).measure(trial)
    thinned, rows = space.thin(trial.assignment)
    assert [row.compensated for row in rows] == [True, True, False]
    assert found.right == evaluate(thinned, inputs, drawn(inputs).others).right
    alone = Evaluator(job).measure(replace(trial, base=space.dense))
    assert replace(alone, seconds=0.0) == replace(found, seconds=0.0)


def test_policy_and_data_give_the_model_again(folder):
    document = tune_file(tuning(folder), quiet=True)
    dense, tuned = document["dense"], document["tuned"]
    loss = tuned["lost"] - tuned["gained"] + (tuned["lost"] + tuned["gained"]) ** 0.5
    assert loss <= 0.2 * dense["rows"]
    assert tuned["flash_bytes"] < dense["flash_bytes"]
    assert document["search"] == "compensate"
    assert any(layer["compensate"] for layer in document["layers"])

    model, inputs = load_model(folder / "out.tflite"), load_inputs(folder / "data.npz")
    dense_model = load_model(folder / "m.tflite")
    held_out = _Data.of(inputs, dense_model, tuning(folder)).held_out.tolist()
    same = agreement(model, dense_model, inputs, held_out)
    assert same.share == tuned["held_out"]["share"]

    options = ["--policy", str(folder / "out.toml"), "--calibration", str(folder / "data.npz")]
    again = folder / "again.tflite"
    assert main(["sparsify", str(folder / "m.tflite"), *options, "-o", str(again)]) == 0
    assert again.read_bytes() == (folder / "out.tflite").read_bytes()


def test_a_search_goes_on_where_it_was_stopped(folder, monkeypatch):
    whole = tune_file(tuning(folder), quiet=True)

    class Stopping(report.ProgressBar):
        def update(self, progress):
            if progress.done == 2:
                raise KeyboardInterrupt
            super().update(progress)

    with monkeypatch.context() as patch:
        patch.setattr("edgesparse.tune.command.ProgressBar", Stopping)
        with pytest.raises(StoppedError, match="stopped; 3 trials are in"):
            tune_file(tuning(folder, "again"), quiet=True)
    again = tune_file(tuning(folder, "again"), quiet=True)
    assert again["trials"]["new"] == whole["trials"]["known"] - 3
    assert (folder / "again.toml").read_text() == (folder / "out.toml").read_text()
    with pytest.raises(UsageError, match="of another search: compensate True, not False"):
        tune_file(tuning(folder, "again", compensate=False), quiet=True)


def test_the_command(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    options = ["tune", "m.tflite", "--data", "data.npz", "--compensate", "--no-measure", "-j", "1"]
    limits = ["--max-drop", "0.2", "--optimize", "bytes", "--granularity", "element", "-n", "40"]
    assert main([*options, *limits]) == 0
    shown = capsys.readouterr().out
    assert "topk, compensated" in shown
    inputs, plan = load_inputs(folder / "data.npz"), tuning(folder, rows=40)
    data = _Data.of(inputs, load_model(folder / "m.tflite"), plan)
    assert len(data.search) + len(data.held_out) == 40
    assert f"{len(data.held_out)} rows held out" in shown
    assert main([*options, *limits, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["trials"]["new"], document["dense"]["rows"]) == (0, len(data.search))
    assert main([*options, "--search", "grid"]) == 2
    assert "--compensate has a search of its own" in capsys.readouterr().err
