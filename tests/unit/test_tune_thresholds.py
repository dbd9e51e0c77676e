"""Search of activation thresholds: strategy, trials, store, and that policy and model agree."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesparse import demo, native
from edgesparse.activations import profile_rows
from edgesparse.cli import main
from edgesparse.encode import Goal
from edgesparse.encode.cost import INSTRUCTIONS
from edgesparse.encode.predict import predicted
from edgesparse.errors import FormatError
from edgesparse.inputs import load_inputs
from edgesparse.model import load_model, parse_model
from edgesparse.pipeline import PROFILE_ROWS, Destination, Recipe, make_image, read_model
from edgesparse.sparsify import ActivationRule, Policy, Rule, load_policy, sparsify
from edgesparse.sparsify.evaluate import evaluate
from edgesparse.sparsify.policy import Block, LayerRule
from edgesparse.sparsify.policy_toml import policy_toml
from edgesparse.tune.allocate import allocation_search
from edgesparse.tune.command import tune_file
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.store import Store
from edgesparse.tune.strategy import Batch, Budget
from edgesparse.tune.thresholds import threshold_search
from edgesparse.tune.trial import Evaluator, Job, Result, Trial
from tests import searches
from tests.searches import KEY, demo_tuning, driven
from tests.tflite_builder import Builder

ROWS = range(0, 360, 9)


def demo_space():
    return Space.of(read_model(None), depthwise=False, activation_thresholds=True)


def demo_job(**changed):
    goal = Goal(optimize="instructions")
    return searches.demo_job(ROWS, **({"goal": goal, "activation_thresholds": True} | changed))


# --- The space ---------------------------------------------------------------------------------


def test_outputs_that_somebody_skips_take_part_and_a_policy_means_each_alone():
    space = demo_space()
    assert [(output.node.index, output.node.op) for output in space.outputs] == [
        (0, "CONV_2D"),
        (2, "AVERAGE_POOL_2D"),  # nobody skips the zeros of its input, layer 1
        (3, "CONV_2D"),
        (5, "FULLY_CONNECTED"),
    ]
    for at, output in enumerate(space.outputs):
        fractions = [0.0] * 4
        fractions[at] = 0.1
        cut, _ = space.thin(space.dense.with_fractions(fractions))
        assert list(cut.thresholds) == list(output.node.outputs)
    assert Space.of(read_model(None), depthwise=False).outputs == ()


def test_thresholds_are_those_of_the_assignment_alone():
    space = demo_space()
    cut, _ = space.thin(space.dense.with_fractions((0.1, 0.0, 0.2, 0.0)))
    assert len(cut.thresholds) == 2
    again = space.cut(cut, space.dense.with_fractions((0.0, 0.3, 0.0, 0.0)))
    assert list(again.thresholds) == list(space.outputs[1].node.outputs)
    assert space.cut(cut, space.dense).thresholds == {}


# --- The strategy on made-up results -----------------------------------------------------------


def result(lost, cost, distance):
    return Result(1000 - lost, 1000, lost, 0, distance, cost, cost, cost, 0, 1, 0.0)


def no_weights(space):
    yield Batch((Trial("dense", space.dense, space.dense),))
    return "nothing"


def test_layers_get_what_they_bear_for_what_it_saves():
    """Output 0 bears much, 1 little, 2 costs more with a threshold, 3 saves nothing."""
    space = demo_space()
    harms, saves = (1_000, 100_000, 10_000, 0), (1000, 500, -100, 0)

    def measure(assignment):
        damage = sum(h * f**2 for h, f in zip(harms, assignment.fractions, strict=True))
        saved = sum(s * f for s, f in zip(saves, assignment.fractions, strict=True))
        return result(math.ceil(damage), 10_000 - saved, damage)

    budget = Budget(0.01, "cycles", margin=0.0)  # 10 rows
    name, asked = driven(threshold_search(space, budget, no_weights(space)), measure)
    assert name == "nothing"
    kept = [trial for trial in asked if budget.keeps(measure(trial.assignment))]
    for_all = [trial.assignment for trial in kept if trial.stage == "thresholds, one for all"]
    assert for_all[-1].fractions == (0.009,) * 4  # 111,000 · 0.009² = 8.99, 0.0113² has 14.2
    best = min(kept, key=lambda trial: measure(trial.assignment).predicted_cycles)
    assert best.stage == "thresholds, by layer"
    assert best.assignment.fractions == (0.072, 0.0063, 0.0, 0.0)  # 8 and 0.7 times: 5.2 and 4.0


def test_a_milder_base_leaves_room_for_thresholds():
    """Weights alone could take all of the budget; half of it and thresholds cost less."""
    space = demo_space()

    def rules(lost):
        return space.dense.with_rule(0, Rule("topk", (lost / 10,)))

    def measure(assignment):
        lost = round(10 * space.share(0, assignment.rules[0]))
        cut = assignment.fractions[1] >= 0.1
        return result(lost + 4 * cut, 1000 - 10 * lost - 100 * cut, lost + 4.0 * cut)

    def weights():
        yield Batch(tuple(Trial("w", rules(lost), space.dense) for lost in range(1, 10)))
        return "weights"

    budget = Budget(0.008, "cycles", margin=0.0)  # 8 rows
    _, asked = driven(threshold_search(space, budget, weights()), measure)
    bases = {trial.base for trial in asked if trial.stage == "thresholds, one for all"}
    assert bases == {space.dense, rules(4), rules(8)}
    kept = [t.assignment for t in asked if budget.keeps(measure(t.assignment))]
    best = min(kept, key=lambda each: measure(each).predicted_cycles)
    assert best.rules == rules(4).rules
    assert best.fractions[1] >= 0.1


def test_it_stands_behind_any_search_of_weights():
    space = demo_space()
    budget = Budget(0.01, "cycles")
    weights = allocation_search(space, budget)
    name, asked = driven(threshold_search(space, budget, weights), lambda _: result(0, 100, 0.0))
    assert name == ("allocated", space.dense)
    assert asked[0].assignment == space.dense
    assert {t.stage for t in asked} > {"dense", "thresholds, base"}


# --- Trials ------------------------------------------------------------------------------------


def test_a_trial_costs_what_convert_predicts_with_its_policy():
    """The profile is that of the thinned model with its thresholds, not the dense one's."""
    model, inputs = read_model(None), load_inputs(demo.data_path())
    job = demo_job()
    space = job.space()
    rules = space.by_method("relative", (0.3,), "element")
    for assignment in (rules, rules.with_fractions((0.05, 0.1, 0.15, 0.0))):
        found = Evaluator(job).measure(Trial("", assignment, space.dense))
        recipe = Recipe(policy=space.policy(assignment), optimize="instructions")
        where = Destination(inputs=inputs, rows=ROWS[:PROFILE_ROWS])
        made = make_image(model, recipe, where)
        costs = [node.chosen.cost for node in made.encoded.nodes]
        assert found.predicted_instructions == sum(costs)
        assert found.flash_bytes == len(made.image.device_bytes())
        zeros = profile_rows(made.model, inputs, ROWS[:PROFILE_ROWS], "").zeros
        assert predicted(made.encoded, zeros, INSTRUCTIONS) == sum(costs)
        assert found.right == evaluate(made.model, inputs, ROWS).right
        dense = job.costs(made.model, job.zeros_of(model))["instructions"]
        assert found.predicted_instructions != dense


