"""Biases by class of position on emulated boards, in every encoding."""

from __future__ import annotations

import pytest

from tests.kernels.test_classes import ENCODINGS, borders, check, classes_always_pay

__all__ = ["classes_always_pay"]

SEEDS = range(6)


@pytest.mark.parametrize("core", ["qemu-mps2-an385", "qemu-mps2-an386", "qemu-mps2-an500"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_boards_equal_the_reference(core: str, encoding: str) -> None:
    examples = [example for seed in SEEDS if (example := borders(seed)) is not None]
    found = [check(example, encoding, 24, core) for example in examples]
    assert sum(found) >= 2
