"""Random networks with weights: branches, joins, dead ends, and operators that make cuts hard."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from onnx import TensorProto, helper

from tests.support.deploy_networks import FLOAT, Builder

WIDTHS = (4, 8)


class RandomNetwork:
    """Values of `rows` times 4 or 8 numbers, grown one step after the other.

    Parameters
    ----------
    rows
        A number, or the name of a dimension that is not known.
    """

    def __init__(self, seed: int, rows: int | str = 3) -> None:
        self.random, self.rows, self.b = random.Random(seed), rows, Builder(seed)
        self.values: dict[str, int] = {}
        self.weights: dict[tuple[int, int], str] = {}
        for k in range(self.random.randint(1, 2)):
            width = self.random.choice(WIDTHS)
            self.values[self.b.input(f"in{k}", (rows, width))] = width
        if self.random.random() < 0.2:
            self.b.input("unread", (rows, 4))

    def grow(self, steps: int) -> Any:
        """The model after so many steps; its outputs are some values that nobody reads, and some that are read."""
        kinds = (
            self._pointwise, self._pointwise, self._linear, self._linear, self._joined, self._joined, self._halves,
            self._like_another, self._counted, self._chosen, self._half_precision, self._picked, self._conditional,
            self._clipped, self._through_integers,
        )  # fmt: skip
        for _ in range(steps):
            x = self._one()
            made, width = self.random.choice(kinds)(x, self.values[x])
            self.values[made] = width
        read = {name for node in self.b.nodes for name in node.input}
        leaves = [name for name in self.values if name not in read]
        others = [name for name in self.values if name in read and not name.startswith("in")]
        outputs = (
            leaves if len(leaves) < 2 else self.random.sample(leaves, self.random.randint(1, len(leaves)))
        )
        outputs += self.random.sample(others, self.random.randint(0, min(2, len(others))))
        return self.b.model([(name, (self.rows, self.values[name])) for name in outputs])

    def _one(self) -> str:
        """A value: rather one of the last ones."""
        names = list(self.values)
        return self.random.choice(names[-4:] if self.random.random() < 0.7 else names)

    def _weight(self, n: int, m: int) -> str:
        """A matrix, at times one that was used before."""
        if (n, m) not in self.weights or self.random.random() < 0.6:
            self.weights[n, m] = self.b.weight(n, m)
        return self.weights[n, m]

    def _pointwise(self, x: str, width: int) -> tuple[str, int]:
        return self.b.node(
            self.random.choice(("Relu", "Tanh", "Neg", "Abs", "Identity", "Sigmoid")), x
        ), width

    def _linear(self, x: str, width: int) -> tuple[str, int]:
        wide = self.random.choice(WIDTHS)
        y = self.b.node("MatMul", x, self._weight(width, wide))
        return (self.b.node("Add", y, self.b.weight(wide)) if self.random.random() < 0.5 else y), wide

    def _joined(self, x: str, width: int) -> tuple[str, int]:
        y = self._one()
        if self.values[y] == width:
            return self.b.node(self.random.choice(("Add", "Mul", "Max", "Sub")), x, y), width
        both = self.b.node("Concat", x, y, axis=1)
        return self.b.node("MatMul", both, self._weight(width + self.values[y], width)), width

    def _halves(self, x: str, width: int) -> tuple[str, int]:
        """One half may be left unread."""
        if width == WIDTHS[0]:
            return self._linear(x, width)
        one, two = self.b.node("Split", x, self.b.constant(np.array([4, 4])), outputs=2, axis=1)
        if self.random.random() < 0.7:
            self.values[two] = 4
        return one, 4

    def _like_another(self, x: str, width: int) -> tuple[str, int]:
        """Out of its shape and back, which another value or the value itself knows."""
        flat = self.b.node("Reshape", x, self.b.constant(np.array([-1])))
        y = self._one()
        shape = self.b.node("Shape", y if self.values[y] == width else x)
        return self.b.node("Reshape", flat, shape), width

    def _counted(self, x: str, width: int) -> tuple[str, int]:
        """Scaled by a number of rows, worked out of a shape."""
        count = self.b.node("Gather", self.b.node("Shape", self._one()), self.b.constant(np.int64(0)))
        return self.b.node("Div", x, self.b.node("Cast", count, to=FLOAT)), width

    def _chosen(self, x: str, width: int) -> tuple[str, int]:
        mask = self.b.node("Greater", x, self.b.constant(np.float32(0.1)))
        return self.b.node("Where", mask, x, self.b.node("Neg", x)), width

    def _half_precision(self, x: str, width: int) -> tuple[str, int]:
        y = self.b.node("Tanh", self.b.node("Cast", x, to=TensorProto.FLOAT16))
        return self.b.node("Cast", y, to=FLOAT), width

    def _picked(self, x: str, width: int) -> tuple[str, int]:
        place = self.b.node("ArgMax", x, axis=1, keepdims=0)
        wide = self.random.choice(WIDTHS)
        return self.b.node("Gather", self._weight(width, wide), place), wide

    def _conditional(self, x: str, width: int) -> tuple[str, int]:
        """Branches that read values from around them."""
        flag = self.b.node("Greater", self.b.node("ReduceSum", x, keepdims=0), self.b.constant(np.float32(0)))
        outer = self.b.node("Neg", x)
        ends = []
        for op, name in (("Tanh", x), ("Abs", outer)):
            made = f"{outer}.{op}"
            value = helper.make_tensor_value_info(made, FLOAT, (self.rows, width))
            ends.append(helper.make_graph([helper.make_node(op, [name], [made])], op, [], [value]))
        return self.b.node("If", flag, then_branch=ends[0], else_branch=ends[1]), width

    def _clipped(self, x: str, width: int) -> tuple[str, int]:
        """The lower end is left out, and the upper one is another layer's constant."""
        top = self.b.node("Add", self.b.constant(np.float32(0.5)), self.b.constant(np.float32(0.25)))
        return self.b.node("Clip", x, "", top), width

    def _through_integers(self, x: str, width: int) -> tuple[str, int]:
        kind = self.random.choice((TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL))
        return self.b.node("Cast", self.b.node("Cast", x, to=kind), to=FLOAT), width


def random_network(seed: int, *, rows: int | str = 3) -> Any:
    """A network of 3 to 25 steps."""
    return RandomNetwork(seed, rows).grow(3 + seed % 23)
