"""Variants from memory: those that variants_of gives, whatever differs between two nodes."""

from dataclasses import replace

import numpy as np

from edgesparse.encode.cost import INSTRUCTIONS, Price
from edgesparse.encode.job import Zeros
from edgesparse.encode.known import known_variants
from edgesparse.encode.lower import LOWER
from edgesparse.encode.variants import variants_of
from edgesparse.model import parse_model
from tests.tflite_builder import Builder


def candidates_of(weights: np.ndarray, bias: int = 0):
    """Those of a convolution of 8 x 8 pixels."""
    b = Builder()
    x = b.input((1, 8, 8, 4), 0.5, -128)
    w = b.constant(weights, [0.01] * 8)
    b.output(b.conv_2d(x, w, b.bias([bias] * 8, x, w), scale=0.3))
    model = parse_model(b.finish(), name="m")
    return LOWER["CONV_2D"](model, model.nodes[0])


def test_whatever_differs_is_told_apart():
    random = np.random.default_rng(0)
    weights = random.integers(-127, 128, (8, 3, 3, 4)).astype(np.int8)
    thinned = np.where(random.random(weights.shape) < 0.8, 0, weights).astype(np.int8)
    dense, sparse, moved = candidates_of(weights), candidates_of(thinned), candidates_of(weights, 7)
    shifted = [replace(each, params=each.params | {"out_zero_point": 3}) for each in dense]
    price, zeros = Price(), Zeros()
    questions = [
        (dense, price, zeros, True),
        (sparse, price, zeros, True),
        (moved, price, zeros, True),
        (shifted, price, zeros, True),
        (dense[:1], price, zeros, True),
        (dense, Price(unit=INSTRUCTIONS), zeros, True),
        (dense, Price("cortex-m7"), zeros, True),
        (dense, price, Zeros(0.5, 0.1), True),
        (dense, price, zeros, False),
    ]
    for _ in range(2):
        for listed, at, share, skip in questions:
            known = known_variants(listed, at, share, skip=skip)
            assert known == tuple(variants_of(listed, at, share, skip=skip))
    again = known_variants(candidates_of(weights.copy()), price, zeros, skip=True)
    assert again is known_variants(dense, price, zeros, skip=True)
