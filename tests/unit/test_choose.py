"""Which variant runs a node: the rules of each objective, budgets of RAM and flash, the errors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgesparse.deploy.boards import find_board
from edgesparse.deploy.run import destination_of
from edgesparse.encode import Encoded, Goal, encode
from edgesparse.encode.choose import choose
from edgesparse.encode.encoded import EncodedNode, Variant
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.errors import DoesNotFitError, UsageError
from edgesparse.memory import plan_memory, tensors_live
from edgesparse.model import Model, load_model, parse_model
from edgesparse.pipeline import Destination, Recipe, make_image, prepare_image
from tests.tflite_builder import Builder

DENSE, SPARSE = "conv_2d_dense_s8", "conv_2d_delta8_s8"


def variant(
    kernel: str = DENSE, cost: int | None = 1000, flash: int = 100, scratch: int = 0
) -> Variant:
    """A way to run a node; it stands for any kernel's."""
    return Variant(Candidate(kernel, {"band": scratch}), cost, flash, scratch)


def chain(count: int = 1, side: int = 16) -> Model:
    """Nodes one behind another; each tensor has side * side bytes."""
    b = Builder()
    x = b.input((1, side, side, 1), 0.1, -128)
    for _ in range(count):
        w = b.constant(np.ones((1, 1, 1, 1), np.int8), [0.01])
        x = b.conv_2d(x, w, b.bias(np.zeros(1), x, w), scale=0.1, zero_point=-128)
    b.output(x)
    return parse_model(b.finish(), name="chain")


def chosen(goal: Goal, *options: list[Variant], limit: int | None = None) -> list[Variant]:
    """What is chosen where each node of a chain has these variants."""
    encoded = encode(chain(len(options)))
    nodes = tuple(
        replace(node, variants=tuple(variants))
        for node, variants in zip(encoded.nodes, options, strict=True)
    )
    made = choose(replace(encoded, nodes=nodes, goal=goal), weights_limit_bytes=limit)
    return [replace(node.chosen, reason="") for node in made.nodes]


# --- Objectives --------------------------------------------------------------------------------


def test_the_cheapest_is_chosen() -> None:
    slow, fast = variant(cost=900, flash=90), variant(SPARSE, cost=800, flash=95, scratch=64)
    assert chosen(Goal(), [slow, fast]) == [fast]
    assert chosen(Goal("instructions"), [slow, fast]) == [fast]


def test_the_smallest_is_chosen_for_size_and_among_equals_the_cheapest() -> None:
    options = [variant(cost=1, flash=99), variant(cost=9, flash=90), variant(cost=8, flash=90)]
    assert chosen(Goal("size"), options) == [options[2]]


def test_scratch_that_hardly_gains_is_not_taken() -> None:
    small, large = variant(cost=1001, scratch=64), variant(cost=1000, scratch=4096)
    assert chosen(Goal(), [small, large]) == [small]
    assert chosen(Goal(), [replace(small, cost=1020), large]) == [large]


def test_weights_over_dense_need_a_limit_to_stay_below() -> None:
    """Two bytes a weight only where --max-flash was given; an eighth more at any time."""
    dense, tables = variant(cost=900, flash=800), variant(SPARSE, cost=850, flash=900)
    pairs = variant(SPARSE, cost=500, flash=1600)
    assert chosen(Goal(), [dense, tables, pairs]) == [tables]
    assert chosen(Goal("balanced"), [dense, tables, pairs]) == [dense]
    assert chosen(Goal(max_flash=10**6), [dense, tables, pairs]) == [pairs]


def test_balanced_keeps_the_arena_near_the_tensors() -> None:
    """Two tensors of 256 bytes: 51 bytes of scratch at most, 48 as the plan reckons."""
    small, large = variant(cost=900, scratch=48), variant(cost=100, scratch=64)
    assert chosen(Goal("balanced"), [small, large]) == [small]
    assert chosen(Goal("cycles"), [small, large]) == [large]


def test_balanced_takes_the_least_where_even_that_is_more() -> None:
    options = [variant(cost=900, scratch=480), variant(cost=100, scratch=640)]
    assert chosen(Goal("balanced"), options) == [options[0]]


def test_a_cost_that_is_not_known_comes_last() -> None:
    unknown, known = variant(cost=None), variant(SPARSE, cost=10**9)
    assert chosen(Goal(), [unknown, known]) == [known]
    assert chosen(Goal(), [unknown]) == [unknown]


