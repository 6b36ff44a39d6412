"""Eight searches at once give the answers of one after the other."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from dnnplan.instances import Instance
from dnnplan.instances.generators import layered
from dnnplan.instances.prepared import prepared
from dnnplan.solvers import solve
from tests.embedding.eight import answer, eight

SCRIPT = """
import threading
from tests.embedding.eight import answer, eight
from dnnplan.solvers import solve
runs, found, start = eight(), {}, threading.Barrier(8)

def search(number, run):
    start.wait()
    found[number] = answer(solve(run.instance, run.solver, **run.arguments()))

threads = [threading.Thread(target=search, args=pair) for pair in enumerate(runs)]
for thread in threads: thread.start()
for thread in threads: thread.join()
for number, run in enumerate(runs):
    alone = answer(solve(run.instance, run.solver, **run.arguments()))
    assert found[number] == alone, (number, run.solver, found[number], alone)
print("equal")
"""


def test_eight_threads_that_begin_at_once_in_a_fresh_process() -> None:
    """Everything that is made at first use (records, kernels, views, back ends) is made by eight threads at once."""
    path = ":".join(p for p in sys.path if p)
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", SCRIPT],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": path, "PATH": ""},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout == "equal\n"


def together(calls: list) -> list:
    """What the calls return, each in a thread of its own; errors come out."""
    found: list = [None] * len(calls)
    start = threading.Barrier(len(calls))

    def call(number: int) -> None:
        start.wait()
        try:
            found[number] = calls[number]()
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=call, args=(number,)) for number in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return found


@pytest.mark.parametrize("solver", ["auto", "lns", "local_search", "anneal"])
def test_one_instance_is_solved_by_eight_threads(solver: str) -> None:
    """The instance, its view and what is kept at it are shared; seeds differ."""
    instance = layered(layers=25, devices=3, seed=4)

    def search(seed: int):
        options = {"time_limit": None, "work_limit": 0.02, "workers": 1, "seed": seed}
        return lambda: answer(solve(instance, solver, **options))

    assert together([search(seed) for seed in range(8)]) == [search(seed)() for seed in range(8)]


def test_pools_of_threads_of_highs_are_not_shared() -> None:
    """HiGHS has a pool of threads for each thread of its host, and refuses another number of them in the same one."""
    instance = layered(layers=7, devices=2, seed=4)

    def search(workers: int):
        return lambda: solve(instance, "milp", workers=workers, objective="energy").objective.value

    assert len(set(together([search(1 + number % 3) for number in range(8)]))) == 1


def test_eight_runs_again_in_this_process() -> None:
    runs = eight()

    def search(run):
        return lambda: answer(solve(run.instance, run.solver, **run.arguments()))

    assert together([search(run) for run in runs]) == [search(run)() for run in runs]


def test_a_type_is_prepared_once() -> None:
    assert together([lambda: prepared(Instance)] * 8) == [Instance] * 8
