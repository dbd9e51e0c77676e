"""How some layers are thinned: a method, its value, a granularity."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgesparse.errors import UsageError
from edgesparse.sparsify.granularity import check_granularity

SHARE_METHODS = ("relative", "topk")
"""Methods whose value is a share of zeros."""
METHOD_NAMES = ("none", *SHARE_METHODS, "flat", "triangular", "threshold")
"""Every method by its name on the command line; threshold.py says what they do."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How some layers are thinned.

    Args:
        method: one of METHOD_NAMES.
        value: for relative and topk one share of zeros; for flat one fraction of a span, for
            triangular two; for threshold one real magnitude, or one for each layer.
        granularity: one of granularity.GRANULARITIES, or 1xN.
        compensate: whether the weights that stay make up for those that go, see compensate.

    Raises UsageError where these do not fit each other.
    """

    method: str = "none"
    value: tuple[float, ...] = ()
    granularity: str = "element"
    compensate: bool = False

    def __post_init__(self) -> None:
        check_granularity(self.granularity)
        check_method(self.method)
        given = len(self.value)
        if self.method == "threshold":
            if not self.value or not all(0.0 <= each < math.inf for each in self.value):
                raise UsageError("method threshold takes magnitudes from 0 on as its value")
            return
        wanted = {"none": 0, "triangular": 2}.get(self.method, 1)
        if given != wanted:
            counted = "no value" if wanted == 0 else f"{wanted} value{'s' if wanted > 1 else ''}"
            raise UsageError(f"method {self.method} takes {counted}, given {given}")
        what = "sparsity" if self.method in SHARE_METHODS else f"the value of {self.method}"
        wrong = next((each for each in self.value if not 0.0 <= each <= 1.0), None)
        if wrong is not None:
            raise UsageError(f"{what} {wrong} is outside 0 ... 1")


def check_method(name: str) -> None:
    """Raise UsageError, with a suggestion, for a name that is no method."""
    if name in METHOD_NAMES:
        return
    close = difflib.get_close_matches(name, METHOD_NAMES, n=1)
    raise UsageError(
        f"unknown method '{name}', there are: {', '.join(METHOD_NAMES)}",
        hint=f"did you mean '{close[0]}'?" if close else None,
    )


def rule_of(method: str, sparsity: float, value: Sequence[float], granularity: str) -> Rule:
    """Return the rule that --method, --sparsity, --value and --granularity mean.

    relative and topk take --sparsity, the others --value.  Raises UsageError for what does not
    belong together.
    """
    check_method(method)
    if not 0.0 <= sparsity <= 1.0:
        raise UsageError(f"sparsity {sparsity} is outside 0 ... 1")
    if method in SHARE_METHODS:
        if value:
            raise UsageError(f"method {method} takes --sparsity, not --value")
        return Rule(method, (sparsity,), granularity)
    if method == "none":
        check_granularity(granularity)
        given = {"--sparsity": sparsity, "--value": value, "--granularity": granularity}
        usual = {"--sparsity": 0.0, "--value": (), "--granularity": "element"}
        alone = next((name for name in given if given[name] != usual[name]), None)
        if alone is not None:
            raise UsageError(
                f"{alone} needs a --method", hint=f"one of {', '.join(METHOD_NAMES[1:])}"
            )
        return Rule()
    if sparsity:
        raise UsageError(f"method {method} takes --value, not --sparsity")
    return Rule(method, tuple(value), granularity)


def parse_values(text: str | None, option: str = "--value") -> tuple[float, ...]:
    """Return the numbers of an option, which commas separate.  UsageError for anything else."""
    if text is None:
        return ()
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{option} takes numbers with commas between them, not '{text}'") from None
