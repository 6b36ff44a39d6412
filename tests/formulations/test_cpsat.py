"""The CP-SAT model, constraint by constraint: what keeps it is feasible, what breaks it is not."""

from __future__ import annotations

import pytest
from ortools.sat.python import cp_model

from dnnplan.costs import MappingProblem, decisions_of, evaluate, mapping_problem
from dnnplan.costs.rounding import rounded_down
from dnnplan.formulations.mapping.cpsat import Variables, build, hint
from dnnplan.instances import (
    Costs,
    Device,
    Execution,
    Instance,
    Layer,
    Limits,
    Link,
    Memory,
    Model,
    Platform,
    Precedence,
    Task,
    Tensor,
)
from dnnplan.instances.generators import all_executions, random_small


def pair(
    *,
    colocate: bool = False,
    slots: int = 1,
    link: bool = True,
    execution: Execution | None = None,
    room: int | None = None,
    host: bool = False,
    linked: bool = True,
    limits: Limits | None = None,
) -> MappingProblem:
    """Layers a and b of 3 s each on devices x and y; a tensor of 2 bytes from a to b, if linked; 1 byte/s."""
    memories = (Memory(name="mx", bytes=room), Memory(name="my", bytes=room), Memory(name="dram"))
    links = [Link(name="bus", source="x", target="y", bandwidth=1)] if link else []
    if host:
        links += [Link(name="bus", source=d, target="dram", bandwidth=1) for d in "xy"]
    tensors = (Tensor(name="t", source="a", targets=("b",), bytes=2),) if linked else ()
    instance = Instance(
        platform=Platform(
            memories=memories,
            devices=(Device(name="x", memory="mx", slots=slots), Device(name="y", memory="my", slots=slots)),
            links=tuple(links),
            host="dram" if host else None,
            execution=execution or Execution(),
        ),
        models=(
            Model(
                name="m",
                layers=(Layer(name="a", weight_bytes=4), Layer(name="b", weight_bytes=4)),
                tensors=tensors,
                colocate=(("a", "b"),) if colocate else (),
            ),
        ),
        limits=limits or Limits(),
        costs=Costs(latency={"m": {"a": {"x": 3, "y": 3}, "b": {"x": 3, "y": 3}}}),
    )
    return mapping_problem(instance)


def feasible(problem: MappingProblem, place: tuple[int, int], start: tuple[int, int]) -> bool:
    v = build(problem, 1.0)
    assert v is not None
    for i in (0, 1):
        v.model.add(v.x[i][place[i]] == 1)
        v.model.add(v.start[i] == start[i])
    return cp_model.CpSolver().solve(v.model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)


def optimum(problem: MappingProblem, *fixed: tuple[int, int]) -> float | None:
    v = build(problem, 1.0)
    assert v is not None
    for i, d in fixed:
        v.model.add(v.x[i][d] == 1)
    solver = cp_model.CpSolver()
    return solver.objective_value if solver.solve(v.model) == cp_model.OPTIMAL else None


def test_one_device_each() -> None:
    v = build(pair(), 1.0)
    assert v is not None
    v.model.add(v.x[0][0] + v.x[0][1] != 1)
    assert cp_model.CpSolver().solve(v.model) == cp_model.INFEASIBLE


def test_transfer_delays_a_reader_elsewhere() -> None:
    assert feasible(pair(), (0, 1), (0, 5))
    assert not feasible(pair(), (0, 1), (0, 4))


def test_reader_on_the_same_device_waits_for_the_producer_only() -> None:
    assert feasible(pair(), (0, 0), (0, 3))
    assert not feasible(pair(), (0, 0), (0, 2))


def test_one_call_at_a_time_on_one_slot() -> None:
    assert feasible(pair(linked=False), (0, 0), (0, 3))
    assert not feasible(pair(linked=False), (0, 0), (0, 2))
    assert feasible(pair(linked=False, slots=2), (0, 0), (0, 2))


def test_colocation() -> None:
    assert feasible(pair(colocate=True), (1, 1), (0, 3))
    assert not feasible(pair(colocate=True), (0, 1), (0, 9))


def test_no_route_forbids_the_pair() -> None:
    assert feasible(pair(link=False), (0, 0), (0, 3))
    assert not feasible(pair(link=False), (0, 1), (0, 9))


def test_receiver_is_busy_without_overlap() -> None:
    """b receives for 2 s inside its call: it can start at 3 and ends at 8, not before."""
    problem = pair(execution=Execution(overlap=False))
    assert optimum(problem, (0, 0), (1, 1)) == 8
    assert feasible(problem, (0, 1), (0, 3))


def test_host_staging_writes_and_reads() -> None:
    """a computes to 3, its write ends at 5, the read at 7, b ends at 10; kept on one device: 6."""
    problem = pair(host=True, execution=Execution(staging="host"))
    assert optimum(problem, (0, 0), (1, 1)) == 10
    assert optimum(problem, (0, 0), (1, 0)) == 6
    busy = pair(host=True, execution=Execution(staging="host", overlap=False))
    assert optimum(busy, (0, 0), (1, 1)) == 10


