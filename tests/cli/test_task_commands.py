"""`dnnplan group`, `order`, `affinity`, and plans of tasks in other commands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

AFFINITY = [[[1, 0.9, 0.2], [0.9, 1, 0.3], [0.2, 0.3, 1]]]


@pytest.fixture
def tasks(tmp_path):
    """A file with three tasks that could share a block."""
    block = {"bytes": 1000, "compute": 0.5, "load": 0.25}
    instance = {
        "format_version": "1.1",
        "tasks": [{"name": name, "model": "net"} for name in ("walk", "run", "jump")],
        "ordering": {"closed": True},
        "sharing": {
            "branch_points": ["conv1"],
            "affinity": AFFINITY,
            "blocks": [block],
            "head": {"bytes": 10, "compute": 0.1, "load": 0.1},
            "unit": "s",
        },
    }
    (tmp_path / "tasks.json").write_text(json.dumps(instance))
    return "tasks.json"


def test_the_whole_curve_without_a_limit(run, tasks):
    done = run("group", tasks, "--json")
    tree = json.loads(done.stdout)
    sizes = [point["measures"]["size"] for point in tree["front"]]
    assert sizes == sorted(sizes)
    assert 0 <= tree["chosen"] < len(sizes)
    assert "<- chosen" in run("group", tasks).stdout


def test_from_groups_to_an_order_and_back_through_check_and_show(run, tasks):
    limited = ("--objective", "variety", "--limit", "size=2030")
    assert run("group", tasks, *limited, "--output", "graph.json").exit_code == 0
    assert json.loads(Path("graph.json").read_text())["groups"] == [[["walk", "run"], ["jump"]]]
    done = run("order", tasks, "--groups", "graph.json", "--output", "order.json", "--picture", "order.png")
    assert done.exit_code == 0
    assert "a period" in done.stdout
    for plan in ("graph.json", "order.json"):
        instance = tasks
        if plan == "order.json":
            tree = json.loads(Path(tasks).read_text())
            tree["sharing"]["groups"] = [[["walk", "run"], ["jump"]]]
            Path("with-groups.json").write_text(json.dumps(tree))
            instance = "with-groups.json"
        shown = run("show", plan, "--instance", instance)
        assert shown.exit_code == 0, shown.stderr
        assert "task graph: 5 nodes" in shown.stdout
    assert run("check", "graph.json", "--instance", tasks).stdout == "valid\n"
    assert Path("order.png").read_bytes()[:4] == b"\x89PNG"
    assert "mapping" in run("explain", "graph.json", "--instance", tasks).stderr


def test_joint_plans_and_infeasible_limits(run, tasks):
    done = run("solve", tasks, "--problem", "joint", "--limit", "variety=0.2", "--json")
    result = json.loads(done.stdout)
    assert (done.exit_code, result["status"], result["plan"]["problem"]) == (0, "optimal", "joint")
    assert set(result["measures"]) >= {"switching", "variety", "size"}
    done = run("group", tasks, "--objective", "variety", "--limit", "size=100", "--json")
    assert done.exit_code == 3
    assert "size" in json.loads(done.stdout)["message"]
    assert "1030" in json.loads(done.stdout)["message"]


def test_conditions_of_a_file(run, tasks, tmp_path):
    (tmp_path / "order.json").write_text(
        json.dumps(
            {
                "format_version": "1.1",
                "objective": "switching",
                "tasks": [{"name": n, "model": "net"} for n in "abc"],
                "ordering": {"switch": [[0, 5, 1], [1, 0, 4], [2, 8, 0]]},
            }
        )
    )
    (tmp_path / "conditions.json").write_text('[["a", "b", 0.5]]')
    done = run("solve", "order.json", "--conditions", "conditions.json", "--json")
    assert json.loads(done.stdout)["status"] == "optimal"
    (tmp_path / "bad.json").write_text('[["a", "nobody", 0.5], ["a", "b", 1.5], ["a"]]')
    bad = run("solve", "order.json", "--conditions", "bad.json")
    assert bad.exit_code == 2
    assert "3 problems" in bad.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("group", "tasks.json", "--solver", "heft"), "'heft' is not a solver"),
        (("group", "tasks.json", "--front", "--limit", "size=1"), "does not go with"),
        (("group", "tasks.json", "--front", "--solver", "beam"), "--solver beam: the whole curve"),
        (("group", "tasks.json", "--solver", "beam"), "--solver beam: the whole curve"),
        (("group", "tasks.json", "--set", "limits.latency=1"), "'latency' is not kept by grouping"),
        (
            ("group", "tasks.json", "--front", "--set", "limits.latency=1"),
            "'latency' is not kept by grouping",
        ),
        (("order", "tasks.json"), "sharing.groups: missing"),
        (("order", "tasks.json", "--objective", "variety"), "is not one of ordering"),
    ],
)
def test_what_goes_wrong_is_said(run, tasks, arguments, message):
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr


@pytest.mark.parametrize("front", [(), ("--front",)])
@pytest.mark.parametrize("limit", ["variety=0.05", "task_variety=0.05", "size=2030", "execution_cost=2.5"])
def test_limits_of_the_instance_are_kept(run, tasks, limit, front):
    """Whatever is limited; the plan at the crossing of the whole curve (2 groups) breaks or just keeps each of them."""
    change = ("--set", f"limits.{limit}")
    done = run("group", tasks, *change, *front, "--output", "plan.json")
    assert done.exit_code == 0, done.stderr
    assert ("<- chosen" in done.stdout) == bool(front)
    checked = run("check", "plan.json", "--instance", tasks, *change)
    assert checked.stdout == "valid\n"


def test_a_front_without_a_point_says_so(run, tasks):
    done = run("group", tasks, "--front", "--set", "limits.size=10", "--json")
    assert done.exit_code == 4
    assert json.loads(done.stdout) == {"front": [], "chosen": None}
    assert "limits.size: 10" in done.stderr


def test_choosing_networks_by_its_name(run, tmp_path):
    candidates = [
        {"tasks": ["a", "b"], "cost": 1, "loss": {"a": 0.3, "b": 0.2}},
        {"tasks": ["a"], "cost": 1, "loss": {"a": 0.1}},
    ]
    instance = {
        "format_version": "1.1",
        "tasks": [{"name": name, "model": "net"} for name in "ab"],
        "sharing": {"candidates": candidates},
    }
    (tmp_path / "networks.json").write_text(json.dumps(instance))
    done = run("solve", "networks.json", "--problem", "selection", "--solver", "subsets", "--json")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["objective"]["name"], result["plan"]["candidates"]) == ("loss", [0, 1])
    Path("result.json").write_text(done.stdout)
    assert run("check", "result.json", "--instance", "networks.json").stdout == "valid\n"
    result["objective"]["value"] = 0.2
    Path("result.json").write_text(json.dumps(result))
    checked = run("check", "result.json", "--instance", "networks.json")
    assert checked.exit_code == 1
    assert "objective" in checked.stdout


def test_affinity_of_two_networks(run, tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    rng = np.random.default_rng(0)
    for name in ("first", "second"):
        weights = [rng.normal(size=(6, 6)).astype(np.float32) for _ in range(3)]
        nodes, last = [], "x"
        for k in range(3):
            nodes.append(onnx.helper.make_node("MatMul", [last, f"w{k}"], [f"m{k}"], name=f"n{k}"))
            nodes.append(onnx.helper.make_node("Tanh", [f"m{k}"], [f"r{k}"], name=f"tanh{k}"))
            last = f"r{k}"
        graph = onnx.helper.make_graph(
            nodes,
            name,
            [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, 6])],
            [onnx.helper.make_tensor_value_info("r2", onnx.TensorProto.FLOAT, [1, 6])],
            [onnx.numpy_helper.from_array(w, f"w{k}") for k, w in enumerate(weights)],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, tmp_path / f"{name}.onnx")
    np.savez(tmp_path / "samples.npz", x=rng.normal(size=(40, 6)))
    done = run(
        *("affinity", "first.onnx", "second.onnx", "--samples", "samples.npz", "--points", "m0,m1"),
        *("--output", "tasks.json", "--picture", "heat.svg"),
    )
    assert done.exit_code == 0, done.stderr
    tree = json.loads((tmp_path / "tasks.json").read_text())
    assert tree["sharing"]["branch_points"] == ["m0", "m1"]
    assert (tmp_path / "heat.svg").read_text().startswith("<?xml")
    assert run("group", "tasks.json").exit_code == 0
    missing = run("affinity", "first.onnx", "second.onnx", "--samples", "samples.npz", "--points", "nothing")
    assert missing.exit_code == 2
    assert "there is no tensor 'nothing'" in missing.stderr
    (tmp_path / "bad.npz").write_bytes(b"not a file of numbers")
    assert run("affinity", "first.onnx", "second.onnx", "--samples", "bad.npz").exit_code == 2
