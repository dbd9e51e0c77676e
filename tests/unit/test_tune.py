"""Search: strategies against made-up results, trials against evaluate, and going on."""

import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from edgesparse import demo
from edgesparse.cli import main
from edgesparse.encode import Goal, Zeros, encode
from edgesparse.encode.cost import CYCLES, INSTRUCTIONS
from edgesparse.encode.predict import predicted
from edgesparse.errors import EdgesparseError, FormatError, StoppedError, TargetError, UsageError
from edgesparse.inputs import Inputs, load_inputs
from edgesparse.model import load_model, parse_model
from edgesparse.pipeline import read_model
from edgesparse.sparsify import Policy, Rule, load_policy, sparsify
from edgesparse.sparsify.evaluate import evaluate, halves
from edgesparse.sparsify.policy import Block, LayerRule
from edgesparse.sparsify.policy_toml import policy_toml
from edgesparse.tune import report
from edgesparse.tune.allocate import Option, frontier
from edgesparse.tune.bases import base_search
from edgesparse.tune.cluster import ClusterRunner
from edgesparse.tune.command import tune_file
from edgesparse.tune.engine import Engine
from edgesparse.tune.fine import fine_tune
from edgesparse.tune.grid import grid_search
from edgesparse.tune.runners import ProcessRunner, SerialRunner
from edgesparse.tune.search import methods_of
from edgesparse.tune.space import Assignment, Space
from edgesparse.tune.store import Store
from edgesparse.tune.strategy import Batch, Budget, highest, together
from edgesparse.tune.trial import Evaluator, Result, Trial, install
from tests import searches
from tests.searches import KEY, demo_job, demo_tuning, job_of
from tests.tflite_builder import Builder


def result(right, cost=100, distance=0.0):
    """Of 100 rows, all of which the dense model has right."""
    return Result(right, 100, 100 - right, 0, distance, cost, cost, cost, 0, 1, 0.0)


def driven(steps, measure):
    """As searches.driven, of the assignments alone."""
    found, asked = searches.driven(steps, measure)
    return found, [trial.assignment for trial in asked]


def fully_connected(*matrices, names=None):
    """FULLY_CONNECTED layers with a RELU between them and a SOFTMAX at the end."""
    b = Builder()
    x = b.input((1, len(matrices[0][0])), 0.5)
    for at, codes in enumerate(matrices):
        name = None if names is None else names[at]
        w = b.constant(np.array(codes, np.int8), 0.125, name=name)
        x = b.fully_connected(x, w, scale=0.5)
    b.output(b.softmax(x))
    return parse_model(b.finish(), name="m")


ONE = [[100, 0, 10, -10], [0, 100, -10, 10]]
ROWS = Inputs((np.array([[9, 0, 1, 0], [0, 9, 0, 1]] * 4, np.int8),), np.array([0, 1] * 4))


# --- The space ---------------------------------------------------------------------------------


def test_a_policy_means_each_layer_alone():
    """Names that are part of one another are matched whole."""
    square = np.full((4, 4), 5)
    model = fully_connected(square, square, square, names=["a", "a[0]", "ab*"])
    space = Space.of(model, depthwise=False)
    for at in range(3):
        rule = Rule("relative", (1.0,))
        policy = space.policy(space.dense.with_rule(at, rule))
        _, layers = sparsify(model, policy)
        assert [layer.node_index for layer in layers] == [space.layers[at].node.index]


def test_layers_that_no_policy_can_tell_apart_are_refused():
    b = Builder()
    square = np.full((4, 4), 5, np.int8)
    x = b.input((1, 4), 0.5)
    for _ in range(2):
        x = b.fully_connected(x, b.constant(square, 0.1, name="w"), scale=0.5)
    b.output(x)
    data = b.finish()
    model = parse_model(data, name="m")
    same = replace(model, tensors=tuple(replace(t, name="w") for t in model.tensors))
    with pytest.raises(UsageError, match="cannot tell layer 0 'w' from another"):
        Space.of(same, depthwise=False)


