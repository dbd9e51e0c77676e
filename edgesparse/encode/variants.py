"""Candidate -> variants: how many positions at a time, and whether zero activations are skipped."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from edgesparse import native
from edgesparse.encode.cost import INSTRUCTIONS, Price
from edgesparse.encode.encoded import Variant
from edgesparse.encode.job import Job, Zeros, job_of, parts
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.work import WORK

__all__ = ["scratch_bytes", "variants_of"]

_DEARER = 1.02
_BANDS = (4, 8, 16, 32, 64, 128, 256)


def scratch_bytes(candidate: Candidate) -> int:
    """Scratch that the candidate's kernel needs."""
    row = native.table("kernel")[candidate.kernel]
    layout = native.layout(native.table("op")[row.columns[0]].columns[1])
    values = dict(candidate.params)
    if candidate.weights:
        values["weights_bytes"] = len(candidate.weights)
    return native.scratch_bytes(row.id, layout.pack(**values))


def _flash_bytes(candidate: Candidate) -> int:
    pieces = (candidate.weights, candidate.channels, *candidate.constants.values())
    return sum(len(piece) + -len(piece) % 4 for piece in pieces)


def _with(candidate: Candidate, **params: int) -> Candidate:
    return dataclasses.replace(candidate, params={**candidate.params, **params})


def _in_bands(candidate: Candidate, job: Job) -> list[Candidate]:
    """One a size of band, or the candidate alone where its kernel heeds none."""
    if "band" not in candidate.params:
        return [candidate]
    step = 1
    if "classes" in job.params:  # two halves of whole rows have the same classes side by side
        step = 2 * job.params["out_w"]
    bands = sorted({min(step * parts(band, step), job.positions) for band in _BANDS})
    found = [_with(candidate, band=band) for band in bands]
    if scratch_bytes(found[0]) == scratch_bytes(found[-1]):
        return [candidate]
    return found


def _thresholds(kernel: str, job: Job, price: Price, *, skip: bool) -> Iterator[int]:
    yield NEVER
    if skip and WORK[kernel].skipping is not None:
        limit = price.threshold(kernel, job)
        if limit != NEVER:
            yield limit


def _never_dearer(candidate: Candidate, listed: list[Candidate], price: Price) -> bool:
    """Whether skipping zeros that are not there keeps to _DEARER of the kernel of encoding dense.

    In instructions, whatever the unit; a kernel that skips by choice keeps to it by its threshold.
    """
    price = dataclasses.replace(price, unit=INSTRUCTIONS)
    kernels = native.table("kernel")
    dense = [c for c in listed if kernels[c.kernel].columns[1] == "dense"]
    if not WORK[candidate.kernel].always_skips or not dense:
        return True
    cost, most = (price.usual(c.kernel, job_of(c)) for c in (candidate, dense[0]))
    return cost is None or most is None or cost <= _DEARER * most


def variants_of(
    candidates: Iterable[Candidate], price: Price, zeros: Zeros, *, skip: bool
) -> list[Variant]:
    """All ways to run a node whose input has these zeros, with what each takes."""
    listed = list(candidates)
    if not skip:
        listed = [c for c in listed if not WORK[c.kernel].always_skips] or listed
    found = []
    for candidate in listed:
        job = job_of(candidate, zeros)
        flash = _flash_bytes(candidate)
        safe = _never_dearer(candidate, listed, price)
        for banded in _in_bands(candidate, job):
            in_band = dataclasses.replace(job, params=banded.params)
            for limit in _thresholds(candidate.kernel, in_band, price, skip=skip):
                whole = _with(banded, list_zeros=limit) if "list_zeros" in job.params else banded
                same = dataclasses.replace(job, params=whole.params)
                cost = price.cost(candidate.kernel, same)
                found.append(Variant(whole, cost, flash, scratch_bytes(whole), safe))
    return found
