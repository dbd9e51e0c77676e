"""Predicted costs: weighted amounts, the threshold for skipping zeros, what a profile changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgesparse import native
from edgesparse.encode import Goal, encode
from edgesparse.encode import cost as cost_module
from edgesparse.encode.cost import CYCLES, INSTRUCTIONS, MEASURED, Price, cost_file
from edgesparse.encode.job import Amounts, Job, Zeros, job_of
from edgesparse.encode.lower.candidate import NEVER, Candidate
from edgesparse.encode.predict import predicted
from edgesparse.encode.variants import variants_of
from edgesparse.encode.work import WORK, KernelWork
from edgesparse.errors import UsageError
from edgesparse.model import parse_model
from tests.tflite_builder import Builder

KERNEL = "conv_2d_dense_s8"


def candidate(columns: int = 100, rows: int = 4, **params: int) -> Candidate:
    weights = np.arange(rows * columns).reshape(rows, columns) % 3
    one_pixel = ("batches", "in_h", "in_w", "out_h", "out_w", "kernel_h", "kernel_w", "band")
    fields = dict.fromkeys((*one_pixel, "stride_h", "stride_w", "dilation_h", "dilation_w"), 1)
    fields |= {"pad_top": 0, "pad_left": 0, "list_zeros": NEVER}
    fields |= {"in_c": columns, "out_c": rows} | params
    return Candidate(KERNEL, fields, b"w" * 4, b"", matrix=weights.astype(np.int8))


@pytest.fixture
def _skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that costs 1000, or 100 and 18 for each activation that is not zero."""

    def listed(job: Job) -> Amounts:
        return {"one": 1, "listed": job.columns * (1 - job.zeros.mean)}

    monkeypatch.setitem(WORK, KERNEL, KernelWork(lambda _: {"one": 1}, skipping=listed))
    weights = {KERNEL: {"one": 1000.0}, KERNEL + "+skip": {"one": 100.0, "listed": 18.0}}
    file = cost_module._File(weights={"cortex-m4": {"cycles": weights}})
    monkeypatch.setattr(cost_module, "_file", lambda: file)


def test_every_kernel_has_amounts_and_weights() -> None:
    assert set(WORK) == set(native.table("kernel"))
    cost_file().read_bytes()
    for cpu in MEASURED:
        for unit in ("instructions", "cycles"):
            price = Price(cpu, unit)
            for kernel, work in WORK.items():
                assert price._of(kernel), (cpu, unit, kernel)
                assert work.skipping is None or price._of(kernel + "+skip")


@pytest.mark.parametrize(("zero_point", "added"), [(-128, True), (3, False)])
def test_a_threshold_costs_its_pass(zero_point: int, added: bool) -> None:
    """Where zeros are counted with the saturated values, all of the pass is added."""
    b = Builder()
    x = b.input((1, 1000), 0.05, zero_point)
    b.output(b.quantize(x, 0.05, zero_point))
    plain = parse_model(b.finish(), name="table")
    model = replace(plain, thresholds={plain.outputs[0]: 9})
    weights = Price("cortex-m4", "instructions")._of("threshold_s8")
    assert weights is not None
    wanted = weights["one"] + 1000 * (weights["outputs"] + added * weights["added"])
    for unit in (INSTRUCTIONS, CYCLES):
        goal = Goal(optimize=unit)
        (before,), (after,) = (encode(each, goal=goal).nodes for each in (plain, model))
        assert before.chosen.cost is not None
        assert after.chosen.cost is not None
        extra = after.chosen.cost - before.chosen.cost
        assert extra == Price(goal.cpu, unit).thresholds(model, model.outputs) > 1500
        if unit == INSTRUCTIONS:
            assert extra == round(wanted)
        assert predicted(encode(model, goal=goal), {}, unit) == after.chosen.cost


def test_a_job_knows_its_weights() -> None:
    job = job_of(candidate(), Zeros(0.25))
    assert (job.rows, job.columns, job.zeros.mean) == (4, 100, 0.25)
    assert int(job.entries.sum()) == np.count_nonzero(np.arange(400) % 3)
    amounts = WORK[KERNEL].amounts(job)
    assert amounts["single_groups"] == 100


@pytest.mark.usefixtures("_skipping")
def test_zeros_are_skipped_from_where_that_pays() -> None:
    """100 + 18 * (100 - zeros) < 1000 from 51 zeros on."""
    assert Price().threshold(KERNEL, job_of(candidate())) == 51
    assert Price().threshold(KERNEL, job_of(candidate(columns=40))) == 0