def test_static_memory_holds_the_weights_of_one_layer_only() -> None:
    assert optimum(pair(room=4, execution=Execution(memory="static")), (0, 0), (1, 1)) == 8
    assert optimum(pair(room=4, execution=Execution(memory="static")), (0, 0), (1, 0)) is None
    assert optimum(pair(room=8, execution=Execution(memory="static")), (0, 0), (1, 0)) == 6


def test_live_memory_counts_tensors_too() -> None:
    """Weights of both (8) and the tensor (2) need 10 bytes."""
    live = Execution(memory="live")
    assert optimum(pair(room=10, execution=live), (0, 0), (1, 0)) == 6
    assert optimum(pair(room=9, execution=live), (0, 0), (1, 0)) is None
    assert optimum(pair(room=6, execution=live), (0, 0), (1, 1)) == 8
    assert optimum(pair(room=5, execution=live), (0, 0), (1, 1)) is None


def test_streamed_weights_are_loaded_beside_or_before_the_compute() -> None:
    """4 bytes take 4 s: beside 3 s of compute the call takes 4, before it 7."""
    streamed = Execution(weights="streamed")
    assert optimum(pair(host=True, execution=streamed), (0, 0), (1, 0)) == 8
    busy = Execution(weights="streamed", overlap=False)
    assert optimum(pair(host=True, execution=busy), (0, 0), (1, 0)) == 14


def test_contention_makes_loads_queue() -> None:
    """Two loads of 4 s on one channel: 8 s for two independent layers on two devices, 4 without contention."""
    free = Execution(weights="streamed")
    queued = Execution(weights="streamed", contention="links")
    assert optimum(pair(host=True, linked=False, execution=free), (0, 0), (1, 1)) == 4
    assert optimum(pair(host=True, linked=False, execution=queued), (0, 0), (1, 1)) == 8


def test_limit_on_latency() -> None:
    assert optimum(pair(limits=Limits(latency=6))) == 6
    assert optimum(pair(limits=Limits(latency=4))) is None


def test_precedence_between_tasks() -> None:
    instance = pair(linked=False).instance
    import msgspec

    tasks = (Task(name="p", model="m"), Task(name="q", model="m"))
    with_tasks = msgspec.structs.replace(
        instance, tasks=tasks, precedences=(Precedence(before="p", after="q"),)
    )
    assert optimum(mapping_problem(with_tasks)) == 6
    assert optimum(mapping_problem(msgspec.structs.replace(with_tasks, precedences=()))) == 6
    assert optimum(mapping_problem(with_tasks), (0, 0), (1, 0)) == 9


@pytest.mark.parametrize("execution", all_executions()[::5], ids=str)
def test_the_hint_is_complete_enough_to_be_feasible(execution: Execution) -> None:
    """A feasible plan, hinted, is found again without search on what the hint leaves open."""
    for seed in range(3):
        problem = mapping_problem(random_small(seed, execution))
        from dnnplan.solvers import solve

        result = solve(problem.instance, "frugal", time_limit=5)
        if result.plan is None:
            continue
        from dnnplan.costs import decode

        v = build(problem, 1.0)
        assert v is not None
        assert hint(v, decode(problem, result.plan))
        solver = cp_model.CpSolver()
        solver.parameters.fix_variables_to_their_hinted_value = True
        assert solver.solve(v.model) in (cp_model.OPTIMAL, cp_model.FEASIBLE)


def test_hint_counts_waiting_in_ticks() -> None:
    """b may not start before 7 s: tick 14 of half a second, in the hint as in the plan."""
    problem = pair(linked=False)
    v = build(problem, 0.5)
    assert v is not None
    assert hint(v, decisions_of(problem, [0, 1], [[0], [1]], not_before={"m/0/b": 7.0}))
    hinted = dict(zip(v.model.proto.solution_hint.vars, v.model.proto.solution_hint.values, strict=True))
    assert hinted[v.start[1].index] == 14


def test_rounding_never_lengthens_a_plan() -> None:
    for seed in range(10):
        problem = mapping_problem(random_small(seed, Execution()))
        if any(not row for row in problem.allowed):
            continue
        rounded = rounded_down(problem, 0.7)
        place = [row[0] for row in problem.allowed]
        order: list[list[int]] = [[] for _ in range(problem.m)]
        for i in problem.topological:
            order[place[i]].append(i)
        decisions = decisions_of(problem, place, order)
        ticks = evaluate(rounded, decisions).cost.latency
        assert ticks * 0.7 <= evaluate(problem, decisions).cost.latency * (1 + 1e-9)


def test_model_can_be_abandoned() -> None:
    assert build(pair(), 1.0, keep_going=lambda: False) is None
    assert isinstance(build(pair(), 1.0), Variables)
