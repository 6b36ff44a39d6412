"""The judge and `evaluate`, written separately from one page, give the same figures for random plans."""

from __future__ import annotations

import importlib

import msgspec
import pytest
from random_plans import SETTINGS, random_case

from dnnplan.costs.check import check, simulate
from dnnplan.instances import Instance, Plan

FIGURES = ("latency", "energy", "edp", "traffic", "max_load", "weighted_completion", "tardiness")
ROUNDS = 15


settings = pytest.mark.parametrize(
    "setting", range(len(SETTINGS)), ids=["-".join(map(str, setting.values())) for setting in SETTINGS]
)


def cases(setting: int) -> list[tuple[int, Instance, Plan]]:
    seeds = [setting + turn * len(SETTINGS) for turn in range(ROUNDS)]
    return [(seed, *random_case(seed)) for seed in seeds]


@settings
def test_random_plans_are_valid_and_repeatable(setting: int) -> None:
    for seed, instance, plan in cases(setting):
        result = simulate(instance, plan)
        assert simulate(instance, plan) == result, seed
        stored = msgspec.structs.replace(plan, instance=instance.hash(), times=result.calls)
        assert check(instance, stored, cost=result.cost) == (), seed


@settings
def test_stating_what_happens_anyway_changes_nothing(setting: int) -> None:
    """The order in which each channel served, and not_before at each start, are no restriction."""
    for seed, instance, plan in cases(setting):
        result = simulate(instance, plan)
        stated = msgspec.structs.replace(
            plan,
            transfer_order=result.channels,
            not_before={name: start for name, (start, _) in result.calls.items()},
        )
        assert check(instance, stated) == (), seed
        assert simulate(instance, stated).calls == result.calls, seed


@settings
def test_memory_rule_is_the_peak(setting: int) -> None:
    """A memory of exactly the peak is enough, one byte less is not."""
    for seed, instance, plan in cases(setting):
        peaks = simulate(instance, plan).cost.memory
        name = max(peaks, key=lambda memory: peaks[memory])
        if peaks[name] >= 1:
            assert check(sized(instance, name, peaks[name]), plan) == (), seed
            rules = {violation.rule for violation in check(sized(instance, name, peaks[name] - 1), plan)}
            assert "memory_live" in rules, seed


def sized(instance: Instance, name: str, size: float) -> Instance:
    platform = instance.platform
    assert platform is not None
    memories = tuple(
        msgspec.structs.replace(memory, bytes=size) if memory.name == name else memory
        for memory in platform.memories
    )
    execution = msgspec.structs.replace(platform.execution, memory="live")
    replaced = msgspec.structs.replace(platform, memories=memories, execution=execution)
    return msgspec.structs.replace(instance, platform=replaced)


@settings
def test_evaluate_gives_the_same(setting: int) -> None:
    evaluate = getattr(importlib.import_module("dnnplan.costs"), "evaluate", None)
    if evaluate is None:
        pytest.skip("dnnplan.costs.evaluate does not exist yet")
    for seed, instance, plan in cases(setting):
        ours, theirs = simulate(instance, plan), evaluate(instance, plan)
        for name in FIGURES:
            assert getattr(theirs.cost, name) == pytest.approx(getattr(ours.cost, name)), (seed, name)
        for group in ("memory", "load"):
            for name, value in getattr(ours.cost, group).items():
                assert getattr(theirs.cost, group).get(name, 0) == pytest.approx(value), (seed, group, name)
        for name, (start, end) in ours.calls.items():
            assert (theirs.starts[name], theirs.ends[name]) == pytest.approx((start, end)), (seed, name)
