"""What the host says of weights that the device is to set to zero."""

import numpy as np
import pytest

from edgesparse.deploy.boards import find_board
from edgesparse.deploy.native import SUMS_BYTES
from edgesparse.deploy.on_device import check_room, needed_ram_bytes, orders, parse_on_device
from edgesparse.deploy.open import Capacity
from edgesparse.deploy.session import Session
from edgesparse.encode import encode
from edgesparse.errors import DeviceFaultError, DoesNotFitError, UsageError
from edgesparse.image import build_image
from edgesparse.model import load_model, parse_model
from edgesparse.pipeline import Recipe, convert_model, read_model
from edgesparse.sparsify import Rule
from tests.devices import power_on
from tests.on_device import check_alike, run_both
from tests.tflite_builder import Builder

NATIVE = find_board("native")


@pytest.mark.parametrize("text", ["relative", "relative=", "topk=0.5", "=0.5", "none=1"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match="is not METHOD=VALUE"):
        parse_on_device(text)


def test_the_text_is_a_rule():
    assert parse_on_device("relative=0.6") == Rule("relative", (0.6,))
    with pytest.raises(UsageError, match=r"sparsity 1\.5 is outside"):
        parse_on_device("relative=1.5")


@pytest.mark.parametrize(
    "others", [{"method": "topk", "sparsity": 0.5}, {"encoding": "dense"}, {"depthwise": True}]
)
def test_it_stands_in_the_place_of_the_host_s_rules(others):
    with pytest.raises(UsageError, match="stands in the place of"):
        Recipe(on_device=Rule("relative", (0.5,)), **others)


def test_orders_name_ranks_or_limits():
    model = read_model(None)
    rule = Rule("relative", (0.5,))
    image, _ = convert_model(model, Recipe(on_device=rule))
    found = list(orders(model, image, rule))
    assert [(each.node, each.smallest, each.limit) for each in found] == [
        (0, 36, 0.0), (1, 576, 0.0), (3, 2304, 0.0), (4, 16384, 0.0), (5, 320, 0.0),
    ]  # fmt: skip
    (first, *_) = orders(model, image, Rule("threshold", (0.5,)))
    assert (first.smallest, first.limit, first.limit_bits) == (0, 0.5, 0x3FE0_0000_0000_0000)


def test_a_board_without_room_is_named():
    image, _ = convert_model(read_model(None), Recipe(on_device=Rule("relative", (0.5,))))
    needed = needed_ram_bytes(image)
    assert needed == image.arena_bytes + len(image.device_bytes())
    check_room(image, NATIVE, Capacity(None, 0, needed, 0))
    with pytest.raises(DoesNotFitError) as refused:
        check_room(image, NATIVE, Capacity(None, 0, needed - 1, 0))
    assert (refused.value.needed_bytes, refused.value.available_bytes) == (needed, needed - 1)
    with power_on(NATIVE, image.device_bytes(), arena_bytes=needed - 16 - SUMS_BYTES) as target:
        session = Session(target)
        session.hello()
        with pytest.raises(DeviceFaultError, match="no_memory"):
            session.sparsify(0, smallest=1, limit=0)


def test_scales_too_far_apart_are_refused():
    b = Builder()
    x = b.input((1, 2, 2, 2), 0.5, 3)
    w = b.constant(np.ones((2, 1, 1, 2), np.int8), [1.0, 2.0**-33], axis=0)
    b.output(b.conv_2d(x, w, b.bias([1, 2], x, w), scale=0.5))
    encoded = encode(parse_model(b.finish(), name="apart"), encoding="bitmap", keep_dead=True)
    image = build_image(encoded, changeable=True)
    with power_on(NATIVE, image.device_bytes()) as target:
        session = Session(target)
        session.hello()
        with pytest.raises(DeviceFaultError, match="bad_params"):
            session.sparsify(0, smallest=1, limit=0)


@pytest.mark.parametrize("name", ["resnet8_cifar10", "ds_cnn_kws", "lenet_300_100", "str_ww"])
@pytest.mark.parametrize("text", ["relative=0.3", "relative=0.8", "flat=0.1", "threshold=0.05"])
def test_real_models(shared_models, name, text):
    model = load_model(shared_models / name / f"{name}.tflite")
    shape = model.tensors[model.inputs[0]].shape
    rows = np.random.default_rng(1).integers(-128, 128, (2, int(np.prod(shape)))).astype(np.int8)
    check_alike(run_both(model, parse_on_device(text), [rows], NATIVE))
