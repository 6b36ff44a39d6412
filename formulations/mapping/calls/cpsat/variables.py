"""Variables of the model of calls."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from ortools.sat.python import cp_model

from dnnplan.costs.mapping import MappingProblem
from dnnplan.costs.objectives import unlimited_devices
from dnnplan.formulations.mapping.load import load_problem

BoolVar: TypeAlias = cp_model.IntVar
Linear: TypeAlias = Any


@dataclass(eq=False)
class CallVariables:
    """All decisions, by the symbols of the constraints.

    Parameters
    ----------
    problem, original
        The view in ticks, and the one in seconds that it was rounded from.
    device
        Device of each label: q labels in a row for each device that is limited.
    z
        z[i][c] = 1: layer i is in call c; only where its device can run it. Colocated layers share their literals.
    host
        host[i] = 1: layer i runs on the host, as a call of its own; absent where it cannot.
    start, end
        Ticks at which call c starts to read and has written all.
    ready
        Ticks at which all that layer i makes is available.
    read, write
        (tensor, call): whether the call reads it from the host, or writes it there.
    latency
        Ticks.
    identical
        Classes of limited devices whose first calls start in the order of their indices; empty where none is asked for.
    """

    problem: MappingProblem
    original: MappingProblem
    model: cp_model.CpModel
    tick: float
    device: list[int]
    calls: int
    z: list[dict[int, BoolVar]]
    host: list[BoolVar | None]
    start: list[cp_model.IntVar]
    end: list[cp_model.IntVar]
    ready: list[cp_model.IntVar]
    read: dict[tuple[int, int], BoolVar]
    write: dict[tuple[int, int], BoolVar]
    latency: cp_model.IntVar
    identical: tuple[tuple[int, ...], ...] = ()

    @property
    def labels(self) -> range:
        """All labels of calls."""
        return range(len(self.device))


def create_variables(
    original: MappingProblem, problem: MappingProblem, model: cp_model.CpModel, horizon: float
) -> CallVariables:
    """The variables; all times are at most the horizon, in ticks."""
    assert problem.tick is not None
    calls = int(problem.limits.get("calls_per_device", 1))
    unlimited = unlimited_devices(problem)
    device = [d for d in range(problem.m) if not unlimited[d] for _ in range(calls)]
    last = math.ceil(horizon / problem.tick) + 1
    z: list[dict[int, BoolVar]] = [{} for _ in range(problem.n)]
    host: list[BoolVar | None] = [None] * problem.n
    for group in load_problem(original).layers:
        able = [bool(np.isfinite(problem.duration[list(group), d]).all()) for d in range(problem.m)]
        row = {c: model.new_bool_var(f"z[{group[0]},{c}]") for c, d in enumerate(device) if able[d]}
        alone = problem.host_device >= 0 and able[problem.host_device]
        at_home = model.new_bool_var(f"host[{group[0]}]") if alone else None
        for i in group:
            z[i], host[i] = row, at_home
    return CallVariables(
        problem=problem,
        original=original,
        model=model,
        tick=problem.tick,
        device=device,
        calls=calls,
        z=z,
        host=host,
        start=[model.new_int_var(0, last, f"S[{c}]") for c in range(len(device))],
        end=[model.new_int_var(0, last, f"E[{c}]") for c in range(len(device))],
        ready=[model.new_int_var(0, last, f"A[{i}]") for i in range(problem.n)],
        read={},
        write={},
        latency=model.new_int_var(0, last, "latency"),
    )
