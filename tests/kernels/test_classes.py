"""Biases by class of position: folded constants beside padding equal the reference everywhere."""

from __future__ import annotations

import importlib
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgesparse import oracle
from edgesparse.deploy.boards import find_board
from edgesparse.deploy.session import FLAG_DUMP
from edgesparse.encode import Encoded, encode
from edgesparse.image import build_image
from edgesparse.validate import compare_run
from tests.devices import run_rows
from tests.drawing import Example, finished
from tests.tflite_builder import Builder
from tests.with_params import with_params

EXAMPLES = int(os.environ.get("EDGESPARSE_EXAMPLES", "60"))
ENCODINGS = ["dense", "delta8", "bitmap", "run4", "group4", "dense_sums"]
drop = importlib.import_module("edgesparse.encode.narrow.drop")


@pytest.fixture(autouse=True)
def classes_always_pay(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few channels go."""
    monkeypatch.setattr(drop, "pays", lambda *_: True)


def filters(rng: np.random.Generator, shape: tuple[int, ...], zeros: float) -> NDArray[np.int8]:
    values = rng.integers(-100, 101, shape)
    values[rng.random(shape) < zeros] = 0
    return values.astype(np.int8)


def borders(seed: int) -> Example | None:
    """A convolution with dead filters; perhaps a depthwise one; the one whose inputs go."""
    rng = np.random.default_rng(seed)
    b = Builder()
    height, width = rng.integers(2, 15, 2).tolist()
    x = b.input((1, height, width, 4), 0.05, int(rng.choice([-128, 0, 77])))
    channels = int(rng.choice([4, 8, 12]))
    first = filters(rng, (channels, 1, 1, 4), 0.2)
    first[rng.random(channels) < rng.choice([0.5, 0.8])] = 0
    w = b.constant(first, 0.02)
    bias = b.bias(rng.integers(-3000, 3000, channels), x, w)
    y = b.conv_2d(x, w, bias, scale=0.05, zero_point=int(rng.choice([-128, 3])))
    kind = rng.choice(["depthwise", "depthwise x2", "padded", "both"])
    if kind != "padded":
        channels *= 2 if kind == "depthwise x2" else 1
        d = b.constant(filters(rng, (1, 3, 3, channels), 0.1), 0.02, axis=3)
        bias = b.bias(rng.integers(-900, 900, channels), y, d)
        stride = [(1, 1), (2, 2), (1, 2)][rng.integers(3)]
        options = {"scale": 0.15, "zero_point": -128, "activation": rng.choice(["NONE", "RELU"])}
        y = b.depthwise_conv_2d(y, d, bias, stride=stride, padding="SAME", **options)
    side = int(rng.choice([2, 3])) if kind in ("padded", "both") else 1
    rows = int(rng.choice([1, 3, 8, 17]))
    values = filters(rng, (rows, side, side, channels), rng.choice([0, 0.7]))
    v = b.constant(values, 0.01)
    options = {"scale": rng.choice([0.2, 0.003]), "activation": rng.choice(["NONE", "RELU"])}
    bias = b.bias(rng.integers(-900, 900, rows), y, v)
    b.output(b.conv_2d(y, v, bias, padding="SAME", zero_point=-5, **options))
    return finished(b, rng)


def has_classes(encoded: Encoded) -> bool:
    return any("classes" in node.choice.params for node in encoded.nodes)


def check(example: Example, encoding: str, band: int, board: str) -> bool:
    """Compare every tensor and zero count; whether there were classes."""
    encoded = with_params(encode(example.model, encoding=encoding), "conv_2d", band=band)
    if encoding == "dense_sums":
        encoded = with_params(encoded, "conv_2d", list_zeros=0)
    image = build_image(encoded)
    runs = run_rows(find_board(board), image, example.rows, flags=FLAG_DUMP)
    for row, run in enumerate(runs):
        reference = oracle.run_layers(example.model, [values[row] for values in example.rows])
        assert compare_run(image, example.model, reference, run, row) is None
    return has_classes(encoded)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_equals_the_reference(encoding: str) -> None:
    found = 0

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**32 - 1), st.sampled_from([4, 8, 24, 64, 1000]))
    def compare(seed: int, band: int) -> None:
        nonlocal found
        example = borders(seed)
        assume(example is not None)
        assert example is not None
        found += check(example, encoding, band, "native")

    compare()
    assert found >= EXAMPLES // 6
