"""Amounts of the kernels that skip zero activations; see encode.work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from edgesparse.encode.job import Amounts, Job, parts
from edgesparse.encode.work_weights import outputs_of, rescaled, taps_high

__all__ = ["skipping", "squares"]

_BLOCK_ROWS = 8
_SPANS = 8  # rows of a filter that the fast loops take
_ROW_INPUTS = 16384  # of a row of a list of pixels


def _inside(job: Job, side: str, pad: int) -> float:
    """Share of the taps along one side, "h" or "w", that meet the image."""
    names = ("out", "in", "kernel", "stride", "dilation")
    return _met(*(int(job.params[f"{name}_{side}"]) for name in names), pad)


@lru_cache  # asked for each band and threshold that is thought of
def _met(outputs: int, inputs: int, taps: int, stride: int, dilation: int, pad: int) -> float:
    at = np.arange(outputs)[:, None] * stride + np.arange(taps) * dilation - pad
    return float(np.count_nonzero((at >= 0) & (at < inputs)) / (outputs * taps))


@dataclass(frozen=True, slots=True)
class _Lists:
    """Lists of a row of the image each; of pixels, rows are as wide as a band allows.

    bands: how many times the weights are unpacked.  simple: rows of a filter are a span each.
    """

    in_rows: int
    out_rows: int
    width: int
    bands: int
    simple: bool
    met_h: float
    met_w: float


def _lists(job: Job) -> _Lists:
    p = job.params
    if job.is_pixel:
        width = max(min(_ROW_INPUTS // p["in_c"], p["band"], job.positions), 1)
        rows = parts(job.positions, width)
        return _Lists(rows, rows, width, parts(rows, max(p["band"] // width, 1)), True, 1.0, 1.0)
    rows = min(max(p["band"] // p["out_w"], 1), p["out_h"])
    return _Lists(
        in_rows=p["batches"] * p["in_h"],
        out_rows=p["batches"] * p["out_h"],
        width=p["out_w"],
        bands=p["batches"] * parts(p["out_h"], rows),
        simple=p["kernel_h"] <= _SPANS and (p["dilation_w"] == 1 or p["kernel_w"] == 1),
        met_h=_inside(job, "h", p["pad_top"]),
        met_w=_inside(job, "w", p["pad_left"]),
    )


def skipping(job: Job) -> Amounts:
    """Eight rows at a time for each position: the non-zero inputs of its window."""
    p, lists = job.params, _lists(job)
    pixels = math.prod(p[name] for name in ("batches", "in_h", "in_w"))
    blocks, groups = parts(job.rows, _BLOCK_ROWS), parts(job.columns, 4)
    present = 1.0 - job.zeros.mean
    windows = lists.in_rows * lists.width
    return {
        **outputs_of(job, job.positions),
        "bands": lists.bands,
        "band_blocks": lists.bands * blocks,
        "unpacked": lists.bands * blocks * groups * 4,
        "pixels": pixels,
        "inputs": pixels * p["in_c"],
        "rest_inputs": pixels * (p["in_c"] % 4),
        "listed": pixels * p["in_c"] * present,
        "list_rows": lists.in_rows,
        "list_windows": windows * (1 if lists.simple else p["kernel_w"]),
        "block_rows": blocks * lists.out_rows,
        "block_taps": blocks * lists.out_rows * taps_high(job),
        **_windows(job, lists, present),
        **_class_windows(job, blocks),
    }


def _windows(job: Job, lists: _Lists, present: float) -> Amounts:
    """By loop.

    `fast` is for whole blocks of the short rescaling whose lanes hold any window; `checked` asks
    that for each window; `exact` and `clamped` is how rows are rescaled else; `pieces` is for lanes
    that hold less than a window, `taps` for filters whose rows are no spans.
    """
    whole, rest = divmod(job.rows, _BLOCK_ROWS)
    entries = present * lists.met_h * lists.met_w * job.columns
    spans = taps_high(job) * lists.met_h
    short = (1.0 - job.long) ** _BLOCK_ROWS
    blocks: dict[str, float] = {}
    count = whole + bool(rest)
    if not lists.simple:
        blocks["taps "] = count
        spans *= job.params["kernel_w"]
    elif entries > job.lane:
        blocks["pieces "] = count
    else:
        is_fast = job.columns <= job.lane and not len(job.classes.amounts)
        blocks["fast "] = whole * short if is_fast else 0.0
        blocks["checked "] = count * short - blocks["fast "]
        blocks |= rescaled(job, "", count * (1.0 - short) / max(job.long, 1e-9))
    found: Amounts = {}
    for kind, times in blocks.items():
        windows = job.positions * times
        found |= {f"{kind}windows": windows, f"{kind}spans": windows * spans}
        found[f"{kind}entries"] = windows * entries
    return found


def _class_windows(job: Job, blocks: int) -> Amounts:
    """A block's biases are set anew where a position's class is not the one before's."""
    if not len(job.classes.amounts):
        return {}
    changes = int(np.count_nonzero(np.diff(job.classes.positions)))
    return {"class_windows": blocks * job.positions, "class_changes": blocks * changes}


def squares(job: Job) -> Amounts:
    """The pairs of inputs that are not both zero times eight rows, or the one to six left over."""
    pairs = job.positions * parts(job.columns, 4) * 2
    both = min(max(job.zeros.both, 2.0 * job.zeros.mean - 1.0, 0.0), job.zeros.mean)
    listed = pairs * (1.0 - both)
    halves = 2.0 * pairs * (job.zeros.mean - both)
    blocks, rest = divmod(parts(job.rows, 2), _BLOCK_ROWS // 2)
    found: Amounts = {
        **outputs_of(job, job.positions),
        "pairs": pairs,
        "listed": listed,
        "blocks": job.positions * blocks,
        "block_entries": (listed - halves) * blocks,
        "block_half_entries": halves * blocks,
        "rest_inputs": job.positions * (job.columns % 4),
    }
    if rest >= 2:
        found |= {"rest_twos": job.positions, "rest_two_entries": listed}
    if rest % 2:
        found |= {"rest_ones": job.positions, "rest_one_entries": listed}
    return found
