"""Amounts of the kernels that multiply rows of weights; see encode.work.

They follow how the kernels cut their work into bands and tiles, so a change there is one here too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode.job import Amounts, Job, parts
from edgesparse.encode.work_classes import halves, neighbours, of_rows

__all__ = [
    "counted",
    "dense",
    "grouped",
    "outputs_of",
    "rescaled",
    "single",
    "sparse",
    "sparse_single",
    "taps_high",
]

_TILE_ROWS_MOST = 4
_PROGRAM_GROUPS = 16
_TILE_WORDS = 4
_ROWS_WIDTH = 6  # narrower maps are made window by window
_VECTORS_BAND = 8  # of a dense FULLY_CONNECTED
_DOT_ROWS = 4  # by which cores without SMLAD take single positions
_LEAST = -128  # of int8
_LANE = 32768  # sum of the sizes of weights that one list of entries may have
_LIST_ENTRIES = 256  # of such lists where a row needs several


def rescaled(job: Job, what: str, count: float) -> Amounts:
    """Of a count, those that are not rescaled the short way."""
    return {f"exact {what}": count * job.exact, f"clamped {what}": count * job.clamped}


def counted(job: Job, outputs: float) -> Amounts:
    """Outputs whose zeros the runtime counts in a pass of their own.

    It does unless their zero point is -128, which the pass over saturated values counts.
    """
    return {"counted": outputs * (job.params.get("out_zero_point", _LEAST) != _LEAST)}


def thresholded(outputs: int, zero_point: int) -> Amounts:
    """Outputs that the runtime holds against a threshold, in the pass that counts zeros.

    Where another pass counts those anyway, see `counted`, all of it is added.
    """
    return {"one": 1, "outputs": outputs, "added": outputs * (zero_point == _LEAST)}


def outputs_of(job: Job, positions: float) -> Amounts:
    """What any kernel does once, once a row, a position, an output."""
    outputs = positions * job.rows
    return {
        "one": 1,
        "rows": job.rows,
        "positions": positions,
        "outputs": outputs,
        **rescaled(job, "outputs", outputs),
        **counted(job, outputs),
    }


def _share(total: int, most: int) -> int:
    """Positions of a band where all bands are about as large, and none above `most`."""
    bands = parts(total, most)
    return parts(total, bands)


def taps_high(job: Job) -> int:
    """Rows of a filter."""
    return int(job.params.get("kernel_h", 1))


def _edge_taps(job: Job) -> int:
    """Rows of filters at positions whose windows reach over the image's left or right edge."""
    if job.is_pixel:
        return 0
    p = job.params
    first = np.arange(p["out_w"]) * p["stride_w"] - p["pad_left"]
    last = first + (p["kernel_w"] - 1) * p["dilation_w"]
    over = int(np.count_nonzero((first < 0) | (last >= p["in_w"])))
    return over * int(p["batches"] * p["out_h"] * p["kernel_h"])


def _lines(job: Job, length: int) -> list[NDArray[np.uint8]]:
    """The classes of positions in lines of a length, the last one shorter."""
    positions = job.classes.positions
    return [positions[i : i + length] for i in range(0, len(positions), length)]


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
    packed = {
        "packed_windows": job.positions * job.columns,
        "window_taps": job.positions * taps_high(job),
        "edge_taps": _edge_taps(job),
    }
    return _tiles(job, share, packed) if _pays(job, share) else single(job)


def _pays(job: Job, share: int) -> bool:
    return job.rows >= _TILE_ROWS_MOST and share >= 4


def _tiles(job: Job, share: int, packed: Amounts) -> Amounts:
    bands = parts(job.positions, share)
    pairs = (bands - 1) * parts(share, 2) + parts(job.positions - (bands - 1) * share, 2)
    tiles = [halves(line, 1) for line in _lines(job, share)]
    amounts = _tile_amounts(job, bands=bands, lines=bands, pairs=pairs, runs=1)
    return amounts | packed | of_rows(job, tiles, bands=bands, together=2)


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
        **rescaled(job, "tiles", tiles),
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
    tiles = [
        neighbours(part, 2)
        for line in _lines(job, width)
        for part in np.split(line, range(columns, width, columns))
    ]
    return amounts | {
        **of_rows(job, tiles, bands=strips, together=2),
        "packed_strips": packed_lines * pixels * 2 * p["in_c"],
        "packed_lines": packed_lines,
        "packed_pixels": packed_lines * pixels if p["kernel_w"] == 1 < p["stride_w"] else 0,
    }


def single(job: Job) -> Amounts:
    """Position by position, from the rows as they are."""
    outputs = job.positions * job.rows
    groups, blocks = parts(job.columns, 4), job.positions * parts(job.rows, _DOT_ROWS)
    copied = not job.is_pixel
    return {
        "one": 1,
        "single_positions": job.positions,
        "single_outputs": outputs,
        "single_groups": outputs * groups,
        "single_rest_groups": outputs * (groups % 4),
        "single_blocks": blocks,
        "single_block_groups": blocks * groups,
        "single_packed": job.positions * job.columns,
        "single_copied": job.positions * job.columns * copied,
        "single_taps": job.positions * taps_high(job) * copied,
        "edge_taps": _edge_taps(job),
        **rescaled(job, "outputs", outputs),
        **counted(job, outputs),
        "class_outputs": outputs * bool(len(job.classes.amounts)),
    }


