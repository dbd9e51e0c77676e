"""The variants of nodes that were looked at before.

A search encodes a model again and again, and most of its layers are the same each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from edgesparse.encode.cost import Price
from edgesparse.encode.encoded import Variant
from edgesparse.encode.job import Zeros
from edgesparse.encode.lower.candidate import Candidate
from edgesparse.encode.variants import variants_of

__all__ = ["known_variants"]


@dataclass(frozen=True, slots=True)
class _Question:
    """What variants_of is asked; `key` is all that `candidates` consist of, which have no hash."""

    key: tuple[object, ...]
    price: Price
    zeros: Zeros
    skip: bool
    candidates: Sequence[Candidate] = field(compare=False)


def _key(candidate: Candidate) -> tuple[object, ...]:
    matrix = candidate.matrix
    return (
        candidate.kernel,
        candidate.weights,
        candidate.channels,
        candidate.inputs,
        candidate.outputs,
        None if matrix is None else matrix.shape,  # its values are in the weights
        *(tuple(each.items()) for each in (candidate.params, candidate.constants, candidate.sizes)),
    )


@lru_cache(maxsize=256)  # nodes; each keeps its weights in all encodings
def _variants(question: _Question) -> tuple[Variant, ...]:
    price, zeros = question.price, question.zeros
    return tuple(variants_of(question.candidates, price, zeros, skip=question.skip))


def known_variants(
    candidates: Sequence[Candidate], price: Price, zeros: Zeros, *, skip: bool
) -> tuple[Variant, ...]:
    """What variants_of gives, from memory where it was asked the same before."""
    key = tuple(_key(candidate) for candidate in candidates)
    return _variants(_Question(key, price, zeros, skip, candidates))
