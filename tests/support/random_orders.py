"""Small random instances of ordering, of every kind, the same for a seed."""

from __future__ import annotations

import numpy as np

from dnnplan.instances import Instance, Ordering, Precedence, Sharing, Task
from dnnplan.instances.sections import Block, BlockCost, Condition

KINDS = ("open", "closed", "graph", "conditions", "closed-conditions", "tools", "blocks")


def random_order_instance(seed: int, kind: str) -> Instance:
    """An instance of three to six tasks with some precedences."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    n = int(rng.integers(3, 6 if "conditions" in kind else 7))
    names = [f"t{k}" for k in range(n)]
    shuffled = rng.permutation(n)
    density = float(rng.choice([0.0, 0.15, 0.4]))
    pairs = [(a, b) for k, a in enumerate(shuffled) for b in shuffled[k + 1 :] if rng.random() < density]
    common = {
        "name": f"{kind}-{seed}",
        "objective": "switching",
        "tasks": tuple(Task(name=name, model="net") for name in names),
        "precedences": tuple(Precedence(before=names[a], after=names[b]) for a, b in pairs),
    }
    if kind in ("graph", "blocks"):
        return Instance(**common, ordering=_settings(rng, kind), sharing=_sharing(rng, names))
    if kind == "tools":
        count, slots = int(rng.integers(4, 8)), 4
        needs = np.zeros((n, count), dtype=int)
        for row in needs:
            row[rng.choice(count, size=int(rng.integers(1, slots + 1)), replace=False)] = 1
        start = "warm" if rng.random() < 0.5 else "cold"
        tools = tuple(tuple(row.tolist()) for row in needs)
        return Instance(**common, ordering=Ordering(resources=tools, slots=slots, start=start))
    switch = rng.integers(0, 30, (n, n)) if rng.random() < 0.5 else rng.random((n, n)) * 10
    missing = 0.0 if "conditions" in kind else 0.1
    cells = [
        [None if a != b and rng.random() < missing else _number(switch[a, b]) for b in range(n)]
        for a in range(n)
    ]
    conditions = _conditions(rng, names) if "conditions" in kind else ()
    matrix = tuple(tuple(row) for row in cells)
    closed = kind.startswith("closed")
    return Instance(**common, ordering=Ordering(switch=matrix, closed=closed, conditions=conditions))


def _number(value: float) -> float | int:
    return int(value) if float(value).is_integer() else float(value)


def _settings(rng: np.random.Generator, kind: str) -> Ordering:
    return Ordering(
        closed=bool(rng.random() < 0.5),
        start="warm" if rng.random() < 0.5 else "cold",
        input="same" if rng.random() < 0.5 else "fresh",
        cache_bytes=int(rng.integers(0, 12)) if kind == "blocks" else None,
    )


def _sharing(rng: np.random.Generator, names: list[str]) -> Sharing:
    levels = int(rng.integers(1, 4))
    groups: list[tuple[tuple[str, ...], ...]] = []
    parts = [list(names)]
    for _ in range(levels):
        finer = []
        for part in parts:
            split = [[t for t in part if mark] for mark in (False, True) for _ in [0]]
            marks = {t: rng.random() < 0.5 for t in part}
            split = [[t for t in part if marks[t] is mark] for mark in (False, True)]
            finer += [p for p in split if p] if rng.random() < 0.7 else [part]
        parts = finer
        groups.append(tuple(tuple(p) for p in parts))

    def block() -> Block:
        own = {}
        if rng.random() < 0.4:
            own = {
                str(rng.choice(names)): BlockCost(
                    compute=float(rng.random() * 9), load=float(rng.random() * 9)
                )
            }
        return Block(
            bytes=int(rng.integers(1, 6)),
            compute=float(rng.random() * 5),
            load=float(rng.random() * 5),
            costs=own,
        )

    return Sharing(
        branch_points=tuple(f"p{d}" for d in range(levels)),
        stem=block() if rng.random() < 0.5 else None,
        blocks=tuple(block() for _ in range(levels)),
        head=block() if rng.random() < 0.5 else None,
        groups=tuple(groups),
        unit="s",
    )


def _conditions(rng: np.random.Generator, names: list[str]) -> tuple[Condition, ...]:
    """Independent ones, chains, or a gate; tasks depend on earlier names only, so there is no circle."""
    found = []
    gated = rng.random() < 0.4
    chance = float(rng.choice([0.2, 0.5, 0.9]))
    for k in range(1, len(names)):
        if rng.random() < 0.6:
            given = names[0] if gated else names[int(rng.integers(0, k))]
            model = "gated" if gated else "independent"
            p = chance if gated else float(rng.choice([0.0, 0.25, 0.5, 1.0]))
            found.append(Condition(task=names[k], given=given, probability=p, model=model))
    return tuple(found)
