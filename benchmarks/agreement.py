"""CP-SAT, MILP and exhaustion on small random instances over all `execution` settings.

Run from the top folder: ``python -m benchmarks.agreement --instances 720 --output agreement.json``.
Instance s is ``random_small(s)`` under setting s modulo their number. A row of the table is one combination
of staging, overlap, contention and memory (the three settings of `weights` together). Exit code 1 if
anything disagrees.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from msgspec.structs import replace

from benchmarks.case import Measured
from benchmarks.machine import describe_machine, describe_versions
from benchmarks.requirements.selection import AGREEING, LEAST_AGREEING
from dnnplan.costs import MappingProblem, mapping_problem
from dnnplan.costs.check import check
from dnnplan.formulations.mapping.bounds import objective_bound
from dnnplan.instances.generators import all_executions, random_small
from dnnplan.solvers.registry import get_solver
from dnnplan.solvers.search import Search, Settings
from tests.support.brute_force import Best, brute_force

SOLVERS = ("milp", "cpsat")
TOLERANCE = 1e-9
SECONDS = 60.0


@dataclass
class Row:
    """Counts and seconds of one combination of settings."""

    setting: str
    instances: int = 0
    infeasible: int = 0
    agree: dict[str, int] = field(default_factory=lambda: dict.fromkeys(SOLVERS, 0))
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("oracle", *SOLVERS), 0.0))
    problems: list[str] = field(default_factory=list)


def fault(search: Search, best: Best) -> str | None:
    """What is wrong with the answer of a solver, given the optimum."""
    if best.plan is None:
        return None if search.infeasible is not None and search.best is None else "not proved infeasible"
    if search.best is None or search.value is None:
        return f"no plan (optimum {best.value})"
    if abs(search.value - best.value) > TOLERANCE * max(1.0, abs(best.value)):
        return f"value {search.value}, optimum {best.value}"
    if search.bound is not None and search.bound > best.value + TOLERANCE * max(1.0, abs(best.value)):
        return f"bound {search.bound} ({search.bound_name}) above the optimum {best.value}"
    if not search.proved:
        return f"not proved (bound {search.bound})"
    violations = check(search.problem.instance, search.best.plan, cost=search.best.cost)
    return f"check: {violations[0].message}" if violations else None


def compare(row: Row, seed: int, problem: MappingProblem) -> None:
    """Add one instance to a row."""
    row.instances += 1
    began = time.perf_counter()
    best = brute_force(problem)
    row.seconds["oracle"] += time.perf_counter() - began
    row.infeasible += best.plan is None
    bound = objective_bound(problem)
    if bound is not None and bound.value > best.value + TOLERANCE * max(1.0, abs(best.value)):
        row.problems.append(f"{seed}: bound {bound.value} ({bound.name}) above the optimum {best.value}")
    for name in SOLVERS:
        search = Search(problem, Settings(time_limit=SECONDS, workers=1), name=name)
        began = time.perf_counter()
        get_solver(name).run(problem, search)
        row.seconds[name] += time.perf_counter() - began
        wrong = fault(search, best)
        row.agree[name] += wrong is None
        if wrong is not None:
            row.problems.append(f"{seed}: {name}: {wrong}")


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    counts = f"{'n':>5} {'none':>5} {'milp':>5} {'cpsat':>5}"
    print(f"{'staging, overlap, contention, memory':40} {counts}  s oracle / milp / cpsat")
    for row in rows:
        seconds = " / ".join(f"{row.seconds[name]:6.1f}" for name in ("oracle", *SOLVERS))
        counts = f"{row.instances:5} {row.infeasible:5} {row.agree['milp']:5} {row.agree['cpsat']:5}"
        print(f"{row.setting:40} {counts}  {seconds}")
        for problem in row.problems:
            print(f"    {problem}")


def measure(name: str) -> Measured:
    """How many instances of a run over all settings agree; `name` ends in their number, e.g. ``agreement-216``."""
    count = int(name.rsplit("-", 1)[1])
    row = Row("all")
    executions = all_executions()
    for seed in range(count):
        compare(row, seed, mapping_problem(random_small(seed, executions[seed % len(executions)])))
    agreeing = min(row.agree.values())
    note = f"of {count}, {row.infeasible} proved infeasible; {len(row.problems)} problems"
    return Measured(agreeing, AGREEING, LEAST_AGREEING, agreeing == count and count >= LEAST_AGREEING, note)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--instances", type=int, default=216)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--objective", default="latency")
    parser.add_argument("--output", type=Path, help="JSON file for the rows")
    options = parser.parse_args(arguments)
    executions = all_executions()
    rows: dict[str, Row] = {}
    for seed in range(options.first, options.first + options.instances):
        e = executions[seed % len(executions)]
        overlap = "overlap" if e.overlap else "no overlap"
        setting = f"{e.staging}, {overlap}, {e.contention}, {e.memory}"
        instance = replace(random_small(seed, e), objective=options.objective)
        compare(rows.setdefault(setting, Row(setting)), seed, mapping_problem(instance))
    total = Row("all")
    for row in rows.values():
        total.instances += row.instances
        total.infeasible += row.infeasible
        for name in SOLVERS:
            total.agree[name] += row.agree[name]
        for name, seconds in row.seconds.items():
            total.seconds[name] += seconds
    show([*rows.values(), total])
    if options.output is not None:
        record = {
            "machine": describe_machine(),
            "versions": describe_versions(),
            "objective": options.objective,
            "first": options.first,
            "rows": [asdict(row) for row in (*rows.values(), total)],
        }
        options.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row.problems for row in rows.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
