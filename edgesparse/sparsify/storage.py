"""What zeros in groups cost to store and to read: index bits, bytes and memory references.

For the CONV_2D and FULLY_CONNECTED layers of a model as it is, whatever made its zeros.  A group
(granularity.py) is stored, whole and with 8 bits a weight, if any of its weights is not zero; an
index says which groups are.  Encodings of the index, of the G groups of a layer in the order of
the weights (OHWI):

- dense: all weights, no index.
- bitmap: one bit a group, G bits.
- run4, run8: the groups skipped before each stored one, in b = 4 or 8 bits.  Of z groups skipped,
  every 2^b need a filler: an index of 2^b - 1 and a group of zeros, stored as well.  So a layer has
  E = stored groups + Σ floor(z / 2^b) entries and b · E index bits.

bytes = ceil((8 · weights stored, fillers included, + index bits) / 8), summed over layers.

references = Σ over layers: output positions · entries · words, the loads of 32-bit words of
activations that an inference makes if every entry loads its own.  words = runs · ceil(run / 4): the
inputs of a group form `runs` runs of `run` neighbouring bytes in im2col order.  A count to compare
granularities by, not a prediction of a kernel, which may hold a word for several entries.  What
edgesparse's own encodings take, with their padding, is in the analysis of the layers.

Source: S. Han, H. Mao, W. Dally, "Deep Compression", 2016, section 2, and S. Han et al., "EIE",
2016, for runs with fillers; H. Mao et al., "Exploring the Regularity of Sparse Structure in
Convolutional Neural Networks", 2017, for fewer indices and references by coarser groups.  They
count the references of one accelerator to its output buffer; here inputs are gathered.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich import box
from rich.table import Table

from edgesparse.model import Model
from edgesparse.ops import macs
from edgesparse.sparsify.granularity import filters, group_ids, group_shape
from edgesparse.sparsify.layer import Layer, layers_of

RUN_BITS = {"run4": 4, "run8": 8}
"""Bits of an index that counts the groups skipped, by the name of the encoding."""
ENCODINGS = ("bitmap", *RUN_BITS)
COMPARED = ("element", "vector", "1x4", "kernel", "filter")
"""The granularities of the table, from fine to coarse."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What the layers of a model take at one granularity in one encoding.

    groups, stored_groups: of all layers, and those with a weight that is not zero; fillers come on
    top.  references: of one inference.
    """

    granularity: str
    encoding: str
    groups: int
    stored_groups: int
    fillers: int
    index_bits: int
    bytes: int
    references: int


def words_of(group: tuple[int, int, int], kernel: tuple[int, int, int]) -> int:
    """Return the 32-bit loads for the inputs of a group (H, W, I) of a filter `kernel` = (H, W, I).

    Inputs are neighbours along I, then along W where a group has all of I, then along H where it
    has all of both.
    """
    height, width, channels = group
    if channels < kernel[2]:
        return height * width * -(-channels // 4)
    if width < kernel[1]:
        return height * -(-width * channels // 4)
    return -(-height * width * channels // 4)


def fillers_of(stored: NDArray[np.bool_], bits: int) -> int:
    """Return the fillers that runs of `bits` bits need; stored: which groups are, in order."""
    skipped = np.diff(np.flatnonzero(stored), prepend=-1) - 1
    return int((skipped >> bits).sum())


def storage(model: Model) -> list[Storage]:
    """Return what a supported model takes dense, then at every granularity in every encoding."""
    layers = [each for each in layers_of(model) if each.node.op != "DEPTHWISE_CONV_2D"]
    dense = [_dense(model, layer) for layer in layers]
    rows = [_sum("", "dense", dense)]
    for granularity in COMPARED:
        for encoding in ENCODINGS:
            each = [_layer(model, layer, granularity, encoding) for layer in layers]
            rows.append(_sum(granularity, encoding, each))
    return rows


def _kernel(layer: Layer) -> tuple[int, int, int, int]:
    assert layer.tensor.data is not None  # check_supported has seen to it
    count, height, width, channels = filters(layer.node.op, layer.tensor.data).shape
    return count, height, width, channels


def _positions(model: Model, layer: Layer) -> int:
    """Output positions: every weight makes one product at each."""
    return macs(model, layer.node) // layer.tensor.elements


def _dense(model: Model, layer: Layer) -> Storage:
    count, *kernel = _kernel(layer)
    words = count * -(-int(np.prod(kernel)) // 4)
    weights = layer.tensor.elements
    return Storage("", "dense", 0, 0, 0, 0, weights, _positions(model, layer) * words)


def _layer(model: Model, layer: Layer, granularity: str, encoding: str) -> Storage:
    data = layer.tensor.data
    assert data is not None  # check_supported has seen to it
    _, height, width, channels = _kernel(layer)
    ids = group_ids(layer.node.op, data.shape, granularity).reshape(-1)
    sizes = np.bincount(ids)
    stored = np.bincount(ids, weights=data.reshape(-1) != 0) > 0
    shape = group_shape(granularity, (height, width, channels))
    words = words_of(shape, (height, width, channels))
    # Only the last group of 1xN can be shorter, and is then one run.
    short = sizes < np.prod(shape)
    word_counts = np.where(short, -(-sizes // 4), words)
    entries = int(stored.sum())
    bits = RUN_BITS.get(encoding)
    fillers = 0 if bits is None else fillers_of(stored, bits)
    index_bits = sizes.size if bits is None else bits * (entries + fillers)
    weights = int(sizes[stored].sum()) + fillers * int(np.prod(shape))
    loads = int(word_counts[stored].sum()) + fillers * words
    return Storage(
        granularity,
        encoding,
        groups=sizes.size,
        stored_groups=entries,
        fillers=fillers,
        index_bits=index_bits,
        bytes=-(-(8 * weights + index_bits) // 8),
        references=_positions(model, layer) * loads,
    )


def _sum(granularity: str, encoding: str, layers: list[Storage]) -> Storage:
    summed = ("groups", "stored_groups", "fillers", "index_bits", "bytes", "references")
    totals = {key: sum(int(getattr(each, key)) for each in layers) for key in summed}
    return Storage(granularity, encoding, **totals)


def storage_rows(model: Model) -> list[dict[str, Any]]:
    """Return the rows of storage() for JSON."""
    return [asdict(row) for row in storage(model)]


def render_storage(rows: list[dict[str, Any]]) -> Table:
    """Return the rows of storage_rows() as a table for people."""
    table = Table(title="storage by granularity", box=box.SIMPLE_HEAD, show_edge=False)
    for name in ("granularity", "index"):
        table.add_column(name, no_wrap=True)
    for name in ("groups", "stored", "fillers", "index bits", "bytes", "references"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        is_dense = row["encoding"] == "dense"
        keys = ("groups", "stored_groups", "fillers", "index_bits", "bytes", "references")
        cells = ("" if is_dense and not row[key] else f"{row[key]:,}" for key in keys)
        table.add_row(row["granularity"] or "dense", "" if is_dense else row["encoding"], *cells)
    return table
