"""All solvers by name. To add one: one file, one line here; the conformance suite picks it up.

Other packages register theirs under the entry point group ``dnnplan.solvers``: a name that maps to a class with
the attributes of `Solver`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Protocol

from dnnplan.costs import MappingProblem
from dnnplan.costs.objectives import UNITS
from dnnplan.instances import UnsupportedError
from dnnplan.instances.wording import suggestion
from dnnplan.solvers.search import Search

ALL_OBJECTIVES = tuple(UNITS)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a solver can do.

    Parameters
    ----------
    problem
        ``mapping``, ``ordering``, ``grouping``, ``serving`` or ``joint``.
    exact
        Whether it proves optimality given time.
    objectives
        Objectives that it optimises (heuristics may optimise one and be judged by another).
    bounds
        Whether it reports lower bounds.
    calls
        Whether it joins layers into calls, as `limits.calls_per_device` asks for.
    requires
        Packages it needs beyond the core ones.
    """

    problem: str = "mapping"
    exact: bool = False
    objectives: tuple[str, ...] = ("latency",)
    bounds: bool = False
    calls: bool = False
    requires: tuple[str, ...] = ()


class Solver(Protocol):
    """A solver: what it is called, what it can do, and a method that reports plans and bounds to a search."""

    summary: str
    capabilities: Capabilities

    def run(self, problem: MappingProblem, search: Search) -> None:
        """Search for plans until `search.finished()`, or until there is nothing left to try."""


REGISTRY: dict[str, str] = {
    "single_device": "dnnplan.solvers.lists.constructive:SingleDevice",
    "compute_first": "dnnplan.solvers.lists.constructive:ComputeFirst",
    "heft": "dnnplan.solvers.lists.heft:Heft",
    "peft": "dnnplan.solvers.lists.peft:Peft",
    "cpop": "dnnplan.solvers.lists.cpop:Cpop",
    "minmin": "dnnplan.solvers.lists.batch:MinMin",
    "maxmin": "dnnplan.solvers.lists.batch:MaxMin",
    "duplex": "dnnplan.solvers.lists.batch:Duplex",
    "sufferage": "dnnplan.solvers.lists.batch:Sufferage",
    "etf": "dnnplan.solvers.lists.batch:Etf",
    "frugal": "dnnplan.solvers.lists.frugal:Frugal",
    "lookahead": "dnnplan.solvers.lists.lookahead:Lookahead",
    "priced": "dnnplan.solvers.lists.priced:Priced",
    "h2h_compute": "dnnplan.solvers.h2h.solvers:H2HCompute",
    "h2h_weights": "dnnplan.solvers.h2h.solvers:H2HWeights",
    "h2h_activations": "dnnplan.solvers.h2h.solvers:H2HActivations",
    "h2h": "dnnplan.solvers.h2h.solvers:H2H",
    "anneal": "dnnplan.solvers.local.anneal:Anneal",
    "local_search": "dnnplan.solvers.local.local_search:LocalSearch",
    "genetic": "dnnplan.solvers.local.genetic:Genetic",
    "dp_ideals": "dnnplan.solvers.placement.dp_ideals:DpIdeals",
    "dp_linear": "dnnplan.solvers.placement.dp_linear:DpLinear",
    "calls_cpsat": "dnnplan.solvers.placement.calls_exact:CallsCpSat",
    "call_search": "dnnplan.solvers.placement.calls_search:CallSearch",
    "load_search": "dnnplan.solvers.placement.max_load:LoadSearch",
    "load_milp": "dnnplan.solvers.placement.max_load:LoadMilp",
    "cpsat": "dnnplan.solvers.exact.cpsat:CpSat",
    "milp": "dnnplan.solvers.exact.milp:Milp",
    "lp_rounding": "dnnplan.solvers.lists.lp_guided:LpRounding",
    "lns": "dnnplan.solvers.local.lns:Lns",
    "auto": "dnnplan.solvers.auto:Auto",
}


def solver_names() -> tuple[str, ...]:
    """Names of all solvers, those of other packages included."""
    return tuple(REGISTRY) + tuple(sorted(e.name for e in entry_points(group="dnnplan.solvers")))


def get_solver(name: str) -> Solver:
    """The solver of that name.

    Raises
    ------
    UnsupportedError
        There is none; the message names the closest.
    """
    if name in REGISTRY:
        module, attribute = REGISTRY[name].split(":")
        solver: Solver = getattr(importlib.import_module(module), attribute)()
        return solver
    for entry in entry_points(group="dnnplan.solvers"):
        if entry.name == name:
            loaded: Solver = entry.load()()
            return loaded
    raise UnsupportedError(
        f"'{name}' is not a solver{suggestion(name, solver_names())}; expected one of {', '.join(solver_names())}"
    )
