"""Rows as a sweep leaves them, made up: for measurements and tests of reports, without solving anything."""

from __future__ import annotations

import numpy as np

from dnnplan.reports.runs import Row

METHODS: dict[str, tuple[bool, float, float]] = {
    "cpsat": (True, 1.0, 8.0),
    "milp": (True, 1.004, 12.0),
    "auto": (True, 1.001, 5.0),
    "lns": (False, 1.02, 3.0),
    "heft": (False, 1.12, 0.02),
}
"""Whether it proves, how far it is from the best value, and the seconds it takes for 100 layers."""
SUITES, LIMIT, IMPROVEMENTS = 4, 60.0, 12


def synthetic_rows(count: int = 1000, *, seeds: int = 5, seed: int = 0) -> list[Row]:
    """So many rows: four suites, five methods, several seeds, sizes from 20 to 2,000 layers; some rows failed."""
    rng = np.random.default_rng(seed)
    rows: list[Row] = []
    number = 0
    while len(rows) < count:
        layers = int(20 * 100 ** rng.uniform())
        best = 1e-3 * layers ** rng.uniform(0.8, 1.1)
        for method in METHODS:
            for one in range(seeds):
                rows.append(_row(rng, f"net-{number}", number % SUITES, layers, best, method, one))
        number += 1
    return rows[:count]


def _row(
    rng: np.random.Generator, name: str, suite: int, layers: int, best: float, method: str, seed: int
) -> Row:
    exact, worse, seconds = METHODS[method]
    taken = seconds * (layers / 100) ** (1.6 if exact else 1.1) * rng.uniform(0.7, 1.4)
    proven = exact and taken < LIMIT
    value = best if proven else best * (1 + (worse - 1) * rng.exponential() + (0.01 if exact else 0.0))
    bound = value if proven else best * 0.9 if exact else None
    taken = min(taken, LIMIT)
    failed = rng.uniform() < 0.01
    moments = np.geomspace(taken / 50, taken, IMPROVEMENTS).tolist()
    steps = np.linspace(0.6, 0.0, IMPROVEMENTS).tolist()
    history = tuple(
        (t, value * (1 + s), None if bound is None else bound * (1 - s))
        for t, s in zip(moments, steps, strict=True)
    )
    return Row(
        suite=f"suite-{suite}",
        instance=name,
        instance_hash=f"{name:0>64}",
        layers=layers,
        devices=4,
        solver=method,
        time_limit=LIMIT,
        seed=seed,
        versions={"dnnplan": "0.1.0"},
        machine={"cpu": "made up", "cores": 2, "python": "3.11"},
        status="error" if failed else "optimal" if proven else "feasible",
        stop_reason="crashed" if failed else "proved" if proven else "time_limit" if exact else "exhausted",
        value=None if failed else value,
        unit="s",
        bound=None if failed else bound,
        bound_name="made up" if bound is not None and not failed else None,
        gap=None if failed or bound is None else (value - bound) / value,
        seconds=taken,
        peak_memory=int(2e8 + 1e5 * layers),
        valid=None if failed else True,
        message="made up: the process died" if failed else "",
        started_at="2026-01-01T00:00:00+00:00",
        history=() if failed else history,
    )