def test_a_trial_owes_nothing_to_its_base():
    job = demo_job()
    space = job.space()
    rules = space.by_method("relative", (0.5,), "element")
    evaluator = Evaluator(job)
    base = rules.with_fractions((0.1, 0.0, 0.0, 0.0))
    for assignment in (
        base.with_fractions((0.1, 0.0, 0.2, 0.0)),
        base.with_fractions((0.0, 0.2, 0.0, 0.3)),
        base.with_rule(3, Rule("topk", (0.8,))),
        rules,
    ):
        found = evaluator.measure(Trial("", assignment, base))
        alone = Evaluator(job).measure(Trial("", assignment, space.dense))
        assert replace(found, seconds=0.0) == replace(alone, seconds=0.0)


def test_only_what_a_threshold_reaches_is_computed_again(monkeypatch):
    job = demo_job()
    space = job.space()
    evaluator = Evaluator(job)
    seen = []
    run_tensors = __import__("edgesparse.tune.trial", fromlist=["run_tensors"]).run_tensors

    def noted(part, known, wanted, **options):
        seen.append(set(known))
        return run_tensors(part, known, wanted, **options)

    monkeypatch.setattr("edgesparse.tune.trial.run_tensors", noted)
    fractions = (0.0, 0.0, 0.1, 0.0)
    evaluator.measure(Trial("", space.dense.with_fractions(fractions), space.dense))
    changed = space.outputs[2].node
    assert set(changed.inputs[:1]) <= seen[0]
    assert seen[0].isdisjoint(changed.outputs)


