"""A policy: which layers are thinned how, and which of them form blocks, from a TOML file.

::

    [default]                   # layers that nothing matches; without it they stay as they are
    method = "topk"
    value = 0.3

    [[layer]]                   # the first match wins
    match = "conv2d_4"          # part of a name, or a whole name with * ? [ ]
    method = "relative"
    value = 0.6
    granularity = "1x4"
    compensate = true           # the weights that stay make up for those that go

    [[activation]]              # thresholds of activations, see edgesparse.thresholds
    match = "conv2d_4"
    threshold = 0.05

    [[block]]                   # rows of their own in reports
    name = "stack1"
    match = ["conv2d_1", "*/add_*"]

Rules by layer name and blocks follow the scopes of D. Loroch et al., "Sparsity in Deep Neural
Networks - An Empirical Investigation with TensorQuant", 2018.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from edgesparse.errors import UsageError
from edgesparse.files import read_file
from edgesparse.sparsify.layer import Layer
from edgesparse.sparsify.rule import Rule

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _DefaultTable(_Table):
    method: str
    value: float | list[float] = Field(default_factory=list)
    granularity: str = "element"
    compensate: bool = False

    def rule(self) -> Rule:
        values = self.value if isinstance(self.value, list) else [self.value]
        return Rule(self.method, tuple(values), self.granularity, self.compensate)


class _LayerTable(_DefaultTable):
    match: str = Field(min_length=1)


class _BlockTable(_Table):
    name: str = Field(min_length=1)
    match: list[str] = Field(min_length=1)

    @field_validator("match", mode="before")
    @classmethod
    def _one_or_more(cls, given: Any) -> Any:
        return [given] if isinstance(given, str) else given


class _ActivationTable(_Table):
    match: str = Field(min_length=1)
    threshold: float = Field(ge=0.0, le=0.5)


class _PolicyTable(_Table):
    default: _DefaultTable | None = None
    layer: list[_LayerTable] = Field(default_factory=list)
    activation: list[_ActivationTable] = Field(default_factory=list)
    block: list[_BlockTable] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LayerRule:
    """A rule for the layers whose name a pattern matches."""

    match: str
    rule: Rule


@dataclass(frozen=True, slots=True)
class ActivationRule:
    """A threshold for the activations of the layers whose name a pattern matches.

    fraction: of the greatest magnitude that the layer's output can hold, 0 ... 0.5.
    """

    match: str
    fraction: float


@dataclass(frozen=True, slots=True)
class Block:
    """A named group of layers: those whose name one of the patterns matches."""

    name: str
    match: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Rules by layer, the first match wins; default: for the others, None leaves them alone.

    activations: likewise, thresholds of what layers give out.
    """

    layers: tuple[LayerRule, ...] = ()
    default: Rule | None = None
    blocks: tuple[Block, ...] = ()
    activations: tuple[ActivationRule, ...] = ()

    def rules(self) -> tuple[Rule, ...]:
        """All rules, the default last."""
        return tuple(each.rule for each in self.layers) + (
            () if self.default is None else (self.default,)
        )

    def compensating(self) -> Policy:
        """The same with every rule compensating."""
        return replace(
            self,
            layers=tuple(
                replace(each, rule=replace(each.rule, compensate=True)) for each in self.layers
            ),
            default=None if self.default is None else replace(self.default, compensate=True),
        )


def load_policy(path: Path) -> Policy:
    """Read a policy.  Raises UsageError, with the table and a suggestion, for anything wrong."""
    try:
        table = _PolicyTable.model_validate(tomllib.loads(read_file(path).decode("utf-8")))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is not TOML: {error}") from error
    except ValidationError as error:
        raise _explained(path, error) from error
    rules = [
        LayerRule(each.match, _checked_rule(path, f"layer {i}", each))
        for i, each in enumerate(table.layer, start=1)
    ]
    default = None if table.default is None else _checked_rule(path, "default", table.default)
    blocks = tuple(Block(each.name, tuple(each.match)) for each in table.block)
    names = [block.name for block in blocks]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{path}: two blocks have the name '{twice}'")
    activations = tuple(ActivationRule(each.match, each.threshold) for each in table.activation)
    return Policy(tuple(rules), default, blocks, activations)


