"""The demo of tasks runs, writes what it lists, and its gains follow from its table."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from msgspec.structs import replace
from rich.console import Console

from benchmarks import demo_tasks
from dnnplan.costs.check import check
from dnnplan.instances.files import read_instance, read_plan, read_result
from dnnplan.solvers.facade import with_objective


def test_the_demo_of_tasks_writes_what_it_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(
        demo_tasks, "FAMILIES", {"people": ("person", "face", "mask"), "traffic": ("car", "plate")}
    )
    folder = tmp_path / "new" / "output"
    text = io.StringIO()
    assert demo_tasks.run(folder, 20.0, Console(file=text, width=100, highlight=False)) == 0
    shown = text.getvalue()
    for word in (
        "Vanilla",
        "MTL",
        "as listed",
        "best order",
        "both at once",
        "task graph:",
        "Gained:",
        "Proven:",
    ):
        assert word in shown
    instance, plan = read_instance(folder / "tasks.json"), read_plan(folder / "tasks-plan.json")
    stored = read_result(folder / "tasks-result.json")
    asked = with_objective(
        replace(instance, objective="switching"), None, {"variety": stored.measures["variety"]}
    )
    assert check(asked, replace(plan, instance=asked.hash()), measures=stored.measures) == ()
    for name in ("affinity.png", "trade-off.png", "tasks.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_the_ways_of_the_demo_are_what_their_names_say() -> None:
    instance = demo_tasks.camera()
    problem = demo_tasks.grouping_problem(instance)
    alone = demo_tasks.named(problem, (tuple((t,) for t in range(problem.n)),) * problem.levels)
    vanilla = demo_tasks.row(instance, "nothing shared", alone)
    everything = problem.costs.compute.sum() + problem.costs.load.sum()
    assert vanilla.seconds == pytest.approx(everything, rel=1e-12)
    assert vanilla.variety == 0
    assert vanilla.size == pytest.approx(problem.costs.bytes.sum(), rel=1e-12)
    assert demo_tasks.main(["--output", "/dev/null"]) == 2
