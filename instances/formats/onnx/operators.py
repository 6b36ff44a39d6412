"""FLOPs of each operator: a registry with one small rule for each kind.

A rule gets the node and the values it reads and writes, and returns FLOPs for exactly these shapes. One
multiply-accumulate is 2 FLOP; any other arithmetic operation, comparison, or elementary function of one
element (exp, log, sqrt, erf, tanh) is 1. Moving data is 0. The bias of a matrix operation is where its
accumulator starts, so it costs nothing.

Rules live in `arithmetic` (multiply-accumulates) and `elementwise` (everything else); `flops` applies them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnnplan.instances.formats.onnx.values import Node, Value

Values = Sequence[Value]
Rule = Callable[[Node, Values, Values], int]

RULES: dict[str, Rule] = {}


def operator(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule for the standard operators `names`."""

    def register(rule: Rule) -> Rule:
        for name in names:
            if name in RULES:
                raise ValueError(f"operator {name!r} has two rules, expected one")
            RULES[name] = rule
        return rule

    return register


def register_constant(flops_per_element: dict[str, int]) -> None:
    """Register operators that cost a constant number of FLOPs for each element of their first output."""
    for name, flops in flops_per_element.items():
        operator(name)(_per_output_element(flops))


def _per_output_element(flops: int) -> Rule:
    if flops == 0:
        return lambda node, inputs, outputs: 0
    return lambda node, inputs, outputs: flops * outputs[0].elements