def test_a_method_for_all_layers_becomes_a_rule_for_each():
    model = read_model(None)
    space = Space.of(model, depthwise=False)
    for method, value in (("flat", (0.1,)), ("triangular", (0.05, 0.2)), ("relative", (0.7,))):
        for granularity in ("element", "1x4"):
            whole, _ = sparsify(model, Rule(method, value, granularity))
            each = space.by_method(method, value, granularity)
            assert sparsify(model, space.policy(each))[0].source == whole.source


def test_thresholds_and_shares():
    space = Space.of(fully_connected(ONE), depthwise=False)
    assert [space.threshold(0, share) for share in (0.0, 0.7, 1.0)] == [
        Rule(),
        Rule("threshold", (1.25,)),  # 10 · 0.125
        Rule("threshold", (12.5,)),
    ]
    assert space.share(0, Rule("threshold", (1.25,))) == 0.75
    assert space.share(0, Rule("relative", (0.4,))) == 0.4
    assert space.share(0, Rule()) == 0.0


# --- Strategies on made-up results -------------------------------------------------------------


@pytest.mark.parametrize("last", [-1, 0, 1, 17, 98, 99])
def test_the_last_level_that_keeps_the_accuracy(last):
    levels = [Assignment((Rule("relative", (at / 100,)),)) for at in range(100)]
    space = Space.of(fully_connected(ONE), depthwise=False)
    found, asked = driven(
        highest(space, levels, lambda each: each.right == 100, stage=""),
        lambda assignment: result(100 if levels.index(assignment) <= last else 0),
    )
    assert found == last
    assert len(asked) <= 12  # four at a time: 100 -> 20 -> 4
    assert len(set(asked)) == len(asked)


def test_what_behind_a_failure_keeps_the_accuracy_is_luck():
    levels = [Assignment((Rule("relative", (at / 100,)),)) for at in range(10)]
    space = Space.of(fully_connected(ONE), depthwise=False)
    found, _ = driven(
        highest(space, levels, lambda each: each.right == 100, stage=""),
        lambda assignment: result(0 if levels.index(assignment) == 5 else 100),
    )
    assert found == 4


def test_a_budget_covers_standard_errors_of_the_loss():
    def of(lost, gained):
        return replace(result(90), lost=lost, gained=gained)

    budget = Budget(0.05, "cycles")  # 5 of 100 rows
    assert budget.keeps(of(3, 1))  # 2 ± 2
    assert not budget.keeps(of(4, 1))  # 3 ± 2.24
    assert budget.keeps(of(12, 12))  # 0 ± 4.9
    assert not budget.keeps(of(13, 13))
    assert replace(budget, margin=0.0).keeps(of(30, 25))
    assert not replace(budget, margin=0.0).keeps(of(31, 25))


def test_searches_side_by_side_share_their_batches():
    def counted(name, rounds):
        results = []
        for at in range(rounds):
            trials = tuple(
                Trial(f"{name}{at}{i}", Assignment(()), Assignment(())) for i in range(2)
            )
            results += yield Batch(trials, 1)
        return results

    steps = together([counted("a", 1), counted("b", 3), counted("c", 0)])
    batch, sizes = next(steps), []
    with pytest.raises(StopIteration) as stopped:
        while True:
            sizes.append((len(batch.trials), batch.later))
            batch = steps.send([trial.stage for trial in batch.trials])
    assert sizes == [(4, 2), (2, 1), (2, 1)]
    assert stopped.value.value == [
        ["a00", "a01"],
        ["b00", "b01", "b10", "b11", "b20", "b21"],
        [],
    ]


