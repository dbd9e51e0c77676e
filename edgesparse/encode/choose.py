"""Which variant runs each node: the best one for the goal within the memory that there is.

Scratch lives only while its node runs, so each node has a scratch budget of its own: the arena
without the tensors that live at that time.  The search goes down from the best variant of each node
until the planned arena fits, and then takes the cheapest steps that save flash.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from edgesparse.encode.encoded import Encoded, EncodedNode, Variant
from edgesparse.encode.goal import Goal
from edgesparse.errors import DoesNotFitError
from edgesparse.memory import plan_memory, tensors_live
from edgesparse.plan import ALIGN_BYTES, aligned

__all__ = ["choose"]

# Scratch that gains less than this is not worth its RAM.
_SAME_COST = 1.002
# Weights may take this much more than as encoding dense where flash was not said to matter: tables
# of rows do at about half zeros.
_OVER_DENSE = 1.125
_BALANCED_ARENA = 1.1

_CHOSEN = "chosen"
_UNKNOWN = "cost not known"
_FLASH = "more flash than dense"
_DEARER = "costs more without zeros"
_SLOWER = "costs more"
_LARGER = "takes more flash"
_SCRATCH = "scratch gains under 0.2 %"
_NO_RAM = "scratch does not fit"
_NO_FLASH = "weights do not fit"


def _cost(variant: Variant) -> float:
    return math.inf if variant.cost is None else variant.cost


def _allowed(variants: Sequence[Variant], goal: Goal) -> list[Variant]:
    """Those whose cost is bounded and that flash allows: hardly more than dense, unless limited."""
    variants = [each for each in variants if each.never_dearer]
    dense = [each.flash_bytes for each in variants if each.encoding == "dense"]
    if goal.max_flash is not None or not dense:
        return list(variants)
    most = min(dense) if goal.optimize == "balanced" else _OVER_DENSE * min(dense)
    return [each for each in variants if each.flash_bytes <= most]


def _best(variants: Sequence[Variant], goal: Goal) -> Variant:
    """The best of some variants, whatever else there is."""
    if goal.optimize == "size":
        least = min(each.flash_bytes for each in variants)
        variants = [each for each in variants if each.flash_bytes == least]
    limit = min(map(_cost, variants)) * _SAME_COST
    good = [each for each in variants if _cost(each) <= limit]
    return min(good, key=lambda each: (each.scratch_bytes, _cost(each), each.flash_bytes))


@dataclass(slots=True)
class _Search:
    """Which variant each node has by now, and what it may take."""

    encoded: Encoded
    options: list[list[Variant]]
    goal: Goal
    chosen: list[Variant] = field(init=False)
    scratch_limit: list[float] = field(init=False)
    flash_limit: list[float] = field(init=False)
    tensors: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.scratch_limit = [math.inf] * len(self.options)
        self.flash_limit = [math.inf] * len(self.options)
        self.chosen = [_best(each, self.goal) for each in self.options]
        self.tensors = tensors_live(self.encoded)

    def arena_bytes(self) -> int:
        return plan_memory(self.encoded, [each.scratch_bytes for each in self.chosen]).arena_bytes

    def _pick(self, at: int) -> bool:
        """Choose anew for a node within its limits; False where nothing changed.

        Where nothing is within them it takes the variant that needs the least scratch.
        """
        options = [o for o in self.options[at] if o.flash_bytes <= self.flash_limit[at]]
        within = [o for o in options if o.scratch_bytes <= self.scratch_limit[at]]
        before = self.chosen[at]
        if within:
            self.chosen[at] = _best(within, self.goal)
        else:
            self.chosen[at] = min(options, key=lambda o: (o.scratch_bytes, _cost(o)))
        return self.chosen[at] != before

    def least_arena_bytes(self) -> int:
        """The arena with the least scratch that each node can do with."""
        least = [min(option.scratch_bytes for option in each) for each in self.options]
        return plan_memory(self.encoded, least).arena_bytes

    def fit_ram(self, limit_bytes: int) -> bool:
        """Go down until the arena fits, or is the least there can be; False if that is more."""
        least = self.least_arena_bytes()
        if least > limit_bytes:
            self.fit_ram(least)
            return False
        room = [(limit_bytes - live) // ALIGN_BYTES * ALIGN_BYTES for live in self.tensors]
        self.scratch_limit = list(map(min, room, self.scratch_limit))
        while self.arena_bytes() > limit_bytes:
            limits = zip(self.chosen, self.scratch_limit, strict=True)
            over = [i for i, (each, limit) in enumerate(limits) if each.scratch_bytes > limit]
            changed = [self._pick(i) for i in over]
            if not any(changed) and not self._squeeze():
                return False
        return True

    def _squeeze(self) -> bool:
        """All fits by itself but not together: less scratch for the node that has the most."""
        order = sorted(range(len(self.chosen)), key=lambda i: -self.chosen[i].scratch_bytes)
        for i in order:
            size = self.chosen[i].scratch_bytes
            if any(option.scratch_bytes < size for option in self.options[i]):
                self.scratch_limit[i] = size - 1
                if self._pick(i) and self.chosen[i].scratch_bytes < size:
                    return True
        return False

    def flash_bytes(self) -> int:
        return sum(each.flash_bytes for each in self.chosen)

    def fit_flash(self, limit_bytes: int) -> bool:
        """Save flash where that costs least a byte; False where the least does not fit."""
        while self.flash_bytes() > limit_bytes:
            steps = [
                (_slope(self.chosen[i], option), i, option)
                for i, options in enumerate(self.options)
                for option in options
                if option.flash_bytes < self.chosen[i].flash_bytes
                and option.scratch_bytes <= max(self.scratch_limit[i], 0)
            ]
            if not steps:
                return False
            _, at, option = min(steps, key=lambda step: step[:2])
            self.flash_limit[at] = option.flash_bytes
            self.chosen[at] = option
        return True


def _slope(now: Variant, then: Variant) -> float:
    """Cost of a byte of flash that is saved."""
    return (_cost(then) - _cost(now)) / (now.flash_bytes - then.flash_bytes)


def _with_reasons(node: EncodedNode, search: _Search, at: int) -> EncodedNode:
    chosen = search.chosen[at]

    def reason(variant: Variant) -> str:
        if variant is chosen:
            return _CHOSEN
        if variant.cost is None:
            return _UNKNOWN
        if variant not in search.options[at]:
            return _FLASH if variant.never_dearer else _DEARER
        if variant.scratch_bytes > search.scratch_limit[at]:
            return _NO_RAM
        if variant.flash_bytes > search.flash_limit[at]:
            return _NO_FLASH
        if search.goal.optimize == "size" and variant.flash_bytes > chosen.flash_bytes:
            return _LARGER
        return _SCRATCH if _cost(variant) <= _cost(chosen) else _SLOWER

    variants = tuple(replace(each, reason=reason(each)) for each in node.variants)
    return replace(node, chosen=replace(chosen, reason=_CHOSEN), variants=variants)


def _ram_limit(search: _Search) -> int | None:
    """What the arena should not exceed: as wished, or hardly more than the tensors need."""
    wishes = [search.goal.max_ram, search.goal.spare_ram]
    if search.goal.optimize == "balanced":
        tensors = plan_memory(search.encoded, [0] * len(search.chosen)).arena_bytes
        wishes.append(int(_BALANCED_ARENA * tensors))
    return min((wish for wish in wishes if wish is not None), default=None)


def _refuse_ram(search: _Search, name_of: Callable[[EncodedNode], str]) -> None:
    """Raise the error that says the least there can be, and which layer needs it."""
    assert search.goal.max_ram is not None
    least = search.arena_bytes()
    if least <= search.goal.max_ram:
        return
    sizes = [
        live + aligned(chosen.scratch_bytes)
        for live, chosen in zip(search.tensors, search.chosen, strict=True)
    ]
    at = max(range(len(sizes)), key=sizes.__getitem__)
    raise DoesNotFitError(
        f"the arena in --max-ram: layer {search.encoded.nodes[at].layer}"
        f" '{name_of(search.encoded.nodes[at])}' has {search.tensors[at]} bytes of tensors and"
        f" {search.chosen[at].scratch_bytes} of scratch; it",
        least,
        search.goal.max_ram,
        hint=f"the least possible is --max-ram {least}",
    )


def choose(encoded: Encoded, *, weights_limit_bytes: int | None = None) -> Encoded:
    """Choose among the variants of every node, for the goal of `encoded`.

    weights_limit_bytes: what the constant data of all nodes may take together.

    Raises DoesNotFitError where not even the least scratch fits into goal.max_ram, or not even the
    smallest weights into the limit.
    """
    goal = encoded.goal
    options = [_allowed(node.variants, goal) for node in encoded.nodes]
    search = _Search(encoded, options, goal)
    ram_limit = _ram_limit(search)
    fits_flash = True
    for _ in range(2):  # what saves flash may need other scratch
        if ram_limit is not None:
            search.fit_ram(ram_limit)
        if weights_limit_bytes is not None:
            fits_flash = search.fit_flash(weights_limit_bytes)
    if goal.max_ram is not None:
        _refuse_ram(search, lambda node: _layer_name(encoded, node))
    if weights_limit_bytes is not None and not fits_flash:
        raise DoesNotFitError(
            "the layers' constant data in what --max-flash leaves for it",
            search.flash_bytes(),
            weights_limit_bytes,
        )
    nodes = tuple(_with_reasons(node, search, i) for i, node in enumerate(encoded.nodes))
    return replace(encoded, nodes=nodes)


def _layer_name(encoded: Encoded, node: EncodedNode) -> str:
    index = (node.outputs or node.inputs)[0]
    return encoded.tensor(index).name
