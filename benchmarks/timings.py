"""Timings of the library itself: each prepares, warms up where the question says so, and takes a median.

Targets are what the project wants to reach. None is a test: a slow machine fails no build, it gets a row that says so.
"""

from __future__ import annotations

import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.case import Measured
from dnnplan.instances import Instance

BUDGET_SECONDS = 6.0
LEAST_RUNS, MOST_RUNS = 5, 31
LARGE = "layered/10000x16-ccr1"
MEDIUM = "layered/1000x8-ccr1"


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What is timed.

    Parameters
    ----------
    what
        For the report.
    target
        Seconds; None: shown, not judged.
    prepare
        Sets everything up and returns what takes one sample, in seconds.
    warm
        Samples that are taken first and thrown away: compiled kernels, file caches.
    """

    what: str
    target: float | None
    prepare: Callable[[], Callable[[], float]]
    warm: int = 1


def measure(name: str) -> Measured:
    """Run a timing: the median in seconds, and a note on the spread."""
    return take(MEASUREMENTS[name])


def take(timing: Timing) -> Measured:
    """Samples of a timing until there are enough."""
    sample = timing.prepare()
    for _ in range(timing.warm):
        sample()
    samples: list[float] = []
    began = time.perf_counter()
    while len(samples) < LEAST_RUNS or (
        len(samples) < MOST_RUNS and time.perf_counter() - began < BUDGET_SECONDS
    ):
        samples.append(sample())
    note = f"median of {len(samples)} runs, {min(samples):.4g} to {max(samples):.4g} s"
    median = statistics.median(samples)
    reached = None if timing.target is None else median <= timing.target
    return Measured(median, "s", timing.target, reached, note)


def _timed(function: Callable[[], object]) -> Callable[[], float]:
    def sample() -> float:
        began = time.perf_counter()
        function()
        return time.perf_counter() - began

    return sample


def _bundled(name: str) -> Instance:
    from dnnplan.instances.catalogue import load_bundled

    return load_bundled(name)


def time_heft(instance: Instance) -> Callable[[], float]:
    """From a fresh view to the schedule: placement and order of all layers, as HEFT is timed elsewhere."""
    from dnnplan.costs import mapping_problem
    from dnnplan.solvers.lists.heft import heft, warm_up

    warm_up()

    problem = mapping_problem(instance)

    def sample() -> float:
        # A view keeps arrays that it has made once; each sample makes them again.
        fresh = dataclasses.replace(problem)
        return _timed(lambda: heft(fresh))()

    return sample


def _heft_solver(name: str) -> Callable[[], float]:
    """The same through the solver, which also evaluates the plan."""
    from dnnplan.costs import mapping_problem
    from dnnplan.solvers import Search, Settings, get_solver

    problem, solver = mapping_problem(_bundled(name)), get_solver("heft")

    def sample() -> float:
        fresh = dataclasses.replace(problem)
        return _timed(lambda: solver.run(fresh, Search(fresh, Settings(time_limit=None))))()

    return sample


def _evaluate() -> Callable[[], float]:
    """A plan as a file holds it, on a view that is already there."""
    from dnnplan.costs import evaluate, mapping_problem
    from dnnplan.solvers import solve

    instance = _bundled(LARGE)
    problem, plan = mapping_problem(instance), solve(instance, "heft", time_limit=None).plan
    assert plan is not None
    return _timed(lambda: evaluate(problem, plan))


def _check() -> Callable[[], float]:
    """A plan with its costs against the instance, nothing precomputed."""
    from dnnplan.costs.check import check
    from dnnplan.solvers import solve

    instance = _bundled(LARGE)
    result = solve(instance, "heft", time_limit=None)
    assert result.plan is not None
    plan, cost = result.plan, result.cost
    return _timed(lambda: check(instance, plan, cost=cost))


def _read() -> Callable[[], float]:
    from dnnplan.instances.files import read_instance, write_instance

    instance = _bundled(LARGE)

    def sample() -> float:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "large.json"
            write_instance(instance, path)
            return _timed(lambda: read_instance(path))()

    return sample


def _import_onnx(network: str) -> Callable[[], float]:
    """`onnx` itself is imported by the first, thrown away sample."""
    from dnnplan.instances.formats.onnx import light_network_paths, read_onnx

    path = light_network_paths()[network]
    return _timed(lambda: read_onnx(path))


def _fresh_import(statement: str) -> Callable[[], float]:
    """The statement alone in a fresh interpreter, whose own start does not count."""
    code = f"import time; began = time.perf_counter()\n{statement}\nprint(time.perf_counter() - began)"
    return lambda: float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def _command(*arguments: str) -> Callable[[], float]:
    """The command from start to exit, the interpreter included."""
    code = "from dnnplan.cli import main; main()"
    command = [sys.executable, "-c", code, *arguments]
    return _timed(lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True))


MEASUREMENTS: dict[str, Timing] = {
    "heft-1000x8": Timing(
        what="heft, 1,000 layers x 8 devices, warm",
        target=0.010,
        prepare=lambda: time_heft(_bundled(MEDIUM)),
        warm=3,
    ),
    "heft-10000x16": Timing(
        what="heft, 10,000 layers x 16 devices, warm",
        target=0.300,
        prepare=lambda: time_heft(_bundled(LARGE)),
        warm=2,
    ),
    "heft-evaluated-10000x16": Timing(
        what="heft and the evaluation of its plan, 10,000 layers x 16 devices, warm",
        target=None,
        prepare=lambda: _heft_solver(LARGE),
        warm=2,
    ),
    "evaluate-10000": Timing(what="evaluate, 10,000 layers", target=0.050, prepare=_evaluate, warm=2),
    "check-10000": Timing(what="check, 10,000 layers", target=0.300, prepare=_check),
    "read-10000": Timing(what="read and validate a 10,000-layer instance", target=0.5, prepare=_read),
    "import-densenet121": Timing(
        what="import DenseNet-121 (1,746 nodes)", target=0.5, prepare=lambda: _import_onnx("densenet121")
    ),
    "import-dnnplan": Timing(
        what="`import dnnplan`", target=0.150, prepare=lambda: _fresh_import("import dnnplan")
    ),
    "import-solve": Timing(
        what="`from dnnplan import solve`",
        target=None,
        prepare=lambda: _fresh_import("from dnnplan import solve"),
    ),
    "cli-help": Timing(what="`dnnplan --help`", target=0.400, prepare=lambda: _command("--help")),
}