def test_the_grid_takes_back_what_is_too_much_together():
    space = Space.of(fully_connected(ONE * 2, np.eye(4) * 50), depthwise=False)

    def measure(assignment):
        shares = [space.share(at, rule) for at, rule in enumerate(assignment.rules)]
        return result(100 if sum(shares) <= 1.0 else 50)

    found, asked = driven(grid_search(space, Budget(0.0, "cycles")), measure)
    assert measure(found).right == 100
    alone = [each for each in asked if sum(rule.method != "none" for rule in each.rules) == 1]
    assert len(alone) == 2  # the highest level is kept by both at once
    assert sum(space.share(at, rule) for at, rule in enumerate(found.rules)) == 1.0


def test_the_frontier_goes_by_what_is_saved_for_the_damage():
    def rule(number):
        return Rule("relative", (number / 10,))

    options = [
        # 4 saved for 1, 2 more for 4; the option between is above the hull.
        [
            Option(Rule(), 0, 10),
            Option(rule(1), 1, 6),
            Option(rule(2), 4, 5.9),
            Option(rule(3), 5, 4),
        ],
        # 3 saved for 3.
        [Option(Rule(), 0, 10), Option(rule(4), 3, 7), Option(rule(5), 4, 12)],
        # Nothing to save.
        [Option(Rule(), 0, 10), Option(rule(6), 1, 10)],
    ]
    assert frontier(options) == [
        (rule(1), Rule(), Rule()),
        (rule(1), rule(4), Rule()),
        (rule(3), rule(4), Rule()),
    ]


def test_fine_tuning_gives_back_what_saves_nothing_and_goes_on_elsewhere():
    """Zeros of layer 0 cost accuracy for nothing; layer 1 pays from 0.5 on."""
    space = Space.of(fully_connected(ONE * 2, np.eye(4) * 50), depthwise=False)

    def measure(assignment):
        first, second = (space.share(at, rule) for at, rule in enumerate(assignment.rules))
        return result(round(100 - 10 * first - 10 * second), 100 - 50 * max(second - 0.5, 0.0))

    base = Assignment((Rule("relative", (0.4,)), Rule("relative", (0.1,))))
    budget = Budget(0.08, "cycles", margin=0.0)
    found, _ = driven(fine_tune(space, budget, base), measure)
    assert found.rules[0] == Rule()
    assert 0.75 <= space.share(1, found.rules[1]) <= 0.85  # 100 - 10 · 0.85 rounds to 92
    assert measure(found).right >= 92


def test_a_base_is_the_harshest_that_keeps_the_accuracy():
    space = Space.of(read_model(None), depthwise=False)
    (steps,) = base_search(space, Budget(0.0, "cycles"), "relative", "1x4")

    def measure(assignment):
        return result(100 if assignment.rules[0].value[0] <= 0.52 else 0)

    (name, found), _ = driven(steps, measure)
    assert (name, found.rules[0]) == ("relative 0.5, 1x4", Rule("relative", (0.5,), "1x4"))


def test_methods_of_a_search():
    assert methods_of("auto", ["auto"]) == ("flat", "triangular", "relative", "allocate")
    assert methods_of("fine", ["flat"]) == ("flat",)
    with pytest.raises(UsageError, match="search fine has no method 'allocate'"):
        methods_of("fine", ["allocate"])
    with pytest.raises(UsageError, match="unknown search 'best', there are: auto, grid, fine"):
        methods_of("best", ["auto"])


# --- Trials ------------------------------------------------------------------------------------


def test_the_grid_finds_the_threshold_that_keeps_the_accuracy(tmp_path):
    """Weights of 10 change no class, those of 100 make it: all up to 10 · 0.125 go, no other."""
    model = fully_connected(ONE)
    space = Space.of(model, depthwise=False)
    runner = SerialRunner(job_of(model, ROWS, range(8)))
    engine = Engine(store(tmp_path / "t", space), runner, Budget(0.0, "bytes"), silent)
    assert engine.run(grid_search(space, Budget(0.0, "bytes"))) == Assignment(
        (Rule("threshold", (1.25,)),)
    )


