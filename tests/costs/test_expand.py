"""From a task graph to the instance that mapping sees."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

import dnnplan
from dnnplan.costs.sharing.expand import expand
from dnnplan.instances import (
    Device,
    Instance,
    InstanceError,
    Layer,
    Model,
    Platform,
    Precedence,
    Sharing,
    Task,
    Tensor,
    UnsupportedError,
)
from dnnplan.instances.sections import Block, BlockCost, Costs
from dnnplan.instances.validation import validate

PLATFORM = Platform(devices=(Device(name="cpu", peak_flops={"*": 1.0}),))


def network(name: str, heads: float) -> Model:
    """in -> a -> b -> c -> out; c differs between tasks."""
    return Model(
        name=name,
        layers=(Layer(name="a", flops=1), Layer(name="b", flops=2), Layer(name="c", flops=heads)),
        tensors=(
            Tensor(name="x", source=None, targets=("a",), bytes=4),
            Tensor(name="ab", source="a", targets=("b",), bytes=8),
            Tensor(name="bc", source="b", targets=("c",), bytes=16),
            Tensor(name="y", source="c", targets=(), bytes=2, output=True),
        ),
    )


def two_tasks() -> Instance:
    blocks = (("a",), ("b",), ("c",))
    return Instance(
        platform=PLATFORM,
        models=(network("m", 3), network("k", 5)),
        tasks=(Task(name="s", model="m", blocks=blocks), Task(name="t", model="k", blocks=blocks)),
        sharing=Sharing(branch_points=("p",)),
    )


def test_shared_layers_stand_once_and_tensors_go_to_all_readers() -> None:
    together = expand(two_tasks(), [[["s", "t"]]])
    assert validate(together) == ()
    assert [layer.name for layer in together.models[0].layers] == ["s/a", "s/b", "s/c", "t/c"]
    by_source = {tensor.source: tensor for tensor in together.models[0].tensors}
    assert by_source["s/b"].targets == ("s/c", "t/c")
    assert by_source[None].targets == ("s/a",)
    assert [t.source for t in together.models[0].tensors if t.output] == ["s/c", "t/c"]
    # One device of one FLOP/s: 1 + 2 + 3 + 5 s.
    assert dnnplan.solve(together, time_limit=10).objective.value == pytest.approx(11.0)


def test_what_is_not_shared_stands_for_each_task() -> None:
    apart = expand(two_tasks(), [[["s"], ["t"]]])
    assert [layer.name for layer in apart.models[0].layers] == ["s/a", "s/b", "s/c", "t/b", "t/c"]
    assert dnnplan.solve(apart, time_limit=10).objective.value == pytest.approx(13.0)


def test_a_task_waits_in_the_first_block_that_it_does_not_share() -> None:
    waiting = expand(replace(two_tasks(), precedences=(Precedence(before="t", after="s"),)), [[["s", "t"]]])
    wait = next(t for t in waiting.models[0].tensors if t.name.startswith("wait"))
    assert (wait.source, wait.targets, wait.bytes) == ("t/c", ("s/c",), 0)


def test_blocks_of_figures_become_layers() -> None:
    sharing = Sharing(
        branch_points=("p",),
        stem=Block(bytes=10, compute=1),
        blocks=(Block(bytes=20, compute=2),),
        groups=((("s",), ("t",)),),
        unit="s",
    )
    tasks = (Task(name="s", model="net"), Task(name="t", model="net"))
    instance = expand(Instance(platform=PLATFORM, tasks=tasks, sharing=sharing))
    assert validate(instance) == ()
    assert sum(layer.weight_bytes for layer in instance.models[0].layers) == 50
    assert dnnplan.solve(instance, time_limit=10).objective.value == pytest.approx(5.0)


def test_what_cannot_be_expanded_is_an_error() -> None:
    with pytest.raises(InstanceError, match="expected a task graph"):
        expand(two_tasks())
    uneven = two_tasks()
    blocks = (("a", "b"), (), ("c",))
    uneven = replace(uneven, tasks=(uneven.tasks[0], replace(uneven.tasks[1], blocks=blocks)))
    with pytest.raises(UnsupportedError, match="expected as many"):
        expand(uneven, [[["s", "t"]]])


def test_what_a_block_costs_for_single_tasks_is_kept() -> None:
    """Task s computes its block in 2 s and t in 3 s; for both together one of them is not enough."""
    costs = {"s": BlockCost(compute=2), "t": BlockCost(compute=3)}
    tasks = (Task(name="s", model="net"), Task(name="t", model="net"))
    sharing = Sharing(branch_points=("p",), blocks=(Block(bytes=20, costs=costs),), unit="s")
    instance = Instance(platform=PLATFORM, tasks=tasks, sharing=sharing)
    for groups, seconds in (([["s"], ["t"]], 5.0), ([["s", "t"]], 3.0)):
        expanded = expand(instance, [groups])
        assert dnnplan.solve(expanded, time_limit=10).objective.value == pytest.approx(seconds)
    half = replace(instance, sharing=replace(sharing, blocks=(Block(costs={"s": BlockCost(compute=2)}),)))
    assert len(expand(half, [[["s"], ["t"]]]).costs.latency["shared"]) == 1
    with pytest.raises(UnsupportedError, match="stated for some of them"):
        expand(half, [[["s", "t"]]])


def test_tables_of_energy_and_transfers_and_colocation_are_carried_over() -> None:
    """Those of the first task of a node; tensors are found by their source, whatever they are called."""
    given = two_tasks()
    models = tuple(replace(model, colocate=(("a", "b"), ("b", "c"))) for model in given.models)
    energy = {"m": {"a": {"cpu": 7.0}, "c": {"cpu": 3.0}}, "k": {"a": {"cpu": 9.0}, "c": {"cpu": 5.0}}}
    transfer = {"m": {"bc": {"cpu": {"cpu": 0.5}}}, "k": {"bc": {"cpu": {"cpu": 0.75}}}}
    given = replace(given, models=models, costs=Costs(energy=energy, transfer=transfer))
    for groups, sources in (([[["s", "t"]]], {"s/b": 0.5}), ([[["s"], ["t"]]], {"s/b": 0.5, "t/b": 0.75})):
        expanded = expand(given, groups)
        assert validate(expanded) == ()
        assert expanded.costs.energy == {"shared": {"s/a": {"cpu": 7}, "s/c": {"cpu": 3}, "t/c": {"cpu": 5}}}
        by_name = {tensor.name: tensor.source for tensor in expanded.models[0].tensors}
        found = {
            by_name[name]: table["cpu"]["cpu"] for name, table in expanded.costs.transfer["shared"].items()
        }
        assert found == sources
        last = "s/b" if len(groups[0]) == 1 else "t/b"
        assert set(expanded.models[0].colocate) >= {("s/a", "s/b"), ("s/b", "s/c"), (last, "t/c")}
