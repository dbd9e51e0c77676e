"""What an image is to be good at, and what it may take."""

from __future__ import annotations

from dataclasses import dataclass

from edgesparse.encode.cost import CYCLES, DEFAULT_CPU, INSTRUCTIONS, Price
from edgesparse.errors import UsageError

__all__ = ["OBJECTIVES", "Goal"]

OBJECTIVES = ("cycles", "instructions", "size", "balanced")


@dataclass(frozen=True, slots=True)
class Goal:
    """What decides between the ways to run a layer.

    Args:
        optimize: "cycles" or "instructions": the least of them; "size": the least flash, then
            cycles; "balanced": the least cycles in an arena hardly larger than the tensors alone.
        cpu: the core that it is to run on.
        max_ram: bytes that the arena may have at most; an image with more is refused.
        max_flash: bytes that the image may have at most.  Where it is given, weights may take more
            than as encoding dense, if that is faster.
        spare_ram: bytes that the arena should not exceed, if that can be had.
        skip_activations: whether kernels may skip zero activations.
        kernels: names of those that the firmware has; None: it has all.
    """

    optimize: str = "cycles"
    cpu: str = DEFAULT_CPU
    max_ram: int | None = None
    max_flash: int | None = None
    spare_ram: int | None = None
    skip_activations: bool = True
    kernels: frozenset[str] | None = None

    def __post_init__(self) -> None:
        if self.optimize not in OBJECTIVES:
            known = ", ".join(OBJECTIVES)
            raise UsageError(f"cannot optimize for {self.optimize!r}", hint=f"one of: {known}")
        assert self.price.cpu  # refuses a core without costs

    @property
    def unit(self) -> str:
        """In which costs are predicted."""
        return INSTRUCTIONS if self.optimize == INSTRUCTIONS else CYCLES

    @property
    def price(self) -> Price:
        """Costs on the core."""
        return Price(self.cpu, self.unit)
