"""Amounts of the kernels that multiply rows of weights; see encode.work.

They follow how the kernels cut their work into bands and tiles, so a change there is one here too.
"""

from __future__ import annotations

import math

from edgesparse.encode.job import Amounts, Job, parts

__all__ = [
    "dense",
    "grouped",
    "outputs_of",
    "single",
    "skipping",
    "sparse",
    "sparse_single",
    "squares",
]

_TILE_ROWS_MOST = 4
_PROGRAM_GROUPS = 16
_TILE_WORDS = 4
_ROWS_WIDTH = 6  # narrower maps are made window by window
_BLOCK_ROWS = 8
_VECTORS_BAND = 8  # of a dense FULLY_CONNECTED


def outputs_of(job: Job, positions: float) -> Amounts:
    """What any kernel does once, once a row, a position, an output."""
    outputs = positions * job.rows
    return {
        "one": 1,
        "rows": job.rows,
        "positions": positions,
        "outputs": outputs,
        "exact_outputs": outputs * job.exact,
    }


def _share(total: int, most: int) -> int:
    """Positions of a band where all bands are about as large, and none above `most`."""
    bands = parts(total, most)
    return parts(total, bands)


def _taps_high(job: Job) -> int:
    return int(job.params.get("kernel_h", 1))


# --- Dense ------------------------------------------------------------------------------------


def dense(job: Job) -> Amounts:
    """Two rows by two positions; by strips of the input, vectors, or windows that are copied."""
    if job.is_pixel:
        share = _share(job.positions, job.params.get("band", _VECTORS_BAND))
        packed: Amounts = {"packed_vectors": job.positions * job.columns, "vectors": job.positions}
        return _tiles(job, share, packed) if _pays(job, share) else single(job)
    strips = _strips(job)
    if strips is not None:
        return strips
    share = _share(job.positions, job.params["band"])
    taps = job.positions * _taps_high(job)
    packed = {"packed_windows": job.positions * job.columns, "window_taps": taps}
    return _tiles(job, share, packed) if _pays(job, share) else single(job)


def _pays(job: Job, share: int) -> bool:
    return job.rows >= _TILE_ROWS_MOST and share >= 4


def _tiles(job: Job, share: int, packed: Amounts) -> Amounts:
    bands = parts(job.positions, share)
    pairs = (bands - 1) * parts(share, 2) + parts(job.positions - (bands - 1) * share, 2)
    return _tile_amounts(job, bands=bands, lines=bands, pairs=pairs, runs=1) | packed


def _tile_amounts(job: Job, *, bands: int, lines: int, pairs: int, runs: int) -> Amounts:
    """`pairs` of positions on so many `lines`, in bands that unpack the weights anew."""
    row_pairs = parts(job.rows, 2)
    groups = parts(job.columns, 4)
    tiles = pairs * row_pairs
    return {
        **outputs_of(job, job.positions),
        "bands": bands,
        "band_row_pairs": bands * row_pairs,
        "band_runs": bands * row_pairs * runs * parts(parts(groups, runs), _PROGRAM_GROUPS),
        "unpacked": bands * row_pairs * 8 * groups,
        "line_row_pairs": lines * row_pairs,
        "tiles": tiles,
        "tile_runs": tiles * runs * parts(parts(groups, runs), _PROGRAM_GROUPS),
        "tile_groups": tiles * groups,
        "exact_tiles": tiles * job.exact,
    }


