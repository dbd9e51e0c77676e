"""What is measured: models, ways to thin them, shares of zeros, halves of the rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
MORE_SHARES = {"resnet8_cifar10": (0.45,), "lenet_300_100": (0.85,)}
DENSE, SHARED = "dense", "shared out, compensated"
METHODS = ("relative", "topk", "flat", "triangular", "threshold")
COMPENSATED = ", compensated"


@dataclass(frozen=True, slots=True)
class Point:
    """What is measured at a time; half: that of the calibration, None for all rows and no such.

    A point without a way is the sensitivity of the layers, which further points need.
    """

    folder: str
    way: str
    share: float
    half: int | None

    @property
    def model(self) -> str:
        """Name of the model."""
        return Path(self.folder).name


def ways(
    name: str, layers: int, only: Sequence[float] | None = None
) -> Iterator[tuple[str, float, bool]]:
    """Every way at every share, and whether it is compensated.

    "relative" with compensation is "topk" with it but for ties, and in one layer nothing is shared.
    """
    yield DENSE, 0.0, False
    shares = sorted((*SHARES, *MORE_SHARES.get(name, ()))) if only is None else only
    for method in METHODS:
        yield from ((method, share, False) for share in shares)
    for method in METHODS[1:]:
        yield from ((method + COMPENSATED, share, True) for share in shares)
    if layers > 1:
        yield from ((SHARED, share, True) for share in shares)


def points_of(folder: Path, layers: int, only: Sequence[float] | None = None) -> list[Point]:
    """All points of a model, those that further ones need and cheap ones first."""
    found = [Point(str(folder), "", 0.0, half) for half in (0, 1)] if layers > 1 else []
    for way, share, is_compensated in ways(folder.name, layers, only):
        parts = (0, 1) if is_compensated else (None,)
        found += [Point(str(folder), way, share, half) for half in parts]
    return found


def turn(point: Point) -> tuple[bool, bool, float]:
    """In which order points are measured: what is quick first, then the middle, which says most."""
    return point.half is not None, point.way != SHARED, abs(point.share - 0.5)
