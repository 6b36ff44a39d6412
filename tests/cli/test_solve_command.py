"""`dnnplan solve`: the contract that scripts rely on."""

from __future__ import annotations

import json

import pytest

from dnnplan.instances.files import dumps
from tests.support.serving_oracles import known_instance

KEYS = {
    "status",
    "stop_reason",
    "objective",
    "bound",
    "gap",
    "valid",
    "runtime",
    "solver",
    "seed",
    "cost",
    "plan",
}


def test_json_is_exactly_one_object_on_stdout(run):
    done = run("solve", "tiny/hand", "--solver", "compute_first", "--seed", "7", "--json")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    assert set(result) >= KEYS
    assert set(result["objective"]) == {"name", "value", "unit", "sense"}
    assert (result["objective"]["name"], result["objective"]["unit"]) == ("latency", "s")
    assert (result["valid"], result["solver"], result["seed"]) == (True, "compute_first", 7)
    assert result["cost"]["latency"] == result["objective"]["value"]
    assert set(result["plan"]["placement"]) == {
        f"hand/0/{n}" for n in ("stem", "left", "right", "join", "head", "score")
    }


def test_summary_and_chart_for_people(run):
    done = run("solve", "tiny/hand", "--solver", "compute_first")
    assert done.exit_code == 0
    assert "latency   16 ms   found by compute_first" in done.stdout
    assert "A hand  . idle, 16 ms in all" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_written_plan_can_be_checked_and_started_from(run, tmp_path):
    done = run("solve", "tiny/hand", "--solver", "compute_first", "--output", "plan.json")
    assert done.exit_code == 0
    assert run("check", "plan.json", "--instance", "tiny/hand").exit_code == 0
    again = run("solve", "tiny/hand", "--solver", "single_device", "--warm-start", "plan.json", "--json")
    assert json.loads(again.stdout)["objective"]["value"] <= 0.016


def test_printed_result_can_be_checked_shown_and_started_from(run, tmp_path):
    done = run("solve", "tiny/hand", "--solver", "compute_first", "--json")
    (tmp_path / "result.json").write_text(done.stdout)
    assert run("check", "result.json", "--instance", "tiny/hand").exit_code == 0
    assert run("show", "result.json", "--instance", "tiny/hand").exit_code == 0
    (tmp_path / "cut.json").write_text(json.dumps(json.loads(done.stdout)["plan"]))
    assert run("check", "cut.json", "--instance", "tiny/hand").exit_code == 0


def test_existing_output_is_refused_before_anything_is_solved_and_kept(run, tmp_path):
    (tmp_path / "plan.json").write_text("mine")
    done = run("solve", "tiny/hand", "--solver", "broken", "--output", "plan.json")
    assert done.exit_code == 2
    assert "plan.json: exists; --force overwrites it" in done.stderr
    assert (tmp_path / "plan.json").read_text() == "mine"
    assert run("solve", "tiny/hand", "--solver", "heft", "--output", "plan.json", "--force").exit_code == 0
    assert (tmp_path / "plan.json").read_text() != "mine"


def test_standard_input(run):
    text = run("generate", "chain", "--layers", "4", "--devices", "2").stdout
    done = run("solve", "-", "--solver", "heft", "--json", stdin=text.encode())
    assert done.exit_code == 0
    assert len(json.loads(done.stdout)["plan"]["placement"]) == 4


