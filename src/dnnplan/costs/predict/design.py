"""What a regression gets of operators: features, terms of work, and a group for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from dnnplan.costs.predict.tables import FloatArray, TextArray


@dataclass(frozen=True)
class Design:
    """Operators as numbers.

    Attributes
    ----------
    names, values
        (f,) and (n, f) features, all finite.
    terms, work
        (t,) and (n, t) amounts of work, 0 or more, that latency could be a sum of.
    group
        (n,) operators of one group share coefficients of work: a kernel class, or an operator on a GPU.
    """

    names: tuple[str, ...]
    values: FloatArray
    terms: tuple[str, ...]
    work: FloatArray
    group: TextArray

    def __len__(self) -> int:
        return len(self.group)

    def take(self, rows: NDArray[Any]) -> Design:
        """Some rows, by a mask or by indices."""
        return Design(self.names, self.values[rows], self.terms, self.work[rows], self.group[rows])
