"""Inequalities that every path keeps: something leaves each set of nodes, past all that has to come earlier or later.

All are of the form ``x(A, B) >= 1``: at least one step from a node of A to a node of B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dnnplan.costs.routes import FloatArray, IntArray
from dnnplan.formulations.ordering.bounds.path_form import BoolArray, PathForm

MOST_FOUND = 1_000
"""Violated cuts that are looked for at once."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Cuts:
    """Some cuts ``sum of x[i, j] over i in A and j in B >= 1``.

    Parameters
    ----------
    tails, heads
        (C, N) whether a node is in A, and in B.
    """

    tails: BoolArray
    heads: BoolArray

    def __len__(self) -> int:
        return len(self.tails)

    def members(self, tail: IntArray, head: IntArray) -> BoolArray:
        """(C, arcs) whether an arc is in a cut."""
        return self.tails[:, tail] & self.heads[:, head]

    def joined(self, other: Cuts) -> Cuts:
        """These and others."""
        return Cuts(
            tails=np.concatenate([self.tails, other.tails]), heads=np.concatenate([self.heads, other.heads])
        )

    def chosen(self, which: BoolArray | IntArray) -> Cuts:
        """Some of them."""
        return Cuts(tails=self.tails[which], heads=self.heads[which])


def no_cuts(form: PathForm) -> Cuts:
    """None at all."""
    empty = np.zeros((0, form.size), dtype=bool)
    return Cuts(tails=empty, heads=empty)


def predecessor_cut(form: PathForm, inside: BoolArray) -> tuple[BoolArray, BoolArray]:
    r"""``x(S \ p(S), V \ S \ p(S)) >= 1`` for a set S without the last node; p(S): what comes before some node of S.

    Balas, Fischetti and Pulleyblank (1995): the last node of S on a path is in no p(S), and neither is what follows it.
    With S alone this is a cut against cycles; without p(S) nodes of S could be left through a node that has to come
    earlier.
    """
    earlier = form.before[:, inside].any(axis=1)
    return inside & ~earlier, ~inside & ~earlier


def successor_cut(form: PathForm, inside: BoolArray) -> tuple[BoolArray, BoolArray]:
    r"""``x(V \ S \ s(S), S \ s(S)) >= 1`` for a set S without the first node; s(S): what comes after some node of S.

    Balas, Fischetti and Pulleyblank (1995): the first node of S on a path, and what precedes it, are in no s(S).
    Without s(S) nodes of S could be entered through a node that has to come later.
    """
    later = form.before[inside].any(axis=0)
    return ~inside & ~later, inside & ~later


def precedence_cut(form: PathForm, inside: BoolArray, first: int, second: int) -> tuple[BoolArray, BoolArray]:
    r"""``x(S \ W, V \ S \ W) >= 1`` with i in S, j not, i before j, W = p(X) + s(j), X all of S before j.

    Balas, Fischetti and Pulleyblank (1995): between the last node of X on a path and j there is neither what comes
    before a node of X, nor what comes after j. Without it j could be reached before i.
    """
    above = inside & form.before[:, second]
    above[first] = True
    barred = form.before[:, above].any(axis=1) | form.before[second]
    return inside & ~barred, ~inside & ~barred


def violated_cuts(
    form: PathForm, tail: IntArray, head: IntArray, value: FloatArray, *, least: float, most: int, turn: int
) -> Cuts:
    """The most violated cuts for a fractional path.

    Weak separation as in Balas, Fischetti and Pulleyblank (1995, section 5): a least cut for every node and for
    every pair of a precedence. Complete for sets of one node; then the sets are made as strong as the cut allows.
    O(N + pairs) flows in a graph of O(N) arcs.

    Parameters
    ----------
    tail, head, value
        Arcs that have a positive value.
    least, most
        Smallest violation that counts; most cuts that are returned.
    turn
        Where the search begins, so that it does not always find the same ones.
    """
    from dnnplan.formulations.ordering.bounds import flows

    s = flows.support(form.size, tail, head, value)
    one, two, three = (np.zeros(MOST_FOUND, dtype=np.int64) for _ in range(3))
    side = np.zeros((MOST_FOUND, form.size), dtype=bool)
    found = flows.Found(one, two, three, np.zeros(MOST_FOUND), side)
    pairs = np.argwhere(form.direct)
    count = flows.separate(s, flows.scratch(s), form.before, pairs, 1.0 - least, turn, found)
    tails, heads = np.zeros((2, count, form.size), dtype=bool)
    for k in range(count):
        if found.kind[k] == flows.PREDECESSOR:
            tails[k], heads[k] = predecessor_cut(form, side[k])
        elif found.kind[k] == flows.SUCCESSOR:
            inside = ~side[k] & ~form.before[found.second[k]]
            tails[k], heads[k] = successor_cut(form, inside)
        else:
            tails[k], heads[k] = precedence_cut(form, side[k], int(found.first[k]), int(found.second[k]))
    return _distinct(Cuts(tails=tails, heads=heads), found.flow[:count], most)


def _distinct(cuts: Cuts, flow: FloatArray, most: int) -> Cuts:
    """The cuts of least flow, each once."""
    order = np.argsort(flow, kind="stable")[: 3 * most]
    packed = np.packbits(np.concatenate([cuts.tails[order], cuts.heads[order]], axis=1), axis=1)
    _, first = np.unique(packed, axis=0, return_index=True)
    return cuts.chosen(order[np.sort(first)][:most])