def test_a_trial_is_what_evaluate_says():
    model, inputs = read_model(None), load_inputs(demo.data_path())
    space = Space.of(model, depthwise=False)
    rows = range(0, 360, 9)
    evaluator = Evaluator(job_of(model, inputs, rows))
    base = space.by_method("relative", (0.8,), "element")
    trials = [Trial("", space.dense, space.dense), Trial("", base, space.dense)]
    # The prefix of the base is used again, whichever layer differs, and whatever came between.
    for at in (4, 1):
        changed = base.with_rule(at, Rule("topk", (0.95,), "1x4"))
        trials += [Trial("", changed, base), Trial("", changed, space.dense)]
    for trial in trials:
        found = evaluator.measure(trial)
        thinned, _ = sparsify(model, space.policy(trial.assignment))
        expected = evaluate(thinned, inputs, rows)
        assert (found.right, found.rows) == (expected.right, expected.rows)
        assert (found.distance == 0.0) == (trial.assignment == space.dense)
        fresh = Evaluator(job_of(model, inputs, rows))
        assert replace(fresh.measure(replace(trial, base=space.dense)), seconds=0.0) == replace(
            found, seconds=0.0
        )


def test_only_what_a_change_reaches_is_computed_again(monkeypatch):
    model = read_model(None)
    space = Space.of(model, depthwise=False)
    evaluator = Evaluator(demo_job())
    given = []
    run_tensors = __import__("edgesparse.tune.trial", fromlist=["run_tensors"]).run_tensors

    def seen(part, known, wanted, **options):
        given.append(set(known))
        return run_tensors(part, known, wanted, **options)

    monkeypatch.setattr("edgesparse.tune.trial.run_tensors", seen)
    last = space.dense.with_rule(4, Rule("relative", (0.9,)))
    evaluator.measure(Trial("", last, space.dense))
    source = space.layers[4].node.inputs[0]
    assert source in given[0]
    assert given[0].isdisjoint(space.layers[4].node.outputs)


def test_a_model_that_keeps_state_runs_all_rows(shared_models):
    folder = shared_models / "mww2_vad"
    model, inputs = load_model(folder / "mww2_vad.tflite"), load_inputs(folder / "data.npz")
    judged = np.arange(5, 1280, 16)
    job = job_of(model, inputs, range(inputs.rows), judged=judged, classes=inputs.y[judged])
    space = Space.of(model, depthwise=False)
    assignment = space.by_method("relative", (0.5,), "element")
    found = Evaluator(job).measure(Trial("", assignment, space.dense))
    thinned, _ = sparsify(model, space.policy(assignment))
    assert found.right == evaluate(thinned, inputs, judged.tolist()).right


def test_a_worker_of_another_build_is_refused():
    with pytest.raises(TargetError, match="another build"):
        install(replace(demo_job(), build_id=bytes(16)))


def test_costs_in_both_units():
    model = read_model(None)
    zeros = {node.outputs[0]: Zeros(0.7, 0.1) for node in model.nodes}
    for optimize, unit in (("cycles", CYCLES), ("instructions", INSTRUCTIONS)):
        encoded = encode(model, goal=Goal(optimize=optimize), zeros=zeros)
        assert predicted(encoded, zeros, unit) == sum(n.chosen.cost for n in encoded.nodes)


# --- The same everywhere -----------------------------------------------------------------------


def trials_of_the_demo():
    space = Space.of(read_model(None), depthwise=False)
    return [
        Trial("", space.by_method("relative", (share,), "element"), space.dense)
        for share in (0.5, 0.7, 0.8, 0.85, 0.9, 0.95)
    ]


def collected(runner):
    with runner:
        found = {
            trial.assignment: replace(each, seconds=0.0)
            for trial, each in runner.run(trials_of_the_demo())
        }
    return [found[trial.assignment] for trial in trials_of_the_demo()]


@pytest.fixture(scope="module")
def serial():
    found = collected(SerialRunner(demo_job()))
    assert len({each.right for each in found}) > 2
    return found


def test_processes_give_the_same(serial):
    assert collected(ProcessRunner(demo_job(), 2)) == serial


