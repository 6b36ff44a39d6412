"""Loading or compiling what a re-plan calls, so that deadlines of milliseconds hold from the first event on."""

from __future__ import annotations

import numpy as np

from dnnplan.costs import evaluate, mapping_problem
from dnnplan.costs.compiled import compiled, is_ready
from dnnplan.costs.fast import forward

_warm = {"done": False}


def is_warm() -> bool:
    """Whether everything compiled has run in this process."""
    return _warm["done"]


def is_there() -> bool:
    """Whether compiled code lies on disk or is loaded, so that `warm_up` takes no compiler."""
    from dnnplan.costs.compiled import is_cached
    from dnnplan.solvers.kernels.local_search import search
    from dnnplan.solvers.kernels.quick_bounds import path_length
    from dnnplan.solvers.kernels.repair import schedule_around

    plain = not hasattr(search, "signatures")  # the compiler is switched off
    return plain or all(is_cached(f) for f in (search, path_length, compiled(schedule_around)))


def warm_up() -> None:
    """Load the compiled loops, or compile them, once a machine (about half a minute).

    `replan` and `Replanner` search with compiled code only where it is loaded; without, they still repair.
    """
    if _warm["done"]:
        return
    from dnnplan.instances.generators import chain
    from dnnplan.solvers.kernels.list_schedule import schedule, upward_ranks
    from dnnplan.solvers.kernels.repair import schedule_around
    from dnnplan.solvers.lists.heft import heft, mean_delays, mean_times
    from dnnplan.solvers.replan.bounds import quick_bound
    from dnnplan.solvers.replan.migration import migration_to
    from dnnplan.solvers.replan.search import ReplanSearch
    from dnnplan.solvers.replan.walk import Walk
    from dnnplan.solvers.search import Settings

    view = mapping_problem(chain(layers=4, devices=2, seed=0))
    order = np.array(view.topological, dtype=np.int64)
    free, bias = np.full(view.n, -1, dtype=np.int64), np.zeros((view.n, view.m))
    compiled(upward_ranks)(view.arrays, order, mean_times(view), mean_delays(view, view.arrays))
    compiled(schedule)(view.arrays, order, free, bias)
    compiled(schedule_around)(view.arrays, order, free, np.zeros(view.n, dtype=bool), bias)
    found = heft(view)
    assert found is not None
    if not is_ready(forward):
        following = np.full(view.n, -1, dtype=np.int64)
        place = np.zeros(view.n, dtype=np.int64)
        compiled(forward)(view.arrays, view.reader_offsets, place, following, following.copy())
    quick_bound(view)
    search = ReplanSearch(view, Settings(time_limit=None), migration=migration_to(view, {}, 1.0))
    walk = Walk(view, search, evaluate(view, found), bias, 0)
    walk.piece(20, (0.1, 0.01), 0.0)
    _warm["done"] = True