@pytest.mark.parametrize("objective", ["mean_latency", "late"])
def test_serving_of_a_trace_needs_no_platform(run, tmp_path, objective):
    """Costs of stages are in tables; the plan can be checked."""
    file, plan = tmp_path / "camera.json", tmp_path / "plan.json"
    file.write_text(dumps(known_instance([[2, 3], [3, 4]], [0, 1, 2], [2, 1, 2], slo=5)))
    options = ("--problem", "serving", "--objective", objective, "--solver", "cpsat", "--output", str(plan))
    done = run("solve", str(file), *options, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "optimal"
    assert found["objective"]["value"] == pytest.approx(20 / 3 if objective == "mean_latency" else 2)
    assert run("check", str(plan), "--instance", str(file)).exit_code == 0


def test_serving_of_streams_that_are_no_traces_says_how_to_record_one(run):
    done = run("solve", "serving/resnet50-os32", "--problem", "serving")
    assert done.exit_code == 2
    assert "expected a trace" in done.stderr
    assert "--save-trace" in done.stderr


@pytest.mark.parametrize(("problem", "missing"), [("grouping", "sharing"), ("ordering", "ordering.switch")])
def test_other_problems_name_the_section_that_is_missing(run, problem, missing):
    done = run("solve", "tiny/hand", "--problem", problem)
    assert done.exit_code == 2
    assert f"{missing}: missing" in done.stderr


def test_joint_plans_of_an_instance_that_shares_nothing_are_mappings_with_an_order(run):
    done = run("solve", "tiny/hand", "--problem", "joint", "--json", "--time-limit", "20")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert (found["status"], found["plan"]["problem"]) == ("optimal", "joint")
    assert found["plan"]["placement"]
    assert "groups" not in found["plan"] or not any(found["plan"]["groups"])
    assert len(found["plan"]["task_order"]) == 1


def test_nothing_but_messages_on_stderr_and_nothing_on_stdout_for_bad_input(run):
    done = run("solve", "tiny/hand", "--limit", "latency", "--json")
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr == "error: --limit 'latency': expected NAME=VALUE\n"


def test_limit_below_the_bound_is_infeasible_and_one_above_it_not_found(run):
    done = run("solve", "tiny/hand", "--solver", "heft", "--limit", "latency=0.001", "--json")
    assert done.exit_code == 3
    assert "critical path" in json.loads(done.stdout)["message"]
    done = run("solve", "tiny/hand", "--solver", "compute_first", "--limit", "latency=0.012", "--json")
    assert done.exit_code == 4
    result = json.loads(done.stdout)
    assert (result["plan"], result["valid"], result["objective"]["value"]) == (None, False, None)


def test_infeasible_instance_says_why(run, tmp_path):
    instance = {
        "format_version": "1.0",
        "platform": {"devices": [{"name": "npu", "operators": ["Conv"], "peak_flops": {"*": 1}}]},
        "models": [{"name": "m", "layers": [{"name": "odd", "op": "Mystery", "flops": 1}]}],
    }
    (tmp_path / "x.json").write_text(json.dumps(instance))
    done = run("solve", "x.json", "--solver", "heft", "--json")
    assert done.exit_code == 3
    assert json.loads(done.stdout)["status"] == "infeasible"
    assert "infeasible: no device can run layer m/0/odd" in done.stderr


def test_pareto_front_is_one_object_with_a_list(run):
    done = run(
        "solve",
        "layered/50x4-ccr1",
        "--solver",
        "heft",
        "--pareto",
        "latency,energy",
        "--points",
        "3",
        "--json",
    )
    assert done.exit_code == 0, done.stderr
    front = json.loads(done.stdout)
    assert front["objectives"] == ["latency", "energy"]
    assert 1 <= len(front["front"]) <= 3
    for point in front["front"]:
        assert set(point) >= KEYS | {"values"}
        assert point["values"]["latency"] == point["cost"]["latency"]


@pytest.mark.parametrize(
    "arguments", [("--pareto", "latency"), ("--pareto", "latency,energy", "--objective", "energy")]
)
def test_pareto_options_that_make_no_sense(run, arguments):
    done = run("solve", "tiny/hand", *arguments)
    assert done.exit_code == 2
    assert "--pareto" in done.stderr


def test_unforeseen_failure_is_a_short_message(run):
    done = run("solve", "tiny/hand", "--solver", "broken")
    assert done.exit_code == 1
    assert "internal error: ZeroDivisionError: what nobody thought of" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("--debug", "solve", "tiny/hand", "--solver", "broken").stderr


def test_compare_gives_a_row_for_each_instance_and_solver(run):
    done = run("compare", "tiny/hand", "chain/50x4-ccr1", "--solvers", "heft,compute_first", "--json")
    assert done.exit_code == 0
    rows = json.loads(done.stdout)
    assert [(row["instance"], row["solver"]) for row in rows] == [
        ("tiny/hand", "heft"),
        ("tiny/hand", "compute_first"),
        ("chain/50x4-ccr1", "heft"),
        ("chain/50x4-ccr1", "compute_first"),
    ]
    assert all(set(row) >= KEYS for row in rows)


def test_compare_prints_a_table_and_what_is_proven(run):
    done = run("compare", "tiny/hand", "--solvers", "heft,compute_first")
    assert done.exit_code == 0
    assert "compute_first" in done.stdout
    assert "the plan keeps all rules" in done.stdout


def test_two_instances_are_an_error_in_solve(run):
    done = run("solve", "tiny/hand", "chain/50x4-ccr1", "--solver", "heft")
    assert done.exit_code == 2
    assert "2 instances, expected one" in done.stderr