def _strips(job: Job) -> Amounts | None:
    """The input of a strip of outputs packed once; None where the kernel copies windows."""
    p = job.params
    width, band = p["out_w"], p["band"]
    share = _share(width, band)
    columns = share + share % 2 if share < width else width
    lines = _share(p["out_h"], max(band // width, 1) if columns == width else 1)
    fits = p["in_c"] % 4 == 0 and (p["dilation_w"] == 1 or p["kernel_w"] == 1)
    if not (fits and (columns % 2 == 0 or columns >= 9) and _pays(job, lines * columns)):
        return None
    across, down = parts(width, columns), parts(p["out_h"], lines)
    step_w = 1 if p["kernel_w"] == 1 else p["stride_w"]
    step_h = 1 if p["kernel_h"] == 1 else p["stride_h"]
    pixels = (parts(columns, 2) - 1) * step_w + p["kernel_w"]
    in_lines = (lines - 1) * step_h + (p["kernel_h"] - 1) * p["dilation_h"] + 1
    strips = p["batches"] * across * down
    all_lines = p["batches"] * across * p["out_h"]
    amounts = _tile_amounts(
        job,
        bands=strips,
        lines=all_lines,
        pairs=all_lines * parts(columns, 2),
        runs=p["kernel_h"],
    )
    packed_lines = strips * in_lines
    return amounts | {
        "packed_strips": packed_lines * pixels * 2 * p["in_c"],
        "packed_lines": packed_lines,
        "packed_pixels": packed_lines * pixels if p["kernel_w"] == 1 < p["stride_w"] else 0,
    }


def single(job: Job) -> Amounts:
    """Position by position, from the rows as they are."""
    outputs = job.positions * job.rows
    groups = parts(job.columns, 4)
    return {
        "one": 1,
        "single_positions": job.positions,
        "single_outputs": outputs,
        "single_groups": outputs * groups,
        "single_rest_groups": outputs * (groups % 4),
        "single_packed": job.positions * job.columns,
        "exact_outputs": outputs * job.exact,
    }


# --- Zero weights -----------------------------------------------------------------------------


def sparse(job: Job) -> Amounts:
    """Each non-zero weight for eight positions at a time."""
    p = job.params
    packed: Amounts
    if job.positions < _TILE_WORDS:
        return sparse_single(job)
    entries = int(job.entries.sum()) + int((job.entries % 2).sum())
    if not job.is_pixel and p["out_w"] >= _ROWS_WIDTH:
        rows = min(parts(p["band"], p["out_w"]), p["out_h"])
        bands = p["batches"] * parts(p["out_h"], rows)
        lines, words = p["batches"] * p["out_h"], parts(p["out_w"], 2)
        packed = _packed_rows(job, bands, rows, words)
    else:
        band = parts(p.get("band", 16), 2 * _TILE_WORDS) * 2 * _TILE_WORDS
        bands = lines = parts(job.positions, band)
        words = max(parts(min(band, job.positions), 2), _TILE_WORDS)
        kind = "packed_pixels" if job.is_pixel else "packed_columns"
        packed = {kind: bands * words * job.columns, "packed_words": bands * words}
        packed |= {"column_taps": 0 if job.is_pixel else bands * words * 2 * _taps_high(job)}
    tiles = lines * parts(words, _TILE_WORDS)
    return {
        **outputs_of(job, job.positions),
        **packed,
        "bands": bands,
        "band_rows": bands * job.rows,
        "decoded": bands * int(job.entries.sum()),
        "decoded_columns": bands * job.rows * job.columns,
        "decoded_taps": bands * job.rows * _taps_high(job) * p.get("kernel_w", 1),
        "line_rows": lines * job.rows,
        "line_rests": lines * job.rows if words % _TILE_WORDS else 0,
        "tile_rows": tiles * job.rows,
        "tile_entries": tiles * entries,
        "exact_tile_rows": tiles * job.rows * job.exact,
    }


def _packed_rows(job: Job, bands: int, rows: int, words: int) -> Amounts:
    p = job.params
    shared = p["dilation_h"] == 1 and p["stride_h"] < p["kernel_h"]
    step = p["stride_h"] if shared else p["kernel_h"]
    slots = bands * ((rows - 1) * step + p["kernel_h"])
    kept = (bands - p["batches"]) * (p["kernel_h"] - step) if shared else 0
    reach = (p["kernel_w"] - 1) * p["dilation_w"]
    phases = min(reach + 1, p["stride_w"])
    plane = words + reach // p["stride_w"]
    return {
        "packed_rows": (slots - kept) * phases,
        "packed_words": (slots - kept) * phases * plane,
        "packed_channels": (slots - kept) * phases * plane * p["in_c"],
        "packed_rest": (slots - kept) * phases * plane * (p["in_c"] % 4),
        "moved_words": kept * phases * plane * p["in_c"],
    }


def sparse_single(job: Job) -> Amounts:
    """Position by position, each row from its stream."""
    outputs = job.positions * job.rows
    return {
        "one": 1,
        "single_positions": job.positions,
        "single_outputs": outputs,
        "single_entries": job.positions * int(job.entries.sum()),
        "single_columns": outputs * job.columns,
        "single_copied": 0 if job.is_pixel else job.positions * job.columns,
        "exact_outputs": outputs * job.exact,
    }


def grouped(job: Job) -> Amounts:
    """Groups of four weights for four positions at a time."""
    if job.positions == 1:
        return _grouped_single(job)
    tiles, rest = divmod(job.positions, 4)
    bands = parts(job.positions, parts(job.params.get("band", 4), 4) * 4)
    words = job.params.get("in_c", 4) % 4 == 0
    return {
        **outputs_of(job, job.positions),
        "packed": 0 if job.is_pixel or not words else job.positions * job.columns,
        "packed_pixels": job.positions * job.columns if job.is_pixel else 0,
        "packed_bytes": 0 if words else job.positions * job.columns,
        "window_taps": 0 if job.is_pixel else job.positions * _taps_high(job),
        "band_rows": bands * job.rows,
        "band_groups": bands * job.groups,
        "tile_rows": tiles * job.rows,
        "tile_groups": tiles * job.groups,
        "single_rows": job.rows if rest == 1 else 0,
        "single_groups": job.groups if rest == 1 else 0,
        "rest_rows": job.rows if rest > 1 else 0,
        "rest_groups": job.groups if rest > 1 else 0,
    }


def _grouped_single(job: Job) -> Amounts:
    return {
        "one": 1,
        "vector_rows": job.rows,
        "vector_groups": job.groups,
        "vector_copied": 0 if job.is_pixel else job.columns,
        "exact_outputs": job.rows * job.exact,
    }


# --- Zero activations -------------------------------------------------------------------------


def _inside(job: Job, side: str, pad: int) -> float:
    """Share of the taps along one side, "h" or "w", that meet the image."""
    names = ("out", "in", "kernel", "stride", "dilation")
    outputs, inputs, taps, stride, dilation = (job.params[f"{name}_{side}"] for name in names)
    met = sum(
        0 <= o * stride + k * dilation - pad < inputs for o in range(outputs) for k in range(taps)
    )
    return float(met / (outputs * taps))


def _met(job: Job) -> float:
    """Share of a convolution's taps that meet the image."""
    p = job.params
    if "kernel_h" not in p:
        return 1.0
    return _inside(job, "h", p["pad_top"]) * _inside(job, "w", p["pad_left"])


def skipping(job: Job) -> Amounts:
    """Eight rows at a time for each position: the non-zero inputs of its window."""
    p = job.params
    pixels = math.prod(p[name] for name in ("batches", "in_h", "in_w"))
    blocks = parts(job.rows, _BLOCK_ROWS)
    present = 1.0 - job.zeros
    return {
        **outputs_of(job, job.positions),
        "bands": job.bands,
        "band_blocks": job.bands * blocks,
        "unpacked": job.bands * blocks * parts(job.columns, 4) * 4,
        "pixels": pixels,
        "inputs": pixels * p["in_c"],
        "rest_inputs": pixels * (p["in_c"] % 4),
        "listed": pixels * p["in_c"] * present,
        **_windows(job, present),
    }


def _windows(job: Job, present: float) -> Amounts:
    """The fast loop is for eight rows with the short requantisation and simple windows."""
    p = job.params
    taps_w, dilation_w = p.get("kernel_w", 1), p.get("dilation_w", 1)
    simple = _taps_high(job) <= _BLOCK_ROWS and (dilation_w == 1 or taps_w == 1)
    whole, rest = divmod(job.rows, _BLOCK_ROWS)
    fast = whole * (1.0 - job.exact) ** _BLOCK_ROWS if simple else 0.0
    slow = whole + bool(rest) - fast
    met = _met(job) * present * job.columns * job.positions
    spans = _taps_high(job) * (1 if simple else taps_w)
    return {
        "windows": job.positions * fast,
        "spans": job.positions * fast * spans,
        "entries": met * fast,
        "slow_windows": job.positions * slow,
        "slow_spans": job.positions * slow * spans,
        "slow_entries": met * slow,
    }


def squares(job: Job) -> Amounts:
    """The pairs of inputs that are not both zero times eight rows, or the one to six left over.

    Zeros are taken to be independent; where they are neighbours fewer pairs are left.
    """
    pairs = job.positions * parts(job.columns, 4) * 2
    listed = pairs * (1.0 - job.zeros**2)
    blocks, rest = divmod(parts(job.rows, 2), _BLOCK_ROWS // 2)
    found: Amounts = {
        **outputs_of(job, job.positions),
        "pairs": pairs,
        "listed": listed,
        "blocks": job.positions * blocks,
        "block_entries": pairs * (1.0 - job.zeros) ** 2 * blocks,
        "block_half_entries": 2.0 * pairs * job.zeros * (1.0 - job.zeros) * blocks,
        "rest_inputs": job.positions * (job.columns % 4),
    }
    if rest >= 2:
        found |= {"rest_twos": job.positions, "rest_two_entries": listed}
    if rest % 2:
        found |= {"rest_ones": job.positions, "rest_one_entries": listed}
    return found