# --- RAM ---------------------------------------------------------------------------------------


def test_each_node_has_a_scratch_budget_of_its_own() -> None:
    """The arena is 512 bytes of tensors and the largest scratch, not their sum."""
    options = [variant(cost=100 - i, scratch=64 * i) for i in range(1, 5)]
    (first, second) = chosen(Goal(max_ram=512 + 192), options, options)
    assert first == second == options[2]


def test_only_nodes_that_do_not_fit_go_down() -> None:
    large = [variant(cost=100, scratch=256), variant(cost=200, scratch=64)]
    small = [variant(cost=50, scratch=128), variant(cost=60, scratch=0)]
    assert chosen(Goal(max_ram=512 + 128), large, small) == [large[1], small[0]]


def test_the_error_says_the_least_and_the_layer() -> None:
    options = [variant(cost=100, scratch=256), variant(cost=200, scratch=64)]
    with pytest.raises(DoesNotFitError) as raised:
        chosen(Goal(max_ram=512 + 48), [variant()], options)
    assert raised.value.needed_bytes == 512 + 64
    assert "layer 1 'tensor_" in str(raised.value)
    assert "512 bytes of tensors and 64 of scratch" in str(raised.value)
    assert raised.value.hint == "the least possible is --max-ram 576"


def test_what_a_board_has_is_a_wish() -> None:
    """Where it cannot be met the image is as small as can be, and the board's check says so."""
    options = [variant(cost=100, scratch=256), variant(cost=200, scratch=64)]
    assert chosen(Goal(spare_ram=512 + 100), options) == [options[1]]
    assert chosen(Goal(spare_ram=10), options) == [options[1]]
    with pytest.raises(DoesNotFitError):
        chosen(Goal(max_ram=10), options)


# --- Flash -------------------------------------------------------------------------------------


def test_flash_is_saved_where_a_byte_costs_least() -> None:
    dear = [variant(cost=100, flash=100), variant(SPARSE, cost=300, flash=50)]
    cheap = [variant(cost=100, flash=100), variant(SPARSE, cost=140, flash=60)]
    goal = Goal(max_flash=1)
    assert chosen(goal, dear, cheap, limit=160) == [dear[0], cheap[1]]
    assert chosen(goal, dear, cheap, limit=150) == [dear[1], cheap[1]]
    with pytest.raises(DoesNotFitError) as raised:
        chosen(goal, dear, cheap, limit=109)
    assert raised.value.needed_bytes == 110


def test_saving_flash_keeps_to_the_ram() -> None:
    """The small form needs scratch that is not there."""
    options = [variant(cost=100, flash=100), variant(SPARSE, cost=110, flash=50, scratch=999)]
    with pytest.raises(DoesNotFitError, match="max-flash"):
        chosen(Goal(max_ram=600, max_flash=1), options, limit=60)


