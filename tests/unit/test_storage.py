"""What groups of zeros cost to store, by hand-computed counts."""

import numpy as np
import pytest

from edgesparse.model import parse_model
from edgesparse.sparsify.storage import fillers_of, storage, words_of
from tests.tflite_builder import Builder


def stored_at(total, *places):
    stored = np.zeros(total, bool)
    stored[list(places)] = True
    return stored


@pytest.mark.parametrize(
    ("stored", "bits", "fillers"),
    [
        (stored_at(4, 0, 1, 2, 3), 4, 0),
        (stored_at(40), 4, 0),  # zeros at the end take nothing
        (stored_at(40, 15), 4, 0),  # 15 skipped
        (stored_at(40, 16), 4, 1),  # a filler at 15, none skipped behind it
        (stored_at(40, 31), 4, 1),
        (stored_at(40, 32), 4, 2),
        (stored_at(40, 0, 17), 4, 1),
        (stored_at(600, 255), 8, 0),
        (stored_at(600, 256, 513), 8, 2),
    ],
)
def test_fillers(stored, bits, fillers):
    assert fillers_of(stored, bits) == fillers


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ((1, 1, 1), 1),
        ((1, 1, 4), 1),
        ((1, 1, 5), 2),
        ((1, 3, 1), 3),  # three inputs 6 bytes apart
        ((3, 3, 1), 9),
        ((1, 3, 6), 5),  # 18 neighbours
        ((3, 2, 6), 9),  # three runs of 12
        ((3, 3, 6), 14),  # 54 neighbours
    ],
)
def test_words_of_inputs(group, words):
    assert words_of(group, (3, 3, 6)) == words


def test_a_convolution():
    """2 filters of [1, 2, 6] at 3 positions; not zero: (0, 0, 0), (0, 0, 5), (1, 1, 1)."""
    codes = np.zeros((2, 1, 2, 6), np.int8)
    codes[0, 0, 0, 0] = codes[0, 0, 0, 5] = codes[1, 0, 1, 1] = 7
    b = Builder()
    x = b.input((1, 1, 4, 6), 0.5)
    w = b.constant(codes, 1.0)
    b.output(b.conv_2d(x, w, b.bias([0, 0], x, w), scale=1.0, padding="VALID"))
    rows = storage(parse_model(b.finish(), name="m"))
    found = {
        (row.granularity, row.encoding): (
            *(row.groups, row.stored_groups, row.fillers, row.index_bits),
            *(row.bytes, row.references),
        )
        for row in rows
    }
    assert found == {
        ("", "dense"): (0, 0, 0, 0, 24, 3 * 2 * 3),
        # 24 bits and 3 weights; positions 0, 5 and 19: 13 zeros in a row at most.
        ("element", "bitmap"): (24, 3, 0, 24, 6, 3 * 3),
        ("element", "run4"): (24, 3, 0, 12, 5, 3 * 3),
        ("element", "run8"): (24, 3, 0, 24, 6, 3 * 3),
        # Rows of two weights: six a filter.
        ("vector", "bitmap"): (12, 3, 0, 12, 8, 3 * 3 * 2),
        ("vector", "run4"): (12, 3, 0, 12, 8, 3 * 3 * 2),
        ("vector", "run8"): (12, 3, 0, 24, 9, 3 * 3 * 2),
        # Four and two channels a place: groups of 4, 2 and 4 weights.
        ("1x4", "bitmap"): (8, 3, 0, 8, 11, 3 * 3),
        ("1x4", "run4"): (8, 3, 0, 12, 12, 3 * 3),
        ("1x4", "run8"): (8, 3, 0, 24, 13, 3 * 3),
        ("kernel", "bitmap"): (12, 3, 0, 12, 8, 3 * 3 * 2),
        ("kernel", "run4"): (12, 3, 0, 12, 8, 3 * 3 * 2),
        ("kernel", "run8"): (12, 3, 0, 24, 9, 3 * 3 * 2),
        ("filter", "bitmap"): (2, 2, 0, 2, 25, 3 * 2 * 3),
        ("filter", "run4"): (2, 2, 0, 8, 25, 3 * 2 * 3),
        ("filter", "run8"): (2, 2, 0, 16, 26, 3 * 2 * 3),
    }


def test_fillers_are_stored_and_read():
    codes = np.zeros((1, 40), np.int8)
    codes[0, 33] = 1
    b = Builder()
    x = b.input((2, 40), 0.5)
    b.output(b.fully_connected(x, b.constant(codes, 1.0), scale=1.0))
    rows = {(r.granularity, r.encoding): r for r in storage(parse_model(b.finish(), name="m"))}
    row = rows["element", "run4"]
    # 33 zeros take 2 fillers: 3 entries of 4 + 8 bits, each for both rows of the input.
    assert (row.stored_groups, row.fillers, row.index_bits) == (1, 2, 12)
    assert (row.bytes, row.references) == (5, 6)
