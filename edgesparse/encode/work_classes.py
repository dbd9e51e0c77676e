"""Amounts of biases by class of position, see encode.narrow.classes and encode.work.

Kernels set their biases anew where the classes of a tile are not those of the tile before, for rows
or blocks of rows to which any class adds something.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgesparse.encode.job import Amounts, Job, parts

__all__ = ["halves", "neighbours", "of_rows", "runs"]

Tiles = NDArray[np.uint8]
"""Classes of the positions of each tile, [tiles, positions of a tile]."""


def runs(tiles: Tiles) -> int:
    """How many runs of like tiles there are."""
    return 1 + int(np.count_nonzero((tiles[1:] != tiles[:-1]).any(axis=1)))


def _tiles(line: NDArray[np.uint8], size: int) -> Tiles:
    """A line in tiles; what is left over repeats the last position."""
    whole = np.pad(line, (0, -len(line) % size), mode="edge")
    return whole.reshape(-1, size)


def neighbours(positions: NDArray[np.uint8], size: int) -> Tiles:
    """Tiles of positions side by side."""
    return _tiles(positions, size)


def halves(positions: NDArray[np.uint8], size: int) -> Tiles:
    """Tiles of positions of the first half of a line and those that far into the second."""
    words = max(parts(len(positions), 2), min(size, len(positions)))
    first, second = positions[:words], positions[len(positions) - words :]
    return np.concatenate([_tiles(first, size), _tiles(second, size)], axis=1)


def of_rows(job: Job, lines: list[Tiles], *, bands: int, together: int) -> Amounts:
    """Of a kernel that takes `together` rows at a time, in bands, along lines of tiles."""
    amounts = job.classes.amounts
    if not len(amounts):
        return {}
    matters = amounts.any(axis=0)
    blocks = np.pad(matters, (0, -len(matters) % together)).reshape(-1, together).any(axis=1)
    found = int(np.count_nonzero(blocks))
    return {
        "class_checks": bands * len(blocks) * len(amounts),
        "class_starts": bands * found * len(amounts),
        "class_lines": len(lines) * found,
        "class_runs": sum(map(runs, lines)) * found,
    }
