"""dnnplan: plan how several neural networks share one piece of heterogeneous hardware."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dnnplan.costs import evaluate as evaluate
    from dnnplan.costs.check import check as check
    from dnnplan.costs.explain import explain as explain
    from dnnplan.instances import Instance as Instance
    from dnnplan.instances import Plan as Plan
    from dnnplan.instances import Result as Result
    from dnnplan.instances.loading import load as load
    from dnnplan.solvers import Cancellation as Cancellation
    from dnnplan.solvers import compare as compare
    from dnnplan.solvers import solve as solve

__version__ = "0.1.0"
_HOMES = {
    "Instance": "dnnplan.instances",
    "Plan": "dnnplan.instances",
    "Result": "dnnplan.instances",
    "load": "dnnplan.instances.loading",
    "evaluate": "dnnplan.costs",
    "check": "dnnplan.costs.check",
    "explain": "dnnplan.costs.explain",
    "solve": "dnnplan.solvers",
    "compare": "dnnplan.solvers",
    "Cancellation": "dnnplan.solvers",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    """Import on first use: `import dnnplan` stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'dnnplan' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)
