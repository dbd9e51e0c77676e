"""Modelled cycles of runs: cycles.jsonl.

The first line names the part that was modelled; every other one is a run, as the plugin wrote it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgesparse.errors import FormatError
from edgesparse.telemetry.runs import RunResult, WindowResult

__all__ = ["CycleLog", "RunCycles", "add_cycles", "check_cycles", "read_run_cycles"]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Header(_Line):
    part: str


class RunCycles(_Line):
    """A run: instructions and modelled cycles of each node, and of all from start to end.

    functions: where asked for, rows (node, function, cycles); a node behind the last one is the
        rest of the run.
    """

    run: int = Field(ge=0)
    nodes: list[tuple[int, int]]
    instructions: int = Field(ge=0)
    cycles: int = Field(ge=0)
    functions: list[tuple[int, int, int]] | None = None


@dataclass(frozen=True, slots=True)
class CycleLog:
    """Runs by number, and the part that was modelled."""

    part: str
    runs: Mapping[int, RunCycles]

    @staticmethod
    def header(part: str) -> bytes:
        """The first line."""
        return _Header(part=part).model_dump_json().encode() + b"\n"

    @classmethod
    def read(cls, data: bytes) -> CycleLog:
        """Read cycles.jsonl.  Raises FormatError where it is malformed."""
        first, *lines = data.splitlines() or [b""]
        try:
            part = _Header.model_validate_json(first).part
        except ValidationError as error:
            raise FormatError(f"cycles.jsonl: {error.errors()[0]['msg']}") from error
        runs = [read_run_cycles(line) for line in lines]
        return cls(part, {run.run: run for run in runs})


def read_run_cycles(line: bytes) -> RunCycles:
    """Read a line of the plugin.  Raises FormatError where it is malformed."""
    try:
        return RunCycles.model_validate_json(line)
    except ValidationError as error:
        raise FormatError(f"modelled cycles: {error.errors()[0]['msg']}") from error


def add_cycles(runs: Sequence[RunCycles]) -> RunCycles:
    """One or more runs added up, as one with the first one's number; functions left out.

    Raises FormatError where they have not the same nodes.
    """
    if len({len(run.nodes) for run in runs}) > 1:
        raise FormatError(f"run {runs[0].run}: the runs behind it have other nodes")
    by_node = zip(*(run.nodes for run in runs), strict=True)
    return RunCycles(
        run=runs[0].run,
        nodes=[(sum(i for i, _ in node), sum(c for _, c in node)) for node in by_node],
        instructions=sum(run.instructions for run in runs),
        cycles=sum(run.cycles for run in runs),
    )


def _device_counts(run: RunResult | WindowResult) -> list[int]:
    """What the device counted in each node and in all."""
    if isinstance(run, WindowResult):
        return [*(layer.count_sum for layer in run.layers), run.end.count_sum]
    return [*(layer.count for layer in run.layers), run.end.count]


def check_cycles(cycles: RunCycles, run: RunResult | WindowResult) -> None:
    """Raise FormatError unless the plugin counted the instructions that the device counted."""
    hint = "run without modelled cycles: --part none"
    device = _device_counts(run)
    seen = [*(instructions for instructions, _ in cycles.nodes), cycles.instructions]
    if len(seen) != len(device):
        what = f"saw {len(cycles.nodes)} nodes, the device {len(run.layers)}"
        raise FormatError(f"run {run.run}: the cycle model {what}", hint=hint)
    for node, (here, there) in enumerate(zip(seen, device, strict=True)):
        if here != there:
            where = f"node {node}" if node < len(run.layers) else "the whole run"
            what = f"saw {here:,} instructions in {where}, the device {there:,}"
            raise FormatError(f"run {run.run}: the cycle model {what}", hint=hint)