def test_a_process_that_dies_is_told():
    with (
        ProcessRunner(replace(demo_job(), tflite=b"no model"), 1) as runner,
        pytest.raises(EdgesparseError, match="a process of the search died"),
    ):
        list(runner.run(trials_of_the_demo()))


def test_a_dask_cluster_gives_the_same(serial, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        local_directory=str(tmp_path),
        silence_logs=50,
    ) as cluster:
        assert collected(ClusterRunner(demo_job(), cluster.scheduler_address)) == serial
        with pytest.raises(TargetError, match="another build"):
            ClusterRunner(
                replace(demo_job(), build_id=bytes(16)), cluster.scheduler_address
            ).__enter__()


def test_no_scheduler(monkeypatch):
    monkeypatch.setattr("edgesparse.tune.cluster._CONNECT_S", 0.2)
    with pytest.raises(TargetError, match="no Dask scheduler answers at tcp://127.0.0.1:1"):
        ClusterRunner(demo_job(), "tcp://127.0.0.1:1")


# --- The store ---------------------------------------------------------------------------------


def silent(_):
    pass


def store(path, space, **changed):
    return Store(path, KEY.model_copy(update=changed), space)


def test_trials_are_kept(tmp_path):
    space = Space.of(read_model(None), depthwise=False)
    file = tmp_path / "t.jsonl"
    rules = Assignment(
        (
            Rule("threshold", (0.1 + 0.2,)),
            Rule(),
            Rule("relative", (0.5,), "1x4"),
            Rule(),
            Rule(),
        )
    )
    store(file, space).add(Trial("here", rules, space.dense), result(90, 7, 0.5))
    store(file, space).add(Trial("dense", space.dense, space.dense), result(99))
    assert store(file, space).trials() == {rules: result(90, 7, 0.5), space.dense: result(99)}
    line = json.loads(file.read_text().splitlines()[1])
    assert (line["stage"], line["accuracy"], len(line["policy"])) == ("here", 0.9, 2)

    # Killed while a line was written.
    whole = file.read_bytes()
    file.write_bytes(whole[:-9])
    assert store(file, space).trials() == {rules: result(90, 7, 0.5)}


def test_a_file_of_something_else_is_left_alone(tmp_path):
    space = Space.of(read_model(None), depthwise=False)
    file = tmp_path / "t.jsonl"
    store(file, space)
    with pytest.raises(UsageError, match="of another search: data_sha256 2, not 3"):
        store(file, space, data_sha256="3")
    before = file.read_bytes()
    file.write_bytes(before + b'{"method": "none"}\n')
    with pytest.raises(FormatError, match="line 2 is not a trial"):
        store(file, space)
    file.write_bytes(b"{}\n")
    with pytest.raises(FormatError, match="line 1 is not the head of a search"):
        store(file, space)
    assert file.read_bytes() == b"{}\n"


def test_a_policy_is_read_back(tmp_path):
    policy = Policy(
        (
            LayerRule('a "b"\\c\x7fé', Rule("threshold", (0.1 + 0.2,))),
            LayerRule("d", Rule("triangular", (0.25, 0.5), "1x4")),
        ),
        Rule("relative", (0.3,)),
        (Block("e", ("f", "g*")),),
    )
    file = tmp_path / "p.toml"
    file.write_text(policy_toml(policy, comment="two\nlines"), encoding="utf-8")
    assert load_policy(file) == policy
    assert file.read_text(encoding="utf-8").startswith("# two\n# lines\n\n[default]\n")


# --- The whole ---------------------------------------------------------------------------------


