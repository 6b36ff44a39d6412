"""`dnnplan rates`: table, JSON, files, exit codes."""

from __future__ import annotations

import json

import pytest

QUICK = ("--time-limit", "2", "--work-limit", "0.05", "--workers", "1")


def test_the_table_says_rate_bound_and_tasks(run):
    done = run("rates", "rates/glasses", *QUICK)
    assert done.exit_code == 0
    first = done.stdout.splitlines()[0]
    assert first.startswith("rates/glasses: ")
    assert "times the rates" in first
    assert "gap" in first
    for word in ("eyes", "hands", "scene", "objects", "Hz", "busy"):
        assert word in done.stdout


def test_json_is_one_object_and_the_plan_is_written(run, tmp_path):
    done = run("rates", "rates/glasses", "--solver", "npu_only", *QUICK, "--json", "--output", "plan.json")
    assert done.exit_code == 0
    tree = json.loads(done.stdout)
    assert tree["factor"] <= tree["bound"]
    assert tree["solver"] == "npu_only"
    assert {row["task"] for row in tree["tasks"]} == {"eyes", "hands", "scene", "objects"}
    assert all(row["response"] <= row["deadline"] * (1 + 1e-9) for row in tree["tasks"])
    written = json.loads((tmp_path / "plan.json").read_text())
    assert written["placement"] == tree["plan"]["placement"]
    again = run("rates", "rates/glasses", *QUICK, "--output", "plan.json")
    assert again.exit_code == 2
    assert "exists" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("tiny/hand",), "period"),
        (("rates/glases",), "rates/glasses"),
        (("rates/glasses", "--solver", "cpst"), "cpsat"),
        (("rates/glasses", "--output", "plan.txt"), "plan.txt"),
    ],
)
def test_wrong_input_is_named(run, arguments, message):
    done = run("rates", *arguments, *QUICK)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_what_no_rate_can_save_is_infeasible(run, tmp_path):
    instance = {
        "format_version": "1.0",
        "platform": {"devices": [{"name": "d"}]},
        "models": [{"name": "m", "layers": [{"name": "l"}]}],
        "tasks": [{"name": "t", "model": "m", "period": 1, "deadline": 0.5}],
        "costs": {"latency": {"m": {"l": {"d": 0.6}}}},
    }
    (tmp_path / "late.json").write_text(json.dumps(instance))
    done = run("rates", "late.json", *QUICK)
    assert done.exit_code == 3
    assert done.stderr.startswith("infeasible: ")
    tree = json.loads(run("rates", "late.json", *QUICK, "--json").stdout)
    assert (tree["status"], tree["plan"]) == ("infeasible", None)


def test_no_time_gives_no_plan(run):
    assert run("rates", "rates/glasses", "--time-limit", "0").exit_code == 4


@pytest.mark.parametrize("command", ["check", "explain", "show"])
def test_a_cycle_is_no_plan_of_a_mapping(run, command):
    run("rates", "rates/glasses", *QUICK, "--output", "plan.json")
    done = run(command, "plan.json", "--instance", "rates/glasses")
    assert done.exit_code == 2
    assert "dnnplan rates" in done.stderr