# --- Zero weights -----------------------------------------------------------------------------


def sparse(job: Job) -> Amounts:
    """Each non-zero weight for eight positions at a time."""
    p = job.params
    packed: Amounts
    if job.positions < _TILE_WORDS:
        return sparse_single(job)
    entries = int(job.entries.sum()) + int((job.entries % 2).sum())
    heavy = job.magnitudes > _LANE
    long = 1.0 - (1.0 - job.long) * (1.0 - float(np.mean(heavy)))
    if not job.is_pixel and p["out_w"] >= _ROWS_WIDTH:
        rows = min(parts(p["band"], p["out_w"]), p["out_h"])
        bands = p["batches"] * parts(p["out_h"], rows)
        lines, words = p["batches"] * p["out_h"], parts(p["out_w"], 2)
        packed = _packed_rows(job, bands, rows, words)
        length = p["out_w"]
    else:
        band = parts(p.get("band", 16), 2 * _TILE_WORDS) * 2 * _TILE_WORDS
        bands = lines = parts(job.positions, band)
        words = max(parts(min(band, job.positions), 2), _TILE_WORDS)
        kind = "packed_pixels" if job.is_pixel else "packed_columns"
        packed = {kind: bands * words * job.columns, "packed_words": bands * words}
        packed |= {"column_taps": 0 if job.is_pixel else bands * words * 2 * taps_high(job)}
        packed |= {"column_edge_taps": _edge_taps(job)}
        length = band
    tiles = lines * parts(words, _TILE_WORDS)
    return {
        **outputs_of(job, job.positions),
        **packed,
        "bands": bands,
        "band_rows": bands * job.rows,
        "decoded": bands * int(job.entries.sum()),
        "decoded_columns": bands * job.rows * job.columns,
        "decoded_taps": bands * job.rows * taps_high(job) * p.get("kernel_w", 1),
        "line_rows": lines * job.rows,
        "line_rests": lines * job.rows if words % _TILE_WORDS else 0,
        "tile_rows": tiles * job.rows,
        "tile_entries": tiles * entries,
        "weighed": bands * _weighed(job),
        **rescaled(job, "tile_rows", tiles * job.rows),
        "long_tile_rows": tiles * job.rows * long,
        "long_tile_lists": tiles * int(_lists_of(job.entries[heavy]).sum()),
        **of_rows(
            job,
            [halves(line, _TILE_WORDS) for line in _lines(job, length)],
            bands=bands,
            together=1,
        ),
    }


def _lists_of(entries: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lists that rows of so many entries are cut into."""
    return -(-entries // _LIST_ENTRIES)


def _weighed(job: Job) -> float:
    """Entries whose weights are looked at before a row's are known to fit a lane.

    They count as 128 until then.
    """
    beyond = 128 * job.entries - _LANE
    each = 128.0 - job.magnitudes / np.maximum(job.entries, 1)
    return float(np.clip(beyond / np.maximum(each, 1.0), 0, job.entries).sum())


def _packed_rows(job: Job, bands: int, rows: int, words: int) -> Amounts:
    p = job.params
    shared = p["dilation_h"] == 1 and p["stride_h"] < p["kernel_h"]
    step = p["stride_h"] if shared else p["kernel_h"]
    slots = bands * ((rows - 1) * step + p["kernel_h"])
    kept = (bands - p["batches"]) * (p["kernel_h"] - step) if shared else 0
    reach = (p["kernel_w"] - 1) * p["dilation_w"]
    phases = min(reach + 1, p["stride_w"])
    plane = words + reach // p["stride_w"]
    first = np.arange(phases)[:, None] - p["pad_left"] + np.arange(plane) * p["stride_w"]
    last = first + (p["out_w"] - words) * p["stride_w"]
    edges = int(np.count_nonzero((first < 0) | (last >= p["in_w"])))
    return {
        "packed_rows": (slots - kept) * phases,
        "packed_words": (slots - kept) * phases * plane,
        "packed_edges": (slots - kept) * edges,
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
        "single_taps": 0 if job.is_pixel else job.positions * taps_high(job),
        **rescaled(job, "outputs", outputs),
        **counted(job, outputs),
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
        "window_taps": 0 if job.is_pixel else job.positions * taps_high(job),
        "edge_taps": _edge_taps(job),
        "band_rows": bands * job.rows,
        "band_groups": bands * job.groups,
        "tile_rows": tiles * job.rows,
        "tile_groups": tiles * job.groups,
        "single_rows": job.rows if rest == 1 else 0,
        "single_groups": job.groups if rest == 1 else 0,
        "rest_rows": job.rows if rest > 1 else 0,
        "rest_groups": job.groups if rest > 1 else 0,
        **of_rows(
            job,
            [neighbours(line, 4) for line in _lines(job, parts(job.params.get("band", 4), 4) * 4)],
            bands=bands,
            together=1,
        ),
    }


def _grouped_single(job: Job) -> Amounts:
    return {
        "one": 1,
        "vector_rows": job.rows,
        "vector_groups": job.groups,
        "vector_copied": 0 if job.is_pixel else job.columns,
        **rescaled(job, "outputs", job.rows),
        **counted(job, job.rows),
    }
