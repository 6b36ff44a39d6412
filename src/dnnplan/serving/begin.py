"""Arrays at time 0."""

from __future__ import annotations

import numpy as np

from dnnplan.costs.serving.problem import Samples, ServingProblem
from dnnplan.serving.kernel import Job, Record
from dnnplan.serving.state import MEMORY, NONE, State


def first_state(problem: ServingProblem, count: int, parameters: np.ndarray) -> State:
    """The state before any of `count` samples has arrived."""
    stages, devices, streams = len(problem.stages), len(problem.devices), len(problem.streams)
    return State(
        latency=np.ascontiguousarray(problem.latency, dtype=float),
        energy=np.ascontiguousarray(problem.energy, dtype=float),
        leaves=np.ascontiguousarray(problem.leaves, dtype=float),
        reach=np.ascontiguousarray(problem.reach, dtype=float),
        model=problem.model.astype(np.int64),
        device=problem.device.astype(np.int64),
        first=problem.first.astype(np.int64),
        networks=np.array([stream.model for stream in problem.streams], dtype=np.int64),
        slo=np.array([stream.slo for stream in problem.streams], dtype=float),
        weight=np.array([stream.weight for stream in problem.streams], dtype=float),
        length=np.zeros(stages, dtype=np.int64),
        head=np.full(stages, NONE, dtype=np.int64),
        tail=np.full(stages, NONE, dtype=np.int64),
        after=np.full(count, NONE, dtype=np.int64),
        before=np.full(count, NONE, dtype=np.int64),
        arrival=np.full(count, np.nan),
        deadline=np.full(count, np.nan),
        stream=np.full(count, NONE, dtype=np.int64),
        place=np.full(count, NONE, dtype=np.int64),
        running=np.zeros(devices, dtype=np.int64),
        until=np.zeros(devices),
        arrived=np.zeros(streams, dtype=np.int64),
        parameters=np.asarray(parameters, dtype=float),
        memory=np.zeros(MEMORY),
        choice=np.zeros(2, dtype=np.int64),
        picked=np.zeros(problem.max_batch, dtype=np.int64),
        wake=np.full(1, np.inf),
    )


def first_job(problem: ServingProblem, samples: Samples) -> Job:
    """What is to be served, contiguous."""
    return Job(
        arrival=np.ascontiguousarray(samples.arrival, dtype=float),
        stream=np.ascontiguousarray(samples.stream, dtype=np.int64),
        depth=np.ascontiguousarray(samples.depth, dtype=np.int64),
        transfer=np.ascontiguousarray(problem.transfer, dtype=float),
        switch=np.ascontiguousarray(problem.switch, dtype=float),
    )


def first_record(problem: ServingProblem, samples: Samples, *, log: bool) -> Record:
    """Nothing has happened; with `log`, batches are kept."""
    count, devices = len(samples), len(problem.devices)
    most = int(samples.depth.sum()) if log else 0
    return Record(
        left=np.full(count, np.nan),
        dropped=np.full(count, np.nan),
        sizes=np.zeros((len(problem.stages), problem.max_batch + 1), dtype=np.int64),
        busy=np.zeros(devices),
        joules=np.zeros(1),
        counters=np.zeros(4, dtype=np.int64),
        stage=np.zeros(most, dtype=np.int64),
        size=np.zeros(most, dtype=np.int64),
        start=np.zeros(most),
        end=np.zeros(most),
        members=np.zeros(most, dtype=np.int64),
        due=np.full(count, np.inf),
        heading=np.full(count, NONE, dtype=np.int64),
        flight=np.full(2, NONE, dtype=np.int64),
        on_device=np.full((devices, problem.max_batch), NONE, dtype=np.int64),
        on_stage=np.zeros(devices, dtype=np.int64),
        wakes=np.full(devices, np.inf),
    )
