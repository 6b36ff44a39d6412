"""Tiny instances whose figures were worked out by hand (the arithmetic is in each case's `why`)."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from dnnplan.costs.check import check, simulate
from dnnplan.instances import Instance, ObjectiveValue, Plan

FIGURES = ("latency", "energy", "edp", "traffic", "max_load", "weighted_completion", "tardiness")
FILES = sorted((Path(__file__).parent / "golden").glob("*.yaml"))
CASES = [case for file in FILES for case in yaml.safe_load_all(file.read_text(encoding="utf-8"))]

golden = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def read(case: dict[str, Any]) -> tuple[Instance, Plan, dict[str, Any]]:
    return msgspec.convert(case["instance"], Instance), msgspec.convert(case["plan"], Plan), case["expect"]


def test_names_are_unique() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES)


@golden
def test_every_case_says_why_and_expects_figures(case: dict[str, Any]) -> None:
    assert case["why"].strip()
    assert set(case) == {"name", "why", "instance", "plan", "expect"}
    assert set(case["expect"]) <= {*FIGURES, "memory", "load", "calls", "transfers"}
    assert case["expect"]


@golden
def test_simulate(case: dict[str, Any]) -> None:
    instance, plan, expect = read(case)
    result = simulate(instance, plan)
    compare_cost(result.cost, expect)
    for name, times in expect.get("calls", {}).items():
        assert result.calls[name] == pytest.approx(times), name
    for name, times in expect.get("transfers", {}).items():
        assert result.transfers[name] == pytest.approx(times), name


@golden
def test_check_accepts_the_case(case: dict[str, Any]) -> None:
    instance, plan, _ = read(case)
    result = simulate(instance, plan)
    plan = msgspec.structs.replace(plan, instance=instance.hash(), times=result.calls)
    latency = ObjectiveValue(name="latency", value=result.cost.latency, unit="s")
    assert check(instance, plan, cost=result.cost, objective=latency) == ()


@golden
def test_evaluate(case: dict[str, Any]) -> None:
    try:
        evaluate = importlib.import_module("dnnplan.costs").evaluate
    except (ImportError, AttributeError):
        pytest.skip("dnnplan.costs.evaluate does not exist yet")
    instance, plan, expect = read(case)
    result = evaluate(instance, plan)
    compare_cost(result.cost, expect)
    for name, (start, end) in expect.get("calls", {}).items():
        assert result.starts[name] == pytest.approx(start), name
        assert result.ends[name] == pytest.approx(end), name


def compare_cost(cost: Any, expect: dict[str, Any]) -> None:
    for name in FIGURES:
        if name in expect:
            assert getattr(cost, name) == pytest.approx(expect[name]), name
    for group in ("memory", "load"):
        for name, value in expect.get(group, {}).items():
            assert getattr(cost, group)[name] == pytest.approx(value), f"{group}.{name}"
