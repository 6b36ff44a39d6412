"""Where to split a network between devices, for arrivals and a policy: found by simulation.

Early stages see all samples and late ones few, so that a small device in front can leave a large one to what is deep;
or the other way round. Which is better depends on arrivals, exits and batching, so every split is simulated.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from dnnplan.costs.serving import ServingProblem, placed, serving_problem
from dnnplan.costs.serving.stages import stages_of
from dnnplan.instances import Instance
from dnnplan.instances.errors import InputError
from dnnplan.instances.sections import Arrivals
from dnnplan.serving.draws import draw_samples
from dnnplan.serving.policies import make_policy
from dnnplan.serving.simulate import Figures, figures, simulate

MOST_SPLITS = 200


@dataclass(frozen=True, eq=False)
class Split:
    """A placement of the stages, and what a policy achieves with it.

    Parameters
    ----------
    devices
        Device of each stage of the network.
    """

    devices: tuple[str, ...]
    problem: ServingProblem
    figures: Figures

    @property
    def is_single(self) -> bool:
        """Whether all stages run on one device."""
        return len(set(self.devices)) == 1


def compare_splits(
    instance: Instance,
    arrivals: Sequence[Arrivals] | None = None,
    *,
    policy: str = "exit_aware",
    samples: int = 50_000,
    seed: int = 0,
    progress: Callable[[Split], None] = lambda split: None,
) -> list[Split]:
    """Simulate every split of one network in which each device has stages that follow each other.

    Parameters
    ----------
    arrivals
        One process for each stream; None: those of the instance.

    Returns
    -------
    list of Split
        The best first: by late samples where that is the objective, else by mean latency.

    Raises
    ------
    InputError
        Several networks, one device, or more than 200 splits.
    """
    found = []
    for devices in splits_of(instance):
        names = [stage.name for stage in stages_of(instance.models[0])]
        problem = serving_problem(placed(instance, dict(zip(names, devices, strict=True))))
        if arrivals is not None:
            streams = tuple(
                dataclasses.replace(stream, arrivals=process)
                for stream, process in zip(problem.streams, arrivals, strict=True)
            )
            problem = dataclasses.replace(problem, streams=streams)
        done = simulate(problem, make_policy(policy, problem), draw_samples(problem, samples, seed))
        found.append(Split(devices, problem, figures(done)))
        progress(found[-1])
    return sorted(found, key=_rank)


def splits_of(instance: Instance) -> list[tuple[str, ...]]:
    """Devices of the stages of the only network: each device has at most one run of stages."""
    platform = instance.platform
    devices = [] if platform is None else [device.name for device in platform.devices]
    if len(instance.models) != 1 or len(devices) < 2:
        raise InputError(
            f"{len(instance.models)} networks on {len(devices)} devices, expected one network on at least two"
        )
    count = len(stages_of(instance.models[0]))
    found = list(_runs(devices, count))
    if len(found) > MOST_SPLITS:
        raise InputError(f"{len(found)} splits, expected at most {MOST_SPLITS}")
    return found


def _runs(devices: Sequence[str], stages: int) -> Iterator[tuple[str, ...]]:
    for used in range(1, min(len(devices), stages) + 1):
        for order in itertools.permutations(devices, used):
            for cuts in itertools.combinations(range(1, stages), used - 1):
                lengths = [b - a for a, b in itertools.pairwise((0, *cuts, stages))]
                yield tuple(
                    device for device, length in zip(order, lengths, strict=True) for _ in range(length)
                )


def _rank(split: Split) -> tuple[float, float]:
    found = split.figures
    late = found.slo_violation_rate.value if split.problem.objective == "late" else 0.0
    return late, found.mean_latency.value
