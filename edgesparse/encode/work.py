"""What a run of each kernel consists of: named amounts that its cost is a weighted sum of.

One function a kernel, here or in work_weights.py or work_skipping.py, and one row of WORK.  An
amount is a number that is never negative and that some part of the kernel's code is executed in
proportion to: outputs, products, packed elements.
Amounts need no weights of their own here; encode.cost has those, per core and unit, as
`make cost` fitted them to measurements.  Too many amounts do no harm, a missing one does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edgesparse.encode.job import Amounts, Job, parts
from edgesparse.encode.work_skipping import skipping, squares
from edgesparse.encode.work_weights import counted, dense, grouped, outputs_of, rescaled, sparse

_PITCHES_BYTES = (64, 128, 256, 512, 1008)  # how far rows of the 3 x 3 loop may lie apart
_STRIP_BYTES = 4096
_TABLE_FROM = 512  # elements of an ADD
_KEPT_EXPONENTIALS = 32  # of a SOFTMAX

__all__ = ["WORK", "KernelWork"]


def _depthwise(job: Job) -> Amounts:
    """3 x 3 windows at stride 1 or 2 have a loop of their own, as has a single position.

    Other filters have one that makes four windows at a time.  Channels go in fours, or one by one.
    Exact rows are made window by window; beside one, 3 x 3 windows are made as others are.
    """
    p = _turned(job.params)
    lanes = 4 if p["in_c"] % 4 == 0 else 1
    if job.positions == 1 and p["out_c"] == p["in_c"] and _is_inside(p):
        fours, rest = divmod(p["in_c"], 4)
        return {
            "one window": 1,
            "four_taps": job.rows * fours,
            "fours": fours,
            "rest_taps": job.rows * rest,
            "rest_outputs": rest,
            **rescaled(job, "window outputs", p["out_c"]),
            **counted(job, p["out_c"]),
        }
    three_bytes = _three_bytes(p, lanes)
    found: Amounts = {"one": 1, **_depthwise_input(p, lanes, three_bytes or _any_bytes(p, lanes))}
    three = (1.0 - job.exact) ** lanes if three_bytes is not None else 0.0
    four = 1.0 - job.exact - three if p["out_w"] >= 4 and p["stride_w"] <= 2 else 0.0
    for kind, share, amounts in (
        (f"3 by {p['stride_w']}", three, _threes(p, job)),
        (f"4 by {p['stride_w']}", four, _fours(p, job)),
        ("any", 1.0 - three - four, _anys(p, job)),
    ):
        if share > 0.0:
            found |= {f"{name} {kind}": share * n for name, n in amounts.items()}
    found |= counted(job, job.positions * p["out_c"])
    if job.narrow:
        found["clamped"] = job.positions * p["out_c"]
    return found


def _turned(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """A column of pixels is made as a row."""
    names = ("in", "out", "kernel", "stride", "dilation")
    if any(params[f"{name}_w"] != 1 for name in names[:3]) or params["pad_left"] != 0:
        return params
    turned = {f"{name}_w": params[f"{name}_h"] for name in names}
    ones = {f"{name}_h": 1 for name in names}
    return {**params, **turned, **ones, "pad_left": params["pad_top"], "pad_top": 0}


def _is_inside(params: Mapping[str, Any]) -> bool:
    """Whether the only window has no padding."""
    reach_h = (params["kernel_h"] - 1) * params["dilation_h"]
    reach_w = (params["kernel_w"] - 1) * params["dilation_w"]
    unpadded = params["pad_top"] == params["pad_left"] == 0
    return bool(unpadded and reach_h < params["in_h"] and reach_w < params["in_w"])


def _three_bytes(p: Mapping[str, Any], lanes: int) -> int | None:
    """How far rows of the input lie apart for the 3 x 3 loop; None where that does not take it."""
    is_three = p["kernel_h"] == p["kernel_w"] == 3 and p["dilation_h"] == p["dilation_w"] == 1
    if not is_three or p["out_w"] < 2 or p["stride_w"] > 2:
        return None
    columns = parts(p["out_w"], 2) * 2 + 2 if p["stride_w"] == 1 else 2 * (p["out_w"] + 1)
    return next((each for each in _PITCHES_BYTES if 2 * lanes * columns <= each), None)


def _any_bytes(p: Mapping[str, Any], lanes: int) -> int:
    """The same for any loop."""
    columns = (p["out_w"] - 1) * p["stride_w"] + 2 * _pairs(p)
    return 2 * lanes * parts(columns, 2) * 2


def _pairs(p: Mapping[str, Any]) -> int:
    """Words of a filter's row."""
    return max(parts((p["kernel_w"] - 1) * p["dilation_w"] + 1, 2), 2)


