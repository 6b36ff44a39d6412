"""Everything that searches: the registry, `solve`, `compare`, and the solvers."""

from dnnplan.solvers.cancellation import Cancellation
from dnnplan.solvers.facade import compare, solve
from dnnplan.solvers.registry import Capabilities, Solver, get_solver, solver_names
from dnnplan.solvers.robustness import Stability, stability
from dnnplan.solvers.search import Progress, Search, Settings

__all__ = [
    "Cancellation",
    "Capabilities",
    "Progress",
    "Search",
    "Settings",
    "Solver",
    "Stability",
    "compare",
    "get_solver",
    "solve",
    "solver_names",
    "stability",
]
