"""A solver that keeps what it found until it is told to stop, and a way to run the command line with it."""

from __future__ import annotations

import time

from dnnplan.solvers import registry
from dnnplan.solvers.lists.constructive import compute_first
from dnnplan.solvers.registry import ALL_OBJECTIVES, Capabilities


class Patient:
    """Proposes one plan, then waits."""

    summary = "waits"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)
    proposes = True

    def run(self, problem, search):
        """Wait until the search is finished."""
        if self.proposes:
            search.propose(compute_first(problem))
        print("waiting", flush=True)
        while not search.finished():
            time.sleep(0.01)


class Fruitless(Patient):
    """Waits without a plan."""

    proposes = False


class Broken:
    """Fails in a way nobody thought of."""

    summary = "fails"
    capabilities = Capabilities(objectives=ALL_OBJECTIVES)

    def run(self, problem, search):
        """Fail."""
        raise ZeroDivisionError("what nobody thought of")


def register() -> None:
    """Add the solvers to the registry."""
    registry.REGISTRY.update(
        {c.__name__.lower(): f"cli_solvers:{c.__name__}" for c in (Patient, Fruitless, Broken)}
    )


if __name__ == "__main__":
    from dnnplan.cli import main

    register()
    main()
