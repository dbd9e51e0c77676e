"""Model and rules to Model: which weights become zero."""

from __future__ import annotations

from edgesparse.sparsify.apply import LayerSparsity, sparsify
from edgesparse.sparsify.policy import ActivationRule, Policy, load_policy
from edgesparse.sparsify.rule import METHOD_NAMES, Rule, parse_values, rule_of

__all__ = [
    "METHOD_NAMES",
    "ActivationRule",
    "LayerSparsity",
    "Policy",
    "Rule",
    "load_policy",
    "parse_values",
    "rule_of",
    "sparsify",
]