def test_limits_of_a_whole_image() -> None:
    """The demo at 60 % zeros: every limit that it says is possible, is."""
    model = prepare_model()
    free = make_image(model, Recipe("topk", 0.6))
    size = len(make_image(model, Recipe("topk", 0.6, optimize="size")).image.device_bytes())
    assert size < len(free.image.device_bytes())
    for limit in (size, (size + len(free.image.device_bytes())) // 2):
        made = make_image(model, Recipe("topk", 0.6, max_flash=limit))
        assert len(made.image.device_bytes()) <= limit
        assert total(made.encoded) >= total(free.encoded)
    with pytest.raises(DoesNotFitError, match=r"--max-flash \(layer \d+ '.*' alone") as raised:
        make_image(model, Recipe("topk", 0.6, max_flash=size - 1))
    assert raised.value.hint == f"the least possible is --max-flash {size}"
    with pytest.raises(DoesNotFitError) as raised:
        make_image(model, Recipe("topk", 0.6, max_ram=100))
    least = raised.value.needed_bytes
    assert make_image(model, Recipe("topk", 0.6, max_ram=least)).image.arena_bytes == least
    with pytest.raises(DoesNotFitError):
        make_image(model, Recipe("topk", 0.6, max_ram=least - 1))


def prepare_model() -> Model:
    from edgesparse.pipeline import read_model

    return read_model(None)


def total(encoded: Encoded) -> int:
    return sum(node.chosen.cost or 0 for node in encoded.nodes)


def test_a_small_partition_gets_a_small_image_without_an_error() -> None:
    model = prepare_model()
    free = make_image(model, Recipe("topk", 0.6)).image
    smallest = make_image(model, Recipe("topk", 0.6, optimize="size")).image
    tight = make_image(model, Recipe("topk", 0.6), Destination(flash_bytes=10)).image
    assert len(tight.device_bytes()) == len(smallest.device_bytes()) < len(free.device_bytes())


# --- Reasons -----------------------------------------------------------------------------------


def test_every_variant_has_its_reason() -> None:
    options = {
        "chosen": variant(cost=1000, flash=90, scratch=64),
        "costs more": variant(cost=3000, flash=90),
        "more flash than dense": variant(cost=500, flash=500),
        "scratch does not fit": variant(cost=400, flash=90, scratch=512),
        "cost not known": variant(cost=None, flash=90),
        "scratch gains under 0.2 %": variant(cost=999, flash=90, scratch=80),
    }
    encoded = encode(chain())
    node: EncodedNode = replace(encoded.nodes[0], variants=tuple(options.values()))
    made = choose(replace(encoded, nodes=(node,), goal=Goal(max_ram=512 + 128)))
    assert [each.reason for each in made.nodes[0].variants] == list(options)


# --- Recipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"optimize": "speed"},
        {"cpu": "cortex-m0"},
        {"skip_activations": "on"},
        {"max_ram": 0},
        {"max_flash": -1},
        {"profile_rows": (0, 1)},
    ],
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Recipe(**options)  # type: ignore[arg-type]


def test_an_image_takes_none_of_them(tmp_path: Path) -> None:
    path = tmp_path / "m.esm"
    path.write_bytes(make_image(prepare_model(), Recipe()).image.data)
    assert prepare_image(path, Recipe(), Destination("cortex-m3", 1, 1)).meta.name == "digits"
    for recipe in (Recipe(optimize="size"), Recipe(max_ram=10**6), Recipe(cpu="cortex-m7")):
        with pytest.raises(UsageError, match="--optimize.*need the .tflite"):
            prepare_image(path, recipe)


@pytest.mark.parametrize(
    ("name", "cpu"),
    [
        ("qemu:cortex-m3", "cortex-m3"),
        ("qemu-netduinoplus2", "cortex-m4"),
        ("qemu:cortex-m55", "cortex-m55"),
        ("native", "cortex-m4"),
    ],
)
def test_costs_are_those_of_the_board(name: str, cpu: str) -> None:
    place = destination_of(find_board(name))
    image = make_image(prepare_model(), Recipe(), place).image
    assert image.meta.goal is not None
    assert (image.meta.goal.cpu, image.meta.goal.unit) == (cpu, "cycles")
    other = make_image(prepare_model(), Recipe(cpu="cortex-m7"), place).image
    assert other.meta.goal is not None
    assert other.meta.goal.cpu == "cortex-m7"


def test_only_kernels_that_the_firmware_has() -> None:
    place = Destination(kernels=frozenset({"conv_2d_dense_s8", "fully_connected_dense_s8"}))
    image = make_image(prepare_model(), Recipe("topk", 0.9), place).image
    kernels = {layer.kernel for layer in image.meta.layers if layer.weights}
    assert kernels == {"conv_2d_dense_s8", "fully_connected_dense_s8"}


# --- Public models -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "peer_bytes"),
    [("resnet8_cifar10", 54996), ("ds_cnn_kws", 22820), ("person_detect", 82308)],
)
def test_balanced_stays_below_the_peer(shared_models: Path, name: str, peer_bytes: int) -> None:
    """The arena of TensorFlow Lite Micro with CMSIS-NN, see host/bench/baseline.json."""
    model = load_model(shared_models / name / f"{name}.tflite")
    for recipe in (Recipe(optimize="balanced"), Recipe("topk", 0.8, optimize="balanced")):
        made = make_image(model, recipe)
        assert made.image.arena_bytes <= peer_bytes


@pytest.mark.parametrize("name", ["resnet8_cifar10", "ds_cnn_kws", "person_detect"])
def test_tensors_lie_as_close_as_they_can(shared_models: Path, name: str) -> None:
    encoded = encode(load_model(shared_models / name / f"{name}.tflite"))
    planned = plan_memory(encoded, [0] * len(encoded.nodes)).arena_bytes
    assert planned == max(tensors_live(encoded))
