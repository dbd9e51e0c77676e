"""A document of counts against an earlier one: what changed, and whether it grew too much."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgesparse.bench.measure import SCHEMA_VERSION
from edgesparse.compare.ratios import growth
from edgesparse.errors import FormatError, RegressionError, UsageError
from edgesparse.files import read_file
from edgesparse.pipeline import AUTO, OFF

__all__ = ["check_regression", "compare", "entry_name", "read_document"]

_COMPARED = ("count", "modelled_cycles")


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Totals(_Part):
    count: float = Field(ge=0, allow_inf_nan=False)
    modelled_cycles: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class _Entry(_Part):
    model: str
    model_sha256: str
    board: str
    cycles_part: str | None = None
    unit: str
    sparsity: float
    skip_activations: str = AUTO
    totals: _Totals


class _Document(_Part):
    schema_version: int
    entries: list[_Entry]


def read_document(path: Path) -> dict[str, Any]:
    """A document that an earlier bench wrote.  Raises UsageError and FormatError."""
    data = read_file(path)
    try:
        checked = _Document.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        raise FormatError(f"{path}: {where}: {first['msg']}") from error
    if checked.schema_version != SCHEMA_VERSION:
        raise FormatError(
            f"{path} has schema version {checked.schema_version}, this reader {SCHEMA_VERSION}"
        )
    document: dict[str, Any] = json.loads(data)
    return document


def entry_name(entry: Mapping[str, Any]) -> str:
    """What tells an entry from others, for people."""
    part = f" ({entry['cycles_part']})" if entry.get("cycles_part") else ""
    kept = ", no activations skipped" if entry.get("skip_activations") == OFF else ""
    where = f"{entry['model']} on {entry['board']}{part}"
    return f"{where} at {100 * entry['sparsity']:g} % zeros{kept}"


def _by_name(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {entry_name(entry): entry for entry in document["entries"]}


def compare(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What became of the totals of each entry.

    Returns "changes", rows {entry, quantity, before, after, change} with `change` relative to
    before, and the names of entries "only_before", "only_after" and "not_comparable": of another
    model file or in another unit.  Raises UsageError where nothing can be compared.
    """
    old, new = _by_name(before), _by_name(after)
    common = [name for name in new if name in old]
    alike = [
        name
        for name in common
        if all(old[name][key] == new[name][key] for key in ("model_sha256", "unit"))
    ]
    if not alike:
        raise UsageError("the earlier result has no entry in common with this one")
    changes = [
        {
            "entry": name,
            "quantity": new[name]["unit"] if quantity == "count" else quantity.replace("_", " "),
            "before": old[name]["totals"][quantity],
            "after": new[name]["totals"][quantity],
            "change": growth(old[name]["totals"][quantity], new[name]["totals"][quantity]),
        }
        for name in alike
        for quantity in _COMPARED
        if all(each[name]["totals"].get(quantity) is not None for each in (old, new))
    ]
    return {
        "changes": changes,
        "only_before": [name for name in old if name not in new],
        "only_after": [name for name in new if name not in old],
        "not_comparable": [name for name in common if name not in alike],
    }


def check_regression(comparison: Mapping[str, Any], max_regression: float) -> None:
    """Raise RegressionError that names the worst change if it is above `max_regression`."""
    changes: Sequence[Mapping[str, Any]] = comparison["changes"]
    worst = max(changes, key=lambda row: row["change"])
    if worst["change"] > max_regression:
        raise RegressionError(
            f"{worst['entry']}: {worst['before']:,.10g} -> {worst['after']:,.10g}"
            f" {worst['quantity']}, {100 * worst['change']:+.2f} %"
            f" (allowed: {100 * max_regression:+g} %)"
        )
