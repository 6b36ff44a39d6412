"""Symbolic dimensions of a model's inputs, replaced by numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dnnplan.instances.errors import FormatError, InputError, Problem
from dnnplan.instances.formats.onnx.values import checked_shape

# Names that exporters give to the batch dimension, and to dimensions they know nothing about.
_GUESSED = re.compile(r"^(n|b|bs|.*batch.*|none|\?|unk__.*)$", re.IGNORECASE)


def is_guessed(symbol: str) -> bool:
    """Whether a symbolic dimension of this name is taken as 1 when nobody gives its value."""
    return bool(_GUESSED.match(symbol))


LARGEST = 2**31
"""Largest dimension that is taken."""


class Dimensions:
    """Values of symbolic dimensions: those given, and those guessed.

    Parameters
    ----------
    given
        Number for each symbol; a dimension without a name is called ``INPUT[AXIS]``, e.g. ``image[2]``.

    Raises
    ------
    InputError
        A value that is not a whole number from 1 to `LARGEST`.
    """

    def __init__(self, given: Mapping[str, int] | None = None) -> None:
        self.given = dict(given or {})
        self.guessed: dict[str, int] = {}
        self.used: set[str] = set()
        bad = [
            Problem(
                f"dimension {name!r}",
                f"{value!r}, expected a whole number of at least 1 and at most {LARGEST}",
            )
            for name, value in self.given.items()
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= LARGEST
        ]
        if bad:
            raise InputError(problems=bad)

    def resolve(self, symbol: str, unnamed: str, *, leading: bool) -> int | None:
        """Number for a dimension called `symbol` (or, without a name, `unnamed`); None: not known."""
        for key in (symbol, unnamed):
            if key and key in self.given:
                self.used.add(key)
                return self.given[key]
        # An unnamed leading dimension is the batch in every exporter that leaves it open.
        if is_guessed(symbol) if symbol else leading:
            self.guessed[symbol or unnamed] = 1
            return 1
        return None

    def warnings(self) -> list[str]:
        """What was guessed, and what was given for nothing."""
        lines = [
            f"dimension {name!r} is symbolic: taken as {value} (set it with --dim {name}=VALUE)"
            for name, value in self.guessed.items()
        ]
        lines += [
            f"no symbolic dimension is called {name!r}: --dim {name}={value} has no effect"
            for name, value in self.given.items()
            if name not in self.used
        ]
        return lines


def bind_dimensions(graph: Any, inputs: list[str], dimensions: Dimensions, largest: int, source: str) -> None:
    """Replace symbolic dimensions in a GraphProto, in place.

    Inputs must become numbers. Types of other values lose their shape where it has a symbol, since shape
    inference finds it again from the inputs.

    Raises
    ------
    FormatError
        Input dimensions that are neither given nor can be guessed, all of them; or negative or huge ones.
    """
    wanted = set(inputs)
    problems: list[Problem] = []
    for value in graph.input:
        if value.name in wanted:
            problems.extend(_bind_input(value, dimensions))
    if problems:
        raise FormatError(problems=problems, source=source)
    for value in graph.input:
        if value.name in wanted and value.type.tensor_type.HasField("shape"):
            dims = (dim.dim_value for dim in value.type.tensor_type.shape.dim)
            checked_shape(value.name, dims, largest)
    for value in (*graph.value_info, *graph.output):
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
            tensor.ClearField("shape")


def _bind_input(value: Any, dimensions: Dimensions) -> list[Problem]:
    problems = []
    for axis, dim in enumerate(value.type.tensor_type.shape.dim):
        if dim.HasField("dim_value"):
            continue
        unnamed = f"{value.name}[{axis}]"
        number = dimensions.resolve(dim.dim_param, unnamed, leading=axis == 0)
        if number is None:
            symbol = dim.dim_param or unnamed
            problems.append(
                Problem(
                    f"input {value.name!r}",
                    f"dimension {axis} is the symbol {symbol!r}, expected a number: "
                    f"give it with --dim {symbol}=VALUE",
                )
            )
        else:
            dim.dim_value = number
    return problems