def _height(p: Mapping[str, Any]) -> int:
    return int((p["kernel_h"] - 1) * p["dilation_h"] + 1)


def _depthwise_input(p: Mapping[str, Any], lanes: int, pitch: int) -> Amounts:
    """Rows of the input widened for a strip of output rows at a time, `pitch` bytes apart."""
    height = _height(p)
    rows = max(_STRIP_BYTES // pitch - height, 0)
    strip = min(rows // p["stride_h"] + 1, p["out_h"])
    strips = p["batches"] * parts(p["out_h"], strip)
    amounts = {
        "strips": strips * parts(p["in_c"], lanes),
        "strip_rows": strips * p["out_c"],
        "kept": (strips - p["batches"]) * pitch * max(height - p["stride_h"], 0) * p["in_c"],
        "in_rows": p["batches"] * p["in_h"] * p["in_c"],
        "inputs": math.prod(p[name] for name in ("batches", "in_h", "in_w", "in_c")),
    }
    return {f"{name} x{lanes}": amount for name, amount in amounts.items()}


def _threes(p: Mapping[str, Any], job: Job) -> Amounts:
    out_rows = p["batches"] * p["out_h"] * p["out_c"]
    return {
        "rows": p["out_c"],
        "out_rows": out_rows,
        "odd_rows": out_rows * (p["out_w"] % 2),
        "outputs": job.positions * p["out_c"],
    }


def _fours(p: Mapping[str, Any], job: Job) -> Amounts:
    """Two pairs of taps at a time, one where their number is odd."""
    out_rows = p["batches"] * p["out_h"] * p["out_c"]
    fours = out_rows * parts(p["out_w"], 4)
    pairs = _pairs(p)
    return {
        "rows": p["out_c"],
        "filters": job.rows * p["out_c"],
        "out_rows": out_rows,
        "uneven_rows": out_rows * (p["out_w"] % 4 != 0),
        "fours": fours,
        "four_rows": fours * (_height(p) - 1),
        "pairs": fours * _height(p) * (pairs % 2),
        "two_pairs": fours * _height(p) * (pairs // 2),
    }


def _anys(p: Mapping[str, Any], job: Job) -> Amounts:
    outputs = job.positions * p["out_c"]
    return {
        "rows": p["out_c"],
        "filters": job.rows * p["out_c"],
        "out_rows": p["batches"] * p["out_h"] * p["out_c"],
        "outputs": outputs,
        "window_rows": outputs * _height(p),
        "pairs": outputs * _height(p) * _pairs(p),
        **rescaled(job, "outputs", outputs),
    }


def _transpose_conv(job: Job) -> Amounts:
    p = job.params
    high, wide = (_reached(p, side, pad) for side, pad in (("h", "pad_top"), ("w", "pad_left")))
    taps = p["batches"] * high * wide * job.rows
    return {
        **outputs_of(job, job.positions),
        "tap_rows": p["batches"] * high * p["out_w"] * job.rows,
        "taps": taps,
        "fours": taps * (p["in_c"] // 4),
        "rests": taps * (p["in_c"] % 4),
    }


def _reached(params: Mapping[str, Any], side: str, pad: str) -> int:
    """Pairs of an output and an input that a tap joins, along one side."""
    names = ("in", "out", "kernel", "stride")
    inputs, outputs, taps, stride = (params[f"{name}_{side}"] for name in names)
    places = (i * stride + k - params[pad] for i in range(inputs) for k in range(taps))
    return sum(0 <= place < outputs for place in places)


# --- Without weights -------------------------------------------------------------------------


def _elements(elements: int) -> Amounts:
    return {"one": 1, "elements": elements}


def _broadcast(job: Job) -> Amounts:
    """One loop over all of two like shapes; else one over each run along which both go on."""
    elements, rows = job.sizes["elements"], job.sizes["rows"]
    kind = "row_elements" if rows > 1 else "elements"
    return {"one": 1, "rows": rows if rows > 1 else 0, kind: elements}


def _add_broadcast(job: Job) -> Amounts:
    amounts, halves = _broadcast(job), _halves(job.params, 1) != _halves(job.params, 2)
    return {f"{name} {'halved' if halves else 'scaled'}": n for name, n in amounts.items()}


def _halves(params: Mapping[str, Any], number: int) -> bool:
    """Whether an operand is scaled by exactly one half, as TFLite does with one of them."""
    multiplier, shift = params[f"in{number}_multiplier"], params[f"in{number}_shift"]
    return bool(abs(multiplier) == 1 << 30 and shift == 0)


def _add(job: Job) -> Amounts:
    """The fast case is one operand halved; a table for the other pays from 512 elements on."""
    count = job.params["count"]
    halves = _halves(job.params, 1) != _halves(job.params, 2)
    kind = ("halved" if halves else "scaled") + (" by table" if count >= _TABLE_FROM else "")
    return {"one": 1, f"one {kind}": 1, kind: count}


def _pool(job: Job) -> Amounts:
    p = job.params
    outputs = job.positions * p["channels"]
    taps = outputs * p["kernel_h"] * p["kernel_w"]
    words = p["channels"] % 4 == 0
    return {
        "one": 1,
        "positions": job.positions,
        "outputs": outputs,
        "taps": taps if words else 0,
        "byte_taps": 0 if words else taps,
        "pixels": job.positions * p["kernel_h"] * p["kernel_w"],
    }


def _softmax(job: Job) -> Amounts:
    """Long rows compute their exponentials twice."""
    rows, depth = job.params["rows"], job.params["depth"]
    kind = "kept" if depth <= _KEPT_EXPONENTIALS else "again"
    return {"one": 1, "rows": rows, f"elements {kind}": rows * depth}


def _move(job: Job) -> Amounts:
    return {"one": 1, **job.sizes}


def _resize(job: Job) -> Amounts:
    """A row like the one before is copied whole; pixels of less than a word go byte by byte."""
    p = job.params
    gathered = p["batches"] * min(p["in_h"], p["out_h"])
    copied = p["batches"] * p["out_h"] - gathered
    pixels, channels = gathered * p["out_w"], p["channels"]
    return {
        "one": 1,
        "rows": gathered + copied,
        "copied_words": copied * parts(p["out_w"] * channels, 4),
        "pixels": pixels,
        "words": pixels * parts(channels, 4) if channels >= 4 else 0,
        "bytes": pixels * channels if channels < 4 else 0,
    }


def _mean(job: Job) -> Amounts:
    """Neighbouring channels go in fours, others one by one."""
    kept, reduced = job.params["kept"], job.params["reduced"]
    outputs, taps = math.prod(kept), math.prod(reduced)
    fours = outputs // kept[2] * (kept[2] // 4) if reduced[2] == 1 else 0
    rest = outputs - 4 * fours
    return {
        "one": 1,
        "fours": fours,
        "four_taps": fours * taps,
        "four_rows": fours * reduced[0],
        "outputs": rest,
        "rows": rest * reduced[0] * reduced[1],
        "taps": rest * taps,
    }


@dataclass(frozen=True, slots=True)
class KernelWork:
    """A kernel's amounts.

    amounts: of any run, unless there is `skipping`: then of one with fewer zeros in its input than
    the parameter `list_zeros`.  skipping: of one with as many or more, which are skipped.
    always_skips: it skips zero activations in every run.
    """

    amounts: Callable[[Job], Amounts]
    skipping: Callable[[Job], Amounts] | None = None
    always_skips: bool = False


WORK: Mapping[str, KernelWork] = {
    "conv_2d_dense_s8": KernelWork(dense),
    "conv_2d_bitmap_s8": KernelWork(sparse),
    "conv_2d_run4_s8": KernelWork(sparse),
    "conv_2d_delta8_s8": KernelWork(sparse),
    "conv_2d_group4_s8": KernelWork(grouped),
    "conv_2d_lists_s8": KernelWork(dense, skipping=skipping),
    "depthwise_conv_2d_dense_s8": KernelWork(_depthwise),
    "fully_connected_dense_s8": KernelWork(dense),
    "fully_connected_bitmap_s8": KernelWork(sparse),
    "fully_connected_run4_s8": KernelWork(sparse),
    "fully_connected_delta8_s8": KernelWork(sparse),
    "fully_connected_group4_s8": KernelWork(grouped),
    "fully_connected_squares_s8": KernelWork(squares, always_skips=True),
    "transpose_conv_dense_s8": KernelWork(_transpose_conv),
    "add_s8": KernelWork(_add),
    "add_broadcast_s8": KernelWork(_add_broadcast),
    "lut_s8": KernelWork(lambda job: _elements(job.params["count"])),
    "mul_s8": KernelWork(_broadcast),
    "extremum_s8": KernelWork(_broadcast),
    "average_pool_2d_s8": KernelWork(_pool),
    "max_pool_2d_s8": KernelWork(_pool),
    "softmax_s8": KernelWork(_softmax),
    "move_s8": KernelWork(_move),
    "resize_nearest_neighbor_s8": KernelWork(_resize),
    "mean_s8": KernelWork(_mean),
    "copy_s8": KernelWork(lambda job: _elements(job.params["bytes"])),
}
"""Every kernel of kernels.def by its name."""
