"""What each stored constant is for, and how large values get on their way through a network.

Networks whose weights are all one constant have outputs that hardly depend on the input. To replace them,
`materialise` has to know which constant is a filter, which a bias and which a running statistic, and what
magnitude the statistics see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

_BYPASS = frozenset({"Unsqueeze", "Squeeze", "Reshape", "Identity", "Flatten", "Transpose", "Cast"})

# Operator -> role of each of its inputs.
_INPUT_ROLES: dict[str, tuple[str, ...]] = {
    "Conv": ("", "filter", "bias"),
    "ConvTranspose": ("", "transposed_filter", "bias"),
    "Gemm": ("matrix", "matrix", "bias"),
    "MatMul": ("matrix", "matrix"),
    "BatchNormalization": ("", "scale", "shift", "mean", "variance"),
    "InstanceNormalization": ("", "scale", "shift"),
    "LayerNormalization": ("", "scale", "shift"),
    "GroupNormalization": ("", "scale", "shift"),
    "RMSNormalization": ("", "scale"),
    "LSTM": ("", "recurrent", "recurrent", "bias"),
    "GRU": ("", "recurrent", "recurrent", "bias"),
    "RNN": ("", "recurrent", "recurrent", "bias"),
    "PRelu": ("", "slope"),
    "Gather": ("table",),
    "Mul": ("factor", "factor"),
    "Add": ("offset", "offset"),
    "Sum": ("offset", "offset"),
}
WEIGHTS = frozenset({"filter", "transposed_filter", "matrix", "recurrent", "table"})
"""Roles whose values were learnt first: the others only fit to them."""


@dataclass(frozen=True, slots=True)
class Use:
    """The use that decides the values of a constant.

    Parameters
    ----------
    node
        The NodeProto that reads it, past reshaping.
    perm
        Order of the constant's axes as that node sees them; None: unchanged.
    """

    role: str
    node: Any
    perm: tuple[int, ...] | None = None


def constant_uses(nodes: list[Any]) -> dict[str, Use]:
    """First use of every value that is an operand with a role; chains of reshaping are followed."""
    uses: dict[str, Use] = {}
    for node in reversed(nodes):  # readers first, so that one pass follows whole chains
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type in _BYPASS and node.input and node.output[0] in uses:
            later = uses[node.output[0]]
            perm = later.perm
            if node.op_type == "Transpose":
                perm = tuple(next((a.ints for a in node.attribute if a.name == "perm"), ())) or None
            uses[node.input[0]] = Use(later.role, later.node, perm)
            continue
        for name, role in zip(node.input, _INPUT_ROLES.get(node.op_type, ()), strict=False):
            if name and role:
                uses[name] = Use(role, node)
    return uses


def fan_in(use: Use, shape: tuple[int, ...]) -> int:
    """How many products are added up for one output of the node that uses a weight of this shape."""
    dims = tuple(shape[axis] for axis in use.perm) if use.perm and len(use.perm) == len(shape) else shape
    if use.role == "filter":
        return math.prod(dims[1:])
    if use.role == "transposed_filter":
        return max(dims[0] * math.prod(dims[2:]), 1)
    if len(dims) < 2:
        return max(math.prod(dims), 1)
    if use.node.op_type == "Gemm":
        transposed = next((a.i for a in use.node.attribute if a.name == "transB"), 0)
        return dims[-1] if transposed else dims[-2]
    return dims[-2]


@dataclass(frozen=True, slots=True)
class Moments:
    """Mean and variance of the elements of a value."""

    mean: float = 0.0
    variance: float = 1.0

    @property
    def square(self) -> float:
        """Expected square."""
        return self.mean**2 + self.variance


_BOUNDED = {
    **dict.fromkeys(("Sigmoid", "HardSigmoid"), Moments(0.5, 0.05)),
    **dict.fromkeys(("Softmax", "RNN", "LSTM", "GRU"), Moments(0.0, 0.1)),
}
_RECTIFIERS = frozenset(
    {
        "Relu",
        "Clip",
        "LeakyRelu",
        "PRelu",
        "Elu",
        "Selu",
        "Celu",
        "Gelu",
        "HardSwish",
        "Swish",
        "Mish",
        "Softplus",
    }
)
_NORMALISERS = frozenset(
    {
        *("BatchNormalization", "InstanceNormalization", "LayerNormalization"),
        *("GroupNormalization", "RMSNormalization"),
    }
)
_PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
_LARGEST = 1e12


def expected_moments(nodes: list[Any], inputs: list[str], seeded: set[str]) -> dict[str, Moments]:
    """Mean and variance of each varying value, by mean-field theory, for inputs of mean 0 and variance 1.

    He weights double the expected square and take the mean away; rectifiers act as on a normal distribution,
    sums add up, and normalisation gives mean 0 and variance 1 if its statistics are right, which is
    what the numbers are for. Nodes must be in topological order.

    Notes
    -----
    He, Zhang, Ren, Sun, "Delving deep into rectifiers" (ICCV 2015), section 2.2.
    """
    moments = dict.fromkeys(inputs, Moments())
    for node in nodes:
        known = [moments[name] for name in node.input if name in moments]
        if not known:
            continue
        after = _after(node, known, seeded)
        bounded = Moments(max(min(after.mean, _LARGEST), -_LARGEST), min(after.variance, _LARGEST))
        moments.update(dict.fromkeys(node.output, bounded))
    return moments


def _after(node: Any, known: list[Moments], seeded: set[str]) -> Moments:
    """Moments of the output of a node whose varying inputs have the moments `known`."""
    op = node.op_type
    after = _BOUNDED.get(op, known[0])
    if op in _PRODUCTS:
        gain = 2.0 if any(name in seeded for name in node.input) else 1.0
        after = Moments(0.0, gain * known[0].square)
    elif op in _NORMALISERS:
        after = Moments()
    elif op in _RECTIFIERS:
        after = _rectified(known[0])
    elif op in ("Add", "Sum"):
        after = Moments(sum(k.mean for k in known), sum(k.variance for k in known))
    elif op == "Mul" and len(known) > 1:
        mean = math.prod(k.mean for k in known)
        after = Moments(mean, max(math.prod(k.square for k in known) - mean**2, 0.0))
    elif op == "Concat":
        mean = sum(k.mean for k in known) / len(known)
        after = Moments(mean, max(sum(k.square for k in known) / len(known) - mean**2, 0.0))
    return after


def _rectified(before: Moments) -> Moments:
    """Moments of max(x, 0) for normally distributed x."""
    deviation = math.sqrt(before.variance)
    if deviation == 0:
        return Moments(max(before.mean, 0.0), 0.0)
    ratio = before.mean / deviation
    positive = 0.5 * math.erfc(-ratio / math.sqrt(2))  # probability of x > 0
    density = math.exp(-(ratio**2) / 2) / math.sqrt(2 * math.pi)
    mean = before.mean * positive + deviation * density
    square = before.square * positive + before.mean * deviation * density
    return Moments(mean, max(square - mean**2, 0.0))
