"""Predicted cost of a node on a core: amounts of work times fitted weights.

The amounts are those of encode.work.  The weights, in cost.json beside the parts, are per core,
unit and kernel, fitted by `make cost` to single layers measured in QEMU: instructions exactly,
cycles as the model of the part `ideal` gives them.  tests/qemu/test_cost.py holds predictions
against whole models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edgesparse.encode.job import Amounts, Job, Zeros
from edgesparse.encode.lower.candidate import NEVER
from edgesparse.encode.work import WORK
from edgesparse.encode.work_weights import thresholded
from edgesparse.errors import TargetError, UsageError
from edgesparse.model import Model

__all__ = [
    "CPUS",
    "CYCLES",
    "DEFAULT_CPU",
    "INSTRUCTIONS",
    "SKIPPING",
    "THRESHOLD",
    "Price",
    "cost_file",
]

INSTRUCTIONS, CYCLES = "instructions", "cycles"
DEFAULT_CPU = "cortex-m4"

# Cores that are not measured are taken for the measured one that they resemble most: both have the
# DSP extension; an M33 issues one instruction a cycle, an M55 sometimes two.
_RESEMBLES = {"cortex-m33": "cortex-m4", "cortex-m55": "cortex-m7"}
MEASURED = ("cortex-m3", "cortex-m4", "cortex-m7")
CPUS = (*MEASURED, "cortex-m33", "cortex-m55")

SKIPPING = "+skip"
"""Behind a kernel's name: its weights where it skips zero activations."""
THRESHOLD = "threshold_s8"
"""In the place of a kernel's name: what a threshold of activations adds to the node."""

Weights = Mapping[str, float]


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[str, dict[str, dict[str, dict[str, float]]]]


def cost_file() -> Path:
    """Where the fitted weights are kept."""
    return Path(__file__).resolve().parents[1] / "cost.json"


@cache
def _file() -> _File:
    try:
        return _File.model_validate_json(cost_file().read_bytes())
    except ValidationError as error:
        raise TargetError(f"{cost_file()}: {error.errors()[0]['msg']}") from error


def _above(threshold: float, zeros: Zeros) -> float:
    """How likely a run has a share of zeros of `threshold` or more, if shares are normal."""
    if zeros.spread <= 0.0:
        return float(zeros.mean >= threshold)
    return 0.5 * math.erfc((threshold - zeros.mean) / (zeros.spread * math.sqrt(2.0)))


def _weighted(amounts: Amounts, weights: Weights | None) -> float | None:
    """The cost; None for a kernel without fitted weights."""
    if weights is None:
        return None
    return sum(weights.get(name, 0.0) * amount for name, amount in amounts.items())


def _inputs(job: Job) -> int:
    """Activations that a kernel with a `list_zeros` reads."""
    names = ("batches", "in_h", "in_w", "in_c")
    return math.prod(int(job.params.get(name, 1)) for name in names)


@dataclass(frozen=True, slots=True)
class Price:
    """Costs on a core in a unit."""

    cpu: str = DEFAULT_CPU
    unit: str = CYCLES

    def __post_init__(self) -> None:
        if _RESEMBLES.get(self.cpu, self.cpu) not in MEASURED:
            known = ", ".join(CPUS)
            raise UsageError(f"no costs are known for core {self.cpu!r}", hint=f"cores: {known}")

    def _of(self, name: str) -> Weights | None:
        cpu = _RESEMBLES.get(self.cpu, self.cpu)
        return _file().weights.get(cpu, {}).get(self.unit, {}).get(name)

    def usual(self, kernel: str, job: Job) -> float | None:
        """The cost where no activation is skipped."""
        return _weighted(WORK[kernel].amounts(job), self._of(kernel))

    def skipping(self, kernel: str, job: Job) -> float | None:
        """The cost where the input's zeros are skipped; None where the kernel has no choice."""
        amounts = WORK[kernel].skipping
        return None if amounts is None else _weighted(amounts(job), self._of(kernel + SKIPPING))

    def cost(self, kernel: str, job: Job) -> int | None:
        """What a run is expected to cost; None if it is not known."""
        usual = self.usual(kernel, job)
        limit = job.params.get("list_zeros", NEVER)
        if usual is None or limit == NEVER:
            return None if usual is None else round(usual)
        skipping = self.skipping(kernel, job)
        if skipping is None:
            return round(usual)
        often = _above(limit / _inputs(job), job.zeros)
        return round(often * skipping + (1.0 - often) * usual)

    def thresholds(self, model: Model, outputs: Iterable[int]) -> int:
        """What the thresholds of a node's outputs add to the cost of its kernel."""
        tensors = [model.tensors[i] for i in outputs if model.thresholds.get(i, 0) > 0]
        amounts = (thresholded(each.elements, each.affine()[1]) for each in tensors)
        return round(sum(_weighted(each, self._of(THRESHOLD)) or 0.0 for each in amounts))

    def threshold(self, kernel: str, job: Job) -> int:
        """Zeros in the input from which on skipping them pays; NEVER where it does not."""
        usual = self.usual(kernel, job)
        inputs = _inputs(job)

        def pays(zeros: int) -> bool:
            skipping = self.skipping(kernel, replace(job, zeros=Zeros(zeros / inputs)))
            return usual is not None and skipping is not None and skipping < usual

        if not pays(inputs):
            return NEVER
        low, high = -1, inputs  # it does not pay at low, and does at high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if pays(middle) else (middle, high)
        return high