def _checked_rule(path: Path, where: str, table: _DefaultTable) -> Rule:
    try:
        return table.rule()
    except UsageError as error:
        raise UsageError(f"{path}: {where}: {error}", hint=error.hint) from error


def _explained(path: Path, error: ValidationError) -> UsageError:
    """The first fault as one line: which table, which key, and the key that was meant."""
    faults = error.errors()
    # A mistyped key is also missed under its right name; the typo says more.
    fault = next((each for each in faults if each["type"] == "extra_forbidden"), faults[0])
    *outer, key = fault["loc"]
    where = " ".join(str(part + 1) if isinstance(part, int) else part for part in outer)
    prefix = f"{path}: {where}: " if where else f"{path}: "
    if fault["type"] != "extra_forbidden":
        return UsageError(f"{prefix}{key}: {fault['msg']}")
    tables: dict[str, type[_Table]] = {
        "layer": _LayerTable,
        "activation": _ActivationTable,
        "block": _BlockTable,
        "default": _DefaultTable,
    }
    keys = list(tables.get(str(outer[0]) if outer else "", _PolicyTable).model_fields)
    close = difflib.get_close_matches(str(key), keys, n=1)
    return UsageError(
        f"{prefix}unknown key '{key}', there are: {', '.join(keys)}",
        hint=f"did you mean '{close[0]}'?" if close else None,
    )


def matches(pattern: str, names: Iterable[str]) -> bool:
    """Tell whether a pattern matches one of a layer's names.

    With any of * ? [ it must match a whole name as a shell would, case and all; without, it must be
    part of one.
    """
    if any(sign in pattern for sign in "*?["):
        return any(fnmatchcase(name, pattern) for name in names)
    return any(pattern in name for name in names)


def no_match(pattern: str, names: Iterable[str], what: str) -> UsageError:
    """The error for a pattern that matches nothing, with the name that comes closest."""
    parts = dict.fromkeys(part for name in names for part in (name, *name.split("/")))
    close = difflib.get_close_matches(pattern.strip("*/"), parts, n=1)
    hint = f"did you mean '{close[0]}'?" if close else "'edgesparse sparsify' lists the names"
    return UsageError(f"'{pattern}' matches no {what}", hint=hint)


def assign(
    layers: Sequence[Layer], policy: Policy, *, depthwise: bool
) -> list[tuple[Rule, list[Layer]]]:
    """Return each rule of a policy with its layers, every tensor of weights once.

    A rule takes depthwise layers too; the default only with `depthwise`.  Raises UsageError for a
    rule that is left without layers, and where layers that read the same weights are treated
    differently.
    """
    taken: list[tuple[Rule, list[Layer]]] = [(each.rule, []) for each in policy.layers]
    rest: list[Layer] = []
    group_of: dict[int, tuple[list[Layer] | None, Layer]] = {}
    for layer in layers:
        group = next(
            (
                group
                for each, (_, group) in zip(policy.layers, taken, strict=True)
                if matches(each.match, layer.names)
            ),
            None,
        )
        has_default = policy.default is not None
        if group is None and has_default and (depthwise or layer.node.op != "DEPTHWISE_CONV_2D"):
            group = rest
        before, first = group_of.setdefault(layer.tensor.index, (group, layer))
        if before is not group:
            raise UsageError(
                f"layers {first.node.index} and {layer.node.index} read the same weights,"
                f" '{layer.tensor.label}'; the policy treats them differently"
            )
        if group is not None and first is layer:
            group.append(layer)
    _check_used(layers, policy, taken)
    return [*taken, (policy.default, rest)] if policy.default is not None else taken


def _check_used(
    layers: Sequence[Layer], policy: Policy, taken: Sequence[tuple[Rule, list[Layer]]]
) -> None:
    for each, (_, group) in zip(policy.layers, taken, strict=True):
        if group:
            continue
        if any(matches(each.match, layer.names) for layer in layers):
            raise UsageError(f"'{each.match}' matches only layers that earlier rules take")
        names = (name for layer in layers for name in layer.names)
        raise no_match(each.match, names, "layer with weights that can be thinned")
