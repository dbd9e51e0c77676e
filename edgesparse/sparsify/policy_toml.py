"""A policy as the TOML that load_policy reads."""

from __future__ import annotations

import json
from collections.abc import Iterator

from edgesparse.sparsify.policy import Policy
from edgesparse.sparsify.rule import Rule

__all__ = ["policy_toml"]


def policy_toml(policy: Policy, *, comment: str = "") -> str:
    """Return the text of a policy; a comment goes in front, each of its lines with a #.

    Numbers are written such that reading gives them back to the bit.
    """
    lines = [f"# {line}".rstrip() for line in comment.splitlines()]
    tables = ["\n".join(lines)] if lines else []
    tables += ["\n".join(table) for table in _tables(policy)]
    return "\n\n".join(tables) + "\n"


def _tables(policy: Policy) -> Iterator[list[str]]:
    if policy.default is not None:
        yield ["[default]", *_rule(policy.default)]
    for each in policy.layers:
        yield ["[[layer]]", f"match = {_text(each.match)}", *_rule(each.rule)]
    for rule in policy.activations:
        yield [
            "[[activation]]",
            f"match = {_text(rule.match)}",
            f"threshold = {float(rule.fraction)!r}",
        ]
    for block in policy.blocks:
        patterns = ", ".join(map(_text, block.match))
        yield ["[[block]]", f"name = {_text(block.name)}", f"match = [{patterns}]"]


def _rule(rule: Rule) -> Iterator[str]:
    yield f"method = {_text(rule.method)}"
    if rule.value:
        numbers = [repr(float(each)) for each in rule.value]
        yield f"value = {numbers[0] if len(numbers) == 1 else '[' + ', '.join(numbers) + ']'}"
    if rule.granularity != "element":
        yield f"granularity = {_text(rule.granularity)}"
    if rule.compensate:
        yield "compensate = true"


def _text(text: str) -> str:
    # A basic string of TOML takes JSON's escapes, but no surrogates, and not DEL as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