@pytest.mark.usefixtures("_skipping")
def test_the_profile_says_what_skipping_is_worth() -> None:
    skips = candidate(list_zeros=51)
    price = Price()
    assert price.cost(KERNEL, job_of(skips, Zeros(0.50))) == 1000
    assert price.cost(KERNEL, job_of(skips, Zeros(0.60))) == 820
    # Half of the runs have more zeros than the threshold.
    assert price.cost(KERNEL, job_of(skips, Zeros(0.51, spread=0.1))) == round((1000 + 982) / 2)
    assert price.cost(KERNEL, job_of(candidate(), Zeros(0.9))) == 1000


@pytest.mark.usefixtures("_skipping")
def test_both_ways_are_variants_unless_skipping_is_off() -> None:
    found = variants_of([candidate()], Price(), Zeros(0.8), skip=True)
    limits = {each.candidate.params["list_zeros"]: each.cost for each in found}
    assert limits == {NEVER: 1000, 51: 460}
    (only,) = variants_of([candidate()], Price(), Zeros(0.8), skip=False)
    assert only.candidate.params["list_zeros"] == NEVER


def test_a_kernel_that_always_skips_goes_with_skipping(monkeypatch: pytest.MonkeyPatch) -> None:
    other = replace(candidate(), kernel="conv_2d_delta8_s8")
    always = KernelWork(lambda job: {"one": 1 - job.zeros.mean}, always_skips=True)
    monkeypatch.setitem(WORK, other.kernel, always)
    both = [candidate(), other]
    assert len(variants_of(both, Price(), Zeros(), skip=True)) == 2
    assert [v.kernel for v in variants_of(both, Price(), Zeros(), skip=False)] == [KERNEL]


def test_a_kernel_that_always_skips_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where its input has no zeros it may take 2 % more instructions than encoding dense."""
    other = replace(candidate(), kernel="conv_2d_delta8_s8")
    always = KernelWork(lambda job: {"one": 1 - job.zeros.mean}, always_skips=True)
    monkeypatch.setitem(WORK, other.kernel, always)
    monkeypatch.setitem(WORK, KERNEL, KernelWork(lambda _: {"one": 1}))
    for cost, bounded in ((1019.0, True), (1021.0, False)):
        weights = {KERNEL: {"one": 1000.0}, other.kernel: {"one": cost}}
        units = {"instructions": weights, "cycles": {key: {"one": 1.0} for key in weights}}
        file = cost_module._File(weights={"cortex-m4": units})
        monkeypatch.setattr(cost_module, "_file", lambda file=file: file)
        found = variants_of([candidate(), other], Price(), Zeros(0.8), skip=True)
        assert [each.never_dearer for each in found] == [True, bounded]


def test_bands_are_variants_of_kernels_that_heed_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as no kernel does, there is one variant; a kernel whose scratch grows has several."""
    conv = {"batches": 1, "out_h": 10, "out_w": 9, "band": 32, "list_zeros": NEVER}
    conv |= {"in_h": 10, "in_w": 9, "in_c": 1, "kernel_h": 1, "kernel_w": 1, "out_c": 1}
    conv |= {"stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
    conv |= {"pad_top": 0, "pad_left": 0}
    one = Candidate("conv_2d_dense_s8", conv, b"wwww", matrix=np.ones((1, 1), np.int8))

    def sizes(each: Candidate) -> int:
        band = each.params["band"]
        assert isinstance(band, int)
        return 100 + 10 * band

    monkeypatch.setattr("edgesparse.encode.variants.scratch_bytes", sizes)
    found = variants_of([one], Price(), Zeros(), skip=False)
    assert [each.candidate.params["band"] for each in found] == [4, 8, 16, 32, 64, 90]
    assert [each.scratch_bytes for each in found] == [140, 180, 260, 420, 740, 1000]
    monkeypatch.setattr("edgesparse.encode.variants.scratch_bytes", lambda _: 100)
    assert len(variants_of([one], Price(), Zeros(), skip=False)) == 1


def test_an_unknown_core_is_refused_and_a_similar_one_is_not() -> None:
    with pytest.raises(UsageError, match="cortex-m0"):
        Price("cortex-m0")
    job = job_of(candidate())
    assert Price("cortex-m33").cost(KERNEL, job) == Price("cortex-m4").cost(KERNEL, job)
    assert Price("cortex-m3").cost(KERNEL, job) != Price("cortex-m4").cost(KERNEL, job)


def test_weights_that_are_missing_are_no_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_module, "_file", lambda: cost_module._File(weights={}))
    assert Price().cost(KERNEL, job_of(candidate())) is None
