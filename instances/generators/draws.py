"""Random numbers that are the same for a seed on every machine and with every version of numpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dnnplan.instances.errors import InputError

T = TypeVar("T")


class Draws:
    """Draws from one PCG64 stream.

    numpy keeps the raw output of its bit generators for ever, but not what the methods of `Generator` make of
    it, so that everything here is made of raw 64-bit words.

    >>> draws = Draws(7)
    >>> draws.integers(1, 9, 5).tolist() == Draws(7).integers(1, 9, 5).tolist()
    True
    """

    def __init__(self, seed: int) -> None:
        if seed < 0:
            raise InputError(f"seed: {seed}, expected an integer >= 0")
        self._source = np.random.PCG64(seed)

    def unit(self, *shape: int) -> NDArray[np.float64]:
        """Uniform floats in [0, 1), of the given shape."""
        count = int(np.prod(shape, dtype=np.int64))
        words = np.asarray(self._source.random_raw(count), dtype=np.uint64)
        return ((words >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(shape)

    def uniform(self, low: float, high: float, *shape: int) -> NDArray[np.float64]:
        """Uniform floats in [low, high), of the given shape."""
        return low + (high - low) * self.unit(*shape)

    def integers(self, low: int, high: int, *shape: int) -> NDArray[np.int64]:
        """Integers from `low` to `high`, both included, of the given shape."""
        return low + np.floor(self.unit(*shape) * (high - low + 1)).astype(np.int64)

    def fraction(self) -> float:
        """One float in [0, 1)."""
        return float(self.unit(1)[0])

    def integer(self, low: int, high: int) -> int:
        """One integer from `low` to `high`, both included."""
        return int(self.integers(low, high, 1)[0])

    def chance(self, probability: float) -> bool:
        """True with the given probability."""
        return self.fraction() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.integer(0, len(items) - 1)]

    def sample(self, items: Sequence[T], count: int) -> list[T]:
        """`count` different items in the order of `items` (selection sampling, Knuth 3.4.2, algorithm S)."""
        chosen: list[T] = []
        for seen, (item, u) in enumerate(zip(items, self.unit(len(items)).tolist(), strict=True)):
            if (len(items) - seen) * u < count - len(chosen):
                chosen.append(item)
        return chosen
