"""Several policies on the same samples: which ones, their figures, and how far each is from the best possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.formulations.serving.bounds import mean_latency_bound
from dnnplan.instances.errors import InputError, UnsupportedError
from dnnplan.serving.policies import make_policy, policy_names
from dnnplan.serving.policies.common import Policy
from dnnplan.serving.simulate import Figures, Simulation, counted_from, figures, simulate

ALL = "all"
BY_NAME = ("mdp",)
"""Policies that ``all`` leaves out: for small systems alone, and long to make."""
MOST_PLAIN = 5_000
"""Samples up to which ``all`` has policies that are not compiled."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PolicyRun:
    """One policy: what it did, its figures, and a lower bound on the mean latency of the samples that it served.

    The bound holds for every policy that serves these samples, also for one that knows the future: it is worked out
    for those that count in `Figures.mean_latency`, as if no other ever came. None: it served none.
    """

    done: Simulation
    figures: Figures
    bound: float | None


def chosen_policies(
    text: str, problem: ServingProblem, samples: int, report: Callable[[int, int], None] | None = None
) -> tuple[list[Policy], list[str]]:
    """Policies that a text names, and notes on those that are left out.

    Parameters
    ----------
    text
        A name, several with commas between, or ``all``.
    samples
        That are to be served: with many, ``all`` leaves policies out that are not compiled.
    report
        Called with how many of how many are made: some plan for seconds.

    Raises
    ------
    InputError
        No name, or one twice.
    UnsupportedError
        No such policy, or one that is named does not suit the problem.
    """
    names = [name.strip() for name in text.split(",")]
    everything = names == [ALL]
    if everything:
        names = list(policy_names())
    elif "" in names or len(set(names)) < len(names):
        raise InputError(f"policies '{text}': expected names with commas between, each once, or {ALL}")
    policies: list[Policy] = []
    notes: list[str] = []
    for k, name in enumerate(names):
        if report is not None:
            report(k, len(names))
        made = _suitable(name, problem, samples) if everything else make_policy(name, problem)
        if isinstance(made, str):
            notes.append(f"left out: {made}")
        else:
            policies.append(made)
    return policies, notes


def _suitable(name: str, problem: ServingProblem, samples: int) -> Policy | str:
    """A policy for ``all``, or why there is none."""
    if name in BY_NAME:
        return f"policy '{name}' is for small systems, and is simulated where it is named"
    try:
        policy = make_policy(name, problem)
    except UnsupportedError as error:
        return str(error)
    if samples > MOST_PLAIN and not policy.is_compiled:
        return f"policy '{name}' is not compiled, and there are more than {MOST_PLAIN:,} samples"
    return policy


def run_policies(
    problem: ServingProblem, policies: Sequence[Policy], samples: Samples, *, log: bool = False
) -> Iterator[PolicyRun]:
    """Serve the samples with one policy after the other.

    Parameters
    ----------
    log
        Whether to keep every batch.
    """
    bounds: dict[bytes, float | None] = {}
    for policy in policies:
        done = simulate(problem, policy, samples, log=log)
        served = np.isfinite(done.left)
        key = np.packbits(served).tobytes()
        if key not in bounds:
            bounds[key] = bound_of(done)
        yield PolicyRun(done=done, figures=figures(done), bound=bounds[key])


def bound_of(done: Simulation) -> float | None:
    """Lower bound on the mean latency of the samples that were served and count in the figures."""
    counts = np.isfinite(done.left)
    counts[: counted_from(done.samples)] = False
    if not counts.any():
        return None
    samples = done.samples
    those = Samples(
        arrival=samples.arrival[counts], stream=samples.stream[counts], depth=samples.depth[counts]
    )
    return latency_bound(done.problem, those)


def latency_bound(problem: ServingProblem, samples: Samples) -> float:
    """Lower bound in seconds on the mean latency of samples, all of one weight, whatever a policy knows.

    Raises
    ------
    ValueError
        There are no samples.
    """
    streams = tuple(replace(stream, weight=1.0) for stream in problem.streams)
    return mean_latency_bound(replace(problem, streams=streams), samples)
