"""`solve` leaves its host alone: signals, standard streams, environment, working folder, warnings, random numbers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, os, random, signal, sys, threading, warnings
import numpy as np
import scipy.optimize, scipy.sparse, scipy.special  # which filter warnings of their own, whoever imports them

asked = []
plain = signal.signal
def counting(number, handler):
    asked.append(int(number))
    return plain(number, handler)
signal.signal = counting

from benchmarks.embedding_cases import busy
from dnnplan.instances.generators import layered
from dnnplan.solvers import Search, Settings, solve
from dnnplan.solvers.registry import PROBLEMS

def state():
    handlers = {int(s): repr(signal.getsignal(s)) for s in signal.valid_signals()}
    return {
        "handlers": handlers,
        "wakeup": (lambda fd: (signal.set_wakeup_fd(fd), fd)[1])(signal.set_wakeup_fd(-1)),
        "timer": signal.getitimer(signal.ITIMER_REAL),
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "streams": [id(sys.stdout), id(sys.stderr), id(sys.stdin)],
        "warnings": [str(f) for f in warnings.filters],
        "random": hash(random.getstate()),
        "numpy": hash(np.random.get_state()[1].tobytes()),
        "errors": np.geterr(),
        "recursion": sys.getrecursionlimit(),
        "excepthook": [id(sys.excepthook), id(threading.excepthook)],
    }

before = state()
ran = []

def all_of_them():
    for problem in sys.argv[1:]:
        for solver in PROBLEMS[problem]:
            solve(busy(problem, solver), solver, problem=problem, time_limit=0.15)
            ran.append(f"{problem}:{solver}")
    if "mapping" in sys.argv[1:]:
        from dnnplan.costs import mapping_problem
        from dnnplan.solvers.exact.milp import Milp, MilpParameters
        problem = mapping_problem(layered(layers=6, devices=2, seed=1))
        search = Search(problem, Settings(time_limit=5))
        Milp(MilpParameters(backend="PULP_CBC_CMD")).run(problem, search)
        assert search.best is not None

where = threading.Thread(target=all_of_them)
where.start()
where.join()
after = state()
with open("report.json", "w") as file:
    differs = [key for key in before if before[key] != after[key]]
    json.dump({"ran": ran, "asked": asked, "differs": differs}, file)
"""


@pytest.mark.parametrize("problems", [["mapping"], ["grouping", "selection", "ordering", "joint", "serving"]])
def test_nothing_of_the_host_is_touched_by_any_solver(problems: list[str], tmp_path) -> None:
    """In a thread beside the main one, where signals cannot even be set; streams are looked at as files."""
    path = ":".join(p for p in sys.path if p)
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, *problems],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": path, "PATH": ""},
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["asked"] == [], "signal.signal was called"
    assert report["differs"] == []
    assert {name.partition(":")[0] for name in report["ran"]} == set(problems)
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"], "files were left in the working folder"