def network():
    """Three FULLY_CONNECTED layers, RELU behind the first two."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input((1, 16), 0.05)
    for rows in (16, 16, 4):
        weights = b.constant(rng.integers(-100, 101, (rows, 16)).astype(np.int8), 0.01)
        x = b.fully_connected(x, weights, scale=0.05)
    b.output(b.softmax(x))
    return parse_model(b.finish(), name="m")


def test_a_base_is_compensated_once_for_all_its_thresholds(monkeypatch):
    model = network()
    rows = np.random.default_rng(4).integers(-128, 128, (40, 16)).astype(np.int8)
    given = {model.inputs[0]: rows}
    job = Job(
        tflite=model.source,
        name=model.name,
        depthwise=False,
        rows=given,
        judged=np.arange(40),
        classes=np.arange(40) % 4,
        goal=Goal(),
        profile=given,
        build_id=native.build_id(),
        calibration=given,
        activation_thresholds=True,
    )
    space = job.space()
    base = space.of_rules((Rule("topk", (0.5,), compensate=True),) * 3)
    wanted = [base.with_fractions((each, 0.0)) for each in (0.02, 0.1)]
    alone = [Evaluator(job).measure(Trial("", each, space.dense)) for each in wanted]
    calls = []
    compensate = __import__("edgesparse.tune.space", fromlist=["x"]).compensate_model
    monkeypatch.setattr(
        "edgesparse.tune.space.compensate_model", lambda *a: calls.append(1) or compensate(*a)
    )
    evaluator = Evaluator(job)
    found = [evaluator.measure(Trial("", each, base)) for each in wanted]
    assert len(calls) == 1
    assert [replace(each, seconds=0.0) for each in found] == [
        replace(each, seconds=0.0) for each in alone
    ]


# --- The store and the policy ------------------------------------------------------------------


def test_thresholds_are_kept(tmp_path):
    space, file = demo_space(), tmp_path / "t.jsonl"
    cut = space.dense.with_fractions((0.0, 0.1 + 0.2, 0.0, 0.05))
    found = {space.dense: result(0, 9, 0.0), cut: result(3, 7, 0.5)}
    for assignment, each in found.items():
        Store(file, KEY, space).add(Trial("here", assignment, space.dense), each)
    dense, line = (json.loads(each) for each in file.read_text().splitlines()[1:])
    assert "activations" not in dense
    assert [each["threshold"] for each in line["activations"]] == [0.1 + 0.2, 0.05]
    assert Store(file, KEY, space).trials() == found
    # A search without thresholds leaves them, one of another model is told.
    plain = Space.of(read_model(None), depthwise=False)
    assert Store(file, KEY, plain).trials() == {plain.dense: result(0, 9, 0.0)}
    line["activations"][0]["match"] = "elsewhere"
    file.write_text(file.read_text() + json.dumps(line) + "\n")
    with pytest.raises(FormatError, match="line 4 is not a trial of this model"):
        Store(file, KEY, space)


@pytest.mark.parametrize("change", [{"right": "many"}, {"other": 1}, {"rows": None}])
def test_a_line_with_other_fields_is_no_trial(tmp_path, change):
    space, file = demo_space(), tmp_path / "t.jsonl"
    Store(file, KEY, space).add(Trial("here", space.dense, space.dense), result(0, 9, 0.0))
    head, line = file.read_text().splitlines()
    file.write_text(f"{head}\n{json.dumps({**json.loads(line), **change})}\n")
    with pytest.raises(FormatError, match="line 2 is not a trial"):
        Store(file, KEY, space)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SHARES = st.floats(0.0, 1.0)
RULES = st.one_of(
    st.builds(
        Rule,
        st.sampled_from(["relative", "topk", "flat"]),
        st.tuples(SHARES),
        st.sampled_from(["element", "filter", "1x4"]),
        st.booleans(),
    ),
    st.builds(Rule, st.just("threshold"), st.lists(st.floats(0.0, 9e9), min_size=1).map(tuple)),
)
POLICIES = st.builds(
    Policy,
    st.lists(st.builds(LayerRule, NAMES, RULES), max_size=3).map(tuple),
    st.none() | RULES,
    st.lists(
        st.builds(Block, NAMES, st.lists(NAMES, min_size=1, max_size=2).map(tuple)),
        max_size=2,
        unique_by=lambda block: block.name,
    ).map(tuple),
    st.lists(st.builds(ActivationRule, NAMES, st.floats(0.0, 0.5)), max_size=3).map(tuple),
)


@settings(max_examples=200, deadline=None)
@given(policy=POLICIES)
def test_every_policy_is_read_back_to_the_bit(policy, tmp_path_factory):
    file = tmp_path_factory.mktemp("policy") / "p.toml"
    file.write_bytes(policy_toml(policy, comment="found").encode("utf-8"))
    assert load_policy(file) == policy


@pytest.mark.parametrize("granularity", ["element", "1x4", "filter"])
@pytest.mark.parametrize("method", ["relative", "topk", "flat", "triangular"])
def test_a_policy_changes_no_weight_a_second_time(method, granularity):
    """What a search may write, on the model that it has written."""
    space = demo_space()
    if method == "topk":
        assignment = space.of_rules((Rule("topk", (0.6,), granularity),) * len(space.layers))
    else:
        value = {"relative": (0.6,), "flat": (0.1,), "triangular": (0.05, 0.2)}[method]
        assignment = space.by_method(method, value, granularity)
    thinned, layers = space.thin(assignment)
    assert sum(layer.zeros_after - layer.zeros_before for layer in layers) > 0
    assert sparsify(thinned, space.policy(assignment))[0].source == thinned.source


# --- The whole ---------------------------------------------------------------------------------


def tuning(folder, **changed):
    wanted = {"granularities": ("filter",), "optimize": "instructions"}
    return demo_tuning(folder, **(wanted | {"activation_thresholds": True} | changed))


def test_a_search_finds_thresholds_within_its_budget(tmp_path):
    document = tune_file(tuning(tmp_path), quiet=True)
    dense, weights, tuned = (document[name] for name in ("dense", "tuned_weights", "tuned"))
    loss = tuned["lost"] - tuned["gained"] + (tuned["lost"] + tuned["gained"]) ** 0.5
    assert loss <= 0.1 * dense["rows"]
    costs = [each["predicted_instructions"] for each in (dense, weights, tuned)]
    assert costs[0] > costs[1] > costs[2]
    assert weights["zeros"] == tuned["zeros"]
    assert document["cost"]["tuned_weights"]["count"] == costs[1]

    # The policy gives the same again, for the dense model and for the one that was written.
    model, inputs = read_model(None), load_inputs(demo.data_path())
    policy = load_policy(tmp_path / "out.toml")
    assert [(each.match, each.fraction) for each in policy.activations] == [
        (row["match"], row["threshold"]) for row in document["activations"]
    ]
    thinned = load_model(tmp_path / "out.tflite")
    assert (
        sparsify(thinned, policy)[0].source == thinned.source == sparsify(model, policy)[0].source
    )
    where = Destination(inputs=inputs, rows=range(20))
    whole = make_image(model, Recipe(policy=policy), where)
    thresholds = Policy(activations=policy.activations)
    alone = make_image(thinned, Recipe(policy=thresholds), where)
    assert whole.image.device_bytes() == alone.image.device_bytes()
    assert whole.model.thresholds
    held_out = evaluate(whole.model, inputs, _held_out(inputs))
    assert held_out.share == tuned["held_out"]["share"]
    assert document["deploy"] == f"edgesparse deploy --policy {tmp_path / 'out.toml'}"

    # Known trials are not run again, nor lost for a search without thresholds.
    assert tune_file(tuning(tmp_path), quiet=True)["trials"]["new"] == 0
    plain = tune_file(tuning(tmp_path, activation_thresholds=False), quiet=True)
    assert plain["trials"]["new"] == 0
    assert plain["activations"] == []
    assert "tuned_weights" not in plain


def _held_out(inputs):
    rows = np.linspace(0, 359, 40).astype(np.int64)
    second = [
        row
        for label in np.unique(inputs.y[rows])
        for row in rows[inputs.y[rows] == label][1::2].tolist()
    ]
    return sorted(second)


def test_the_command_shows_each_step(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["tune", "--no-measure", "-n", "40", "-j", "1", "-m", "relative", "--max-drop", "0.1"]
    options += ["--granularity", "filter", "--optimize", "instructions"]
    assert main([*options, "--activation-thresholds"]) == 0
    shown = capsys.readouterr().out
    assert "activations to" in shown
    assert "and activations" in shown
    assert "thresholds are in the policy alone: edgesparse deploy --policy" in shown
    assert main(options) == 0
    assert "activations" not in capsys.readouterr().out


def test_thresholds_come_after_compensation(tmp_path):
    model = network()
    (tmp_path / "m.tflite").write_bytes(model.source)
    rows = np.random.default_rng(4).integers(-128, 128, (80, 16)).astype(np.int8)
    np.savez(tmp_path / "data.npz", x=rows)
    document = tune_file(
        tuning(
            tmp_path,
            model=tmp_path / "m.tflite",
            data=tmp_path / "data.npz",
            rows=None,
            methods=("auto",),
            granularities=("element",),
            compensate=True,
            max_drop=0.2,
        ),
        quiet=True,
    )
    stages = {
        json.loads(line).get("stage")
        for line in (tmp_path / "trials.jsonl").read_text().splitlines()
    }
    assert {"compensated", "thresholds, one for all"} <= stages
    assert (
        document["tuned"]["predicted_instructions"] <= document["dense"]["predicted_instructions"]
    )
    assert document["deploy"].endswith(f"--calibration {tmp_path / 'data.npz'}")
    policy = load_policy(tmp_path / "out.toml")
    recipe = Recipe(policy=policy, calibration=tmp_path / "data.npz")
    again = make_image(model, recipe).model
    assert again.source == load_model(tmp_path / "out.tflite").source


def test_an_assignment_knows_its_weights():
    assignment = Assignment((Rule(),), (0.1, 0.0))
    assert assignment.weights_alone == Assignment((Rule(),), (0.0, 0.0))
    assert assignment.with_rule(0, Rule("topk", (0.5,))).fractions == (0.1, 0.0)