def test_a_search_keeps_its_budget_and_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    whole.mkdir()
    stopped.mkdir()
    document = tune_file(demo_tuning(whole), quiet=True)
    dense, tuned = document["dense"], document["tuned"]
    loss = tuned["lost"] - tuned["gained"] + (tuned["lost"] + tuned["gained"]) ** 0.5
    assert loss <= 0.1 * dense["rows"]
    assert tuned["right"] == dense["right"] - tuned["lost"] + tuned["gained"]
    assert tuned["predicted_cycles"] < 0.9 * dense["predicted_cycles"]
    assert document["cost"]["tuned"]["count"] == tuned["predicted_instructions"]

    inputs, model = load_inputs(demo.data_path()), load_model(whole / "out.tflite")
    rows = np.linspace(0, 359, 40).astype(np.int64)
    search, held_out = (rows[half] for half in halves(inputs.y[rows]))
    assert evaluate(model, inputs, search.tolist()).right == tuned["right"]
    assert evaluate(model, inputs, held_out.tolist()).share == tuned["held_out"]["share"]
    policy = load_policy(whole / "out.toml")
    assert sparsify(read_model(None), policy)[0].source == model.source

    class Stopping(report.ProgressBar):
        def update(self, progress):
            if progress.done == 30:
                raise KeyboardInterrupt
            super().update(progress)

    with monkeypatch.context() as patch:
        patch.setattr("edgesparse.tune.command.ProgressBar", Stopping)
        with pytest.raises(StoppedError, match="stopped; 31 trials are in"):
            tune_file(demo_tuning(stopped), quiet=True)
    again = tune_file(demo_tuning(stopped), quiet=True)
    assert again["trials"]["new"] == document["trials"]["known"] - 31  # 30 and the dense one
    assert (stopped / "out.toml").read_bytes() == (whole / "out.toml").read_bytes()
    policies = [
        json.dumps(json.loads(line)["policy"])
        for line in (stopped / "trials.jsonl").read_text().splitlines()[1:]
    ]
    assert len(set(policies)) == len(policies) == document["trials"]["known"]
    # Another budget asks for other trials, and uses those that it has in common.
    wider = tune_file(
        demo_tuning(stopped, max_drop=0.2, search="grid", methods=("auto",)), quiet=True
    )
    assert wider["tuned"]["right"] >= dense["right"] - 0.2 * dense["rows"]
    with pytest.raises(UsageError, match="of another search: rows 40, not 50"):
        tune_file(demo_tuning(stopped, rows=50), quiet=True)


def test_without_labels_the_dense_model_says_what_is_right(tmp_path):
    inputs = load_inputs(demo.data_path())
    np.savez(tmp_path / "data.npz", x=inputs.x[0])
    document = tune_file(
        demo_tuning(tmp_path, data=tmp_path / "data.npz", search="grid", methods=("auto",)),
        quiet=True,
    )
    assert document["right_means"] == "class of the dense model"
    assert document["dense"]["accuracy"] == document["dense"]["held_out"]["share"] == 1.0
    assert document["tuned"]["accuracy"] >= 0.95


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["tune", "--no-measure", "-n", "30", "-j", "1", "--search", "grid"]
    assert main([*options, "--json", "--max-drop", "0.1", "--optimize", "bytes"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == "digits-tuned.tflite"
    assert document["policy"] == "digits-tuned.toml"
    assert document["tuned"]["flash_bytes"] < document["dense"]["flash_bytes"]
    assert len((tmp_path / "digits-trials.jsonl").read_text().splitlines()) > 10
    assert main([*options, "--max-drop", "0.1", "--optimize", "bytes"]) == 0
    shown = capsys.readouterr().out
    assert "rows held out" in shown
    assert "0 of them new" in shown
    assert "nothing cheaper keeps" not in shown
    with Console(width=200) as console, console.capture() as capture:
        console.print(report.render_tuning(document | {"layers": [], "activations": []}))
    few = f"nothing cheaper keeps the accuracy for sure: {document['dense']['rows']} rows"
    assert few in " ".join(capture.get().split())
    assert main(["tune", str(demo.model_path())]) == 2
    assert "--data is missing" in capsys.readouterr().err
    assert main(["tune", "--max-drop", "2"]) == 2
    assert "--max-drop 2 is outside 0 ... 1" in capsys.readouterr().err
