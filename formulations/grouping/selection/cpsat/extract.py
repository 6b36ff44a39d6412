"""From a solution of the CP-SAT model to a choice of networks, and from a choice to a complete hint."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dnnplan.formulations.grouping.selection.cpsat.variables import Variables


def extract(v: Variables, value: Callable[[object], int]) -> tuple[int, ...]:
    """Positions of the candidates that some task takes."""
    taken = {c for row in v.takes for c, takes in row.items() if value(takes)}
    return tuple(sorted(int(v.candidates.candidates[c]) for c in taken))


def hint(v: Variables, chosen: Sequence[int]) -> None:
    """Hint every variable; candidates that others replace are left out."""
    there = {c for c, position in enumerate(v.candidates.candidates.tolist()) if position in set(chosen)}
    v.model.clear_hints()
    for c, one in enumerate(v.chosen):
        v.model.add_hint(one, int(c in there))
    for t, row in enumerate(v.takes):
        best = min(there & set(row), key=lambda c: float(v.candidates.score[c, t]), default=None)
        for c, takes in row.items():
            v.model.add_hint(takes, int(c == best))
