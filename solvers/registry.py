"""All solvers by name. To add one: one file, one line here; the conformance suite picks it up.

Other packages register theirs under an entry point group: ``dnnplan.solvers`` for mapping, ``dnnplan.solvers.PROBLEM``
for the other problems (``dnnplan.solvers.ordering``). An entry is a name that maps to a class with the attributes of
`Solver`.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any, Protocol

from dnnplan.costs.objectives import UNITS
from dnnplan.instances import UnsupportedError, plugins
from dnnplan.instances.arguments import require_text
from dnnplan.instances.errors import PluginError
from dnnplan.instances.wording import show, suggestion

ALL_OBJECTIVES = tuple(UNITS)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a solver can do.

    Parameters
    ----------
    problem
        ``mapping``, ``grouping``, ``selection``, ``ordering``, ``joint``, ``whole`` or ``serving``.
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
    """A solver: what it is called, what it can do, and a method that reports plans and bounds to a search.

    `problem` is a view (`MappingProblem`, `OrderingProblem`, ...), `search` a `Search` or `TaskSearch` on it.
    """

    summary: str
    capabilities: Capabilities

    def run(self, problem: Any, search: Any) -> None:
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


ORDERING: dict[str, str] = {
    "given": "dnnplan.solvers.ordering.given:Given",
    "nearest_neighbour": "dnnplan.solvers.ordering.constructive:NearestNeighbour",
    "insertion": "dnnplan.solvers.ordering.constructive:Insertion",
    "local_search": "dnnplan.solvers.ordering.local_search:LocalSearch",
    "genetic": "dnnplan.solvers.ordering.genetic:Genetic",
    "depth_first": "dnnplan.solvers.ordering.depth_first:DepthFirst",
    "dynamic": "dnnplan.solvers.ordering.dynamic:DynamicProgramming",
    "relax_and_search": "dnnplan.solvers.ordering.relax_and_search:RelaxAndSearch",
    "conditional": "dnnplan.solvers.ordering.conditional:ConditionalDynamic",
    "cpsat": "dnnplan.solvers.ordering.exact:CpSat",
    "milp": "dnnplan.solvers.ordering.exact:Milp",
    "tool_search": "dnnplan.solvers.ordering.tool_search:ToolSearch",
    "auto": "dnnplan.solvers.ordering.auto:Auto",
}
GROUPING: dict[str, str] = {
    "private": "dnnplan.solvers.grouping.baselines:Private",
    "shared": "dnnplan.solvers.grouping.baselines:Shared",
    "shared_first": "dnnplan.solvers.grouping.baselines:SharedFirst",
    "agglomerative": "dnnplan.solvers.grouping.agglomerative:Agglomerative",
    "beam": "dnnplan.solvers.grouping.beam:Beam",
    "local_search": "dnnplan.solvers.grouping.local_search:LocalSearch",
    "enumeration": "dnnplan.solvers.grouping.enumeration:Enumeration",
    "cpsat": "dnnplan.solvers.grouping.cpsat:CpSat",
    "milp": "dnnplan.solvers.grouping.milp:Milp",
    "auto": "dnnplan.solvers.grouping.auto:Auto",
}
SELECTION: dict[str, str] = {
    "greedy": "dnnplan.solvers.grouping.selection_greedy:Greedy",
    "enumeration": "dnnplan.solvers.grouping.selection_enumeration:Enumeration",
    "subsets": "dnnplan.solvers.grouping.selection_subsets:Subsets",
    "cpsat": "dnnplan.solvers.grouping.selection_exact:CpSat",
    "milp": "dnnplan.solvers.grouping.selection_exact:Milp",
    "auto": "dnnplan.solvers.grouping.selection:Auto",
}
JOINT: dict[str, str] = {
    "group_then_order": "dnnplan.solvers.joint.group_then_order:GroupThenOrder",
    "local_search": "dnnplan.solvers.joint.local_search:LocalSearch",
    "cpsat": "dnnplan.solvers.joint.exact:CpSat",
    "milp": "dnnplan.solvers.joint.exact:Milp",
    "auto": "dnnplan.solvers.joint.auto:Auto",
}
WHOLE: dict[str, str] = {
    "sequential": "dnnplan.solvers.whole.sequential:Sequential",
    "alternating": "dnnplan.solvers.whole.alternating:Alternating",
    "cpsat": "dnnplan.solvers.whole.cpsat:CpSat",
    "milp": "dnnplan.solvers.whole.milp:Milp",
    "task_graphs": "dnnplan.solvers.whole.task_graphs:TaskGraphs",
    "lns": "dnnplan.solvers.whole.lns:Lns",
    "auto": "dnnplan.solvers.whole.auto:Auto",
}
SERVING: dict[str, str] = {
    "fifo": "dnnplan.solvers.serving.constructive:Fifo",
    "greedy": "dnnplan.solvers.serving.constructive:Greedy",
    "srpt_batches": "dnnplan.solvers.serving.constructive:SrptBatches",
    "fifo_batches": "dnnplan.solvers.serving.fifo_batches:FifoBatches",
    "local_search": "dnnplan.solvers.serving.local_search:LocalSearch",
    "labels": "dnnplan.solvers.serving.labels:Labels",
    "cpsat": "dnnplan.solvers.serving.exact:CpSat",
    "milp": "dnnplan.solvers.serving.exact:Milp",
    "auto": "dnnplan.solvers.serving.auto:Auto",
}
PROBLEMS: dict[str, dict[str, str]] = {
    "mapping": REGISTRY,
    "grouping": GROUPING,
    "selection": SELECTION,
    "ordering": ORDERING,
    "joint": JOINT,
    "whole": WHOLE,
    "serving": SERVING,
}
"""Solvers by problem. Choosing among given networks (selection) is the part of grouping where groups may overlap; the
whole plan (whole) is what ``joint`` means where tasks are mapped as well."""


def solver_names(problem: str = "mapping") -> tuple[str, ...]:
    """Names of all solvers of a problem, those of other packages included.

    Raises
    ------
    UnsupportedError
        There is no such problem.
    """
    _require_problem(problem)
    return (*PROBLEMS[problem], *plugins.plugins(_group(problem), PROBLEMS[problem]))


def get_solver(name: str, problem: str = "mapping") -> Solver:
    """The solver of that name for a problem.

    Raises
    ------
    UnsupportedError
        There is none, or no such problem; the message names the closest.
    PluginError
        It is one of another package, and cannot be used.
    """
    _require_problem(problem)
    require_text(name, "solver", "the name of a solver")
    own = PROBLEMS[problem]
    if name in own:
        module, attribute = own[name].split(":")
        solver: Solver = getattr(importlib.import_module(module), attribute)()
        return solver
    others = plugins.plugins(_group(problem), own)
    if name in others:
        return _loaded(others[name], problem)
    known = solver_names(problem)
    hint = suggestion(name, known) or f"; expected one of {', '.join(known)}"
    raise UnsupportedError(f"'{name}' is not a solver of {problem}{hint}")


def usable_solvers(problem: str = "mapping") -> dict[str, Solver]:
    """All solvers of a problem by name, without those of other packages that cannot be used."""
    found: dict[str, Solver] = {}
    for name in solver_names(problem):
        try:
            found[name] = get_solver(name, problem)
        except PluginError:
            continue
    return found


def solver_complaints(problem: str = "mapping") -> tuple[str, ...]:
    """What is wrong with solvers of other packages, for people who list them."""
    return plugins.complaints(_group(problem), PROBLEMS[problem], lambda plugin: _loaded(plugin, problem))


def _require_problem(problem: str) -> None:
    if not isinstance(problem, str) or problem not in PROBLEMS:
        raise UnsupportedError(
            f"problem {show(problem)} has no solvers; expected one of {', '.join(PROBLEMS)}"
        )


def _group(problem: str) -> str:
    """Entry points of a problem: the group of mapping has no problem behind it."""
    return plugins.SOLVERS if problem == "mapping" else f"{plugins.SOLVERS}.{problem}"


def _loaded(plugin: plugins.Plugin, problem: str) -> Solver:
    """A solver of another package, with what a solver has to have."""
    made = plugin.load()
    try:
        solver: Solver = made()
    except Exception as error:
        raise plugin.error(f"cannot be made: {type(error).__name__}: {error}") from error
    if not isinstance(getattr(solver, "summary", None), str) or not callable(getattr(solver, "run", None)):
        raise plugin.error("is no solver: it needs a text `summary` and a method `run(problem, search)`")
    able = getattr(solver, "capabilities", None)
    if not isinstance(able, Capabilities):
        raise plugin.error("is no solver: its `capabilities` are not those of `dnnplan.solvers.Capabilities`")
    if able.problem != problem:
        raise plugin.error(f"is for the problem '{able.problem}', and registered for '{problem}'")
    return solver
