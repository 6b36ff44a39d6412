"""`dnnplan plan`: its three methods, what is written, and whole plans in other commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnnplan.instances.files import read_plan

QUICK = ("--time-limit", "30", "--workers", "1")


@pytest.fixture
def tasks(run):
    """Two tasks of four blocks on two devices."""
    made = run(
        "generate", "whole", "--tasks", "2", "--blocks", "4", "--devices", "2", "--seed", "3", "-o", "t.json"
    )
    assert made.exit_code == 0, made.stderr
    return "t.json"


def test_the_generator_takes_its_options_and_refuses_others(run):
    first = run(
        "generate", "whole", "--tasks", "2", "--set", "memory=1.5", "--set", "layers=2", "--ccr", "0.1"
    )
    assert first.exit_code == 0
    tree = json.loads(first.stdout)
    assert len(tree["models"][0]["layers"]) == 12
    assert len(tree["platform"]["devices"]) == 3
    assert tree["platform"]["execution"] == {"memory": "static"}
    for wrong in ("colour=1", "layers=1.5", "variety=2", "memory=[]"):
        assert run("generate", "whole", "--set", wrong).exit_code == 2
    # What the others take by default has not changed.
    chain = json.loads(run("generate", "chain", "--layers", "5").stdout)
    assert len(chain["platform"]["devices"]) == 4


@pytest.mark.parametrize("method", ["sequential", "alternating", "joint"])
def test_each_method_gives_a_plan_that_keeps_all_rules(run, tasks, method):
    done = run("plan", tasks, "--method", method, "--json", *QUICK)
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree["method"] == method
    assert tree["valid"]
    assert tree["plan"]["problem"] == "joint"
    assert tree["plan"]["placement"]
    assert {"variety", "size", "latency", "energy"} <= set(tree["measures"])
    assert tree["cost"]["latency"] == tree["objective"]["value"]
    if method == "joint":
        first = tree["sequential"]
        assert tree["objective"]["value"] <= first["value"] * (1 + 1e-9)
        assert tree["loss_of_sequential"] == pytest.approx(first["value"] / tree["objective"]["value"] - 1)
        assert tree["loss_at_most"] == pytest.approx(first["value"] / tree["bound"] - 1)
        assert first["gap"] == pytest.approx(1 - tree["bound"] / first["value"])
    else:
        assert "sequential" not in tree
    Path("result.json").write_text(done.stdout)
    assert run("check", "result.json").stdout == "valid\n"


def test_a_plan_is_written_shown_checked_and_explained(run, tasks):
    files = ("-o", "plan.json", "--picture", "plan.png", "--retraining", "again.json")
    done = run("plan", tasks, *files, *QUICK)
    assert done.exit_code == 0, done.stderr
    assert "task graph, on the best device" in done.stdout
    assert "step by step would take" in done.stdout
    assert "tasks by their end" in done.stdout
    plan = read_plan("plan.json")
    assert plan.extensions["instance"]["name"] == "whole/2x4x2-s3"
    assert Path("plan.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads(Path("again.json").read_text())["blocks"][0]["tasks"] == ["task0", "task1"]
    assert run("check", "plan.json").stdout == "valid\n"
    shown = run("show", "plan.json", "--output", "other.svg", "--trace", "trace.json")
    assert shown.exit_code == 0, shown.stderr
    assert "all tasks" in shown.stdout
    assert json.loads(Path("trace.json").read_text())
    assert "Critical path" in run("explain", "plan.json").stdout
    # Nothing is overwritten silently.
    assert run("plan", tasks, "-o", "plan.json").exit_code == 2
    broken = json.loads(Path("plan.json").read_text())
    broken["task_order"] = broken["task_order"][:1]
    Path("broken.json").write_text(json.dumps(broken))
    judged = run("check", "broken.json")
    assert judged.exit_code == 1
    assert "task_order" in judged.stdout


def test_solve_says_joint_for_the_same_problem(run, tasks):
    solved = run("solve", tasks, "--problem", "joint", "--json", *QUICK)
    planned = run("plan", tasks, "--json", *QUICK)
    values = [json.loads(done.stdout)["objective"]["value"] for done in (solved, planned)]
    assert values[0] == pytest.approx(values[1], rel=1e-4)
    named = run("solve", tasks, "--problem", "joint", "--solver", "task_graphs", "--json", *QUICK)
    assert json.loads(named.stdout)["solver"] == "task_graphs"


def test_objectives_limits_and_what_cannot_be_kept(run, tasks):
    done = run("plan", tasks, "--objective", "variety>latency", "--json", *QUICK)
    assert json.loads(done.stdout)["measures"]["variety"] == 0
    impossible = run("plan", tasks, "--limit", "size=10", "--json", *QUICK)
    assert impossible.exit_code == 3
    assert "limits.size: 10 cannot be kept; the least possible is" in impossible.stderr
    assert run("plan", tasks, "--objective", "colour").exit_code == 2
    assert run("plan", tasks, "--limit", "switching=3").exit_code == 2


def test_a_front_has_a_gap_at_each_point_and_a_knee(run, tasks):
    asked = ("plan", tasks, "--front", "latency,variety", "--points", "3", "--limit", "variety=9", *QUICK)
    done = run(*asked, "--picture", "front.png", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    values = [(row["values"]["latency"], row["values"]["variety"]) for row in tree["front"]]
    assert values == sorted(values)
    assert [v for _, v in values] == sorted((v for _, v in values), reverse=True)
    assert values[-1][1] == 0
    assert all(row["gap"] is not None for row in tree["front"])
    assert 0 <= tree["chosen"] < len(values)
    assert Path("front.png").read_bytes().startswith(b"\x89PNG")
    assert run("plan", tasks, "--front", "latency,variety", "-o", "x.json").exit_code == 2
    assert run("plan", tasks, "--front", "latency").exit_code == 2


def test_networks_without_anything_to_share(run):
    pytest.importorskip("onnx")
    done = run(
        "plan", "squeezenet", "--platform", "mcu", "--method", "sequential", "--json", "--time-limit", "5"
    )
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert tree["plan"]["problem"] == "joint"
    assert tree["plan"].get("groups", []) == []
    assert tree["plan"]["task_order"] == ["squeezenet"]
