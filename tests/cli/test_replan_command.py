"""`dnnplan replan`: plans that carry their instance, text, JSON, files, exit codes."""

from __future__ import annotations

import json

import pytest

from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.files import write_instance
from dnnplan.solvers.replan import warm_up

THROTTLED = '{"kind": "device_throttled", "device": "npu", "speed": 0.25}'


@pytest.fixture(autouse=True)
def _loaded():
    warm_up()


@pytest.fixture
def plan(run):
    """A file with the best plan of tiny/hand, which carries its instance."""
    assert run("solve", "tiny/hand", "--time-limit", "5", "--output", "plan.json").exit_code == 0
    return "plan.json"


def replan(run, *arguments):
    """Run the command with a deadline that a slow machine keeps."""
    return run("replan", *arguments, "--deadline-ms", "400")


def test_the_text_says_what_happened_and_what_it_costs(run, plan):
    done = replan(run, plan, "--event", THROTTLED)
    assert done.exit_code == 0
    for words in (
        "npu runs at 25 % of its speed",
        "before    latency 13 ms",
        "repaired  latency 26 ms: the plan as it was",
        "now       latency 20 ms, 23.08 % less",
        "hand/0/stem: npu -> cpu",
        "weights to bring: 1 kB",
        "start-up",
        "cpu AAA",
    ):
        assert words in done.stdout


def test_json_is_the_result_and_the_new_plan_can_be_used(run, plan, tmp_path):
    done = replan(run, plan, "--event", THROTTLED, "--json", "--output", "new.json")
    assert done.exit_code == 0
    tree = json.loads(done.stdout)
    assert tree["valid"] is True
    assert tree["objective"]["value"] == pytest.approx(0.02)
    report = tree["replan"]
    assert report["new"]["value"] <= report["repaired"]["value"]
    assert report["old"] == pytest.approx(0.013)
    assert report["events"] == ["device_throttled"]
    assert set(report["phases_ms"]) >= {"events", "view", "repair", "check", "search", "end"}
    assert report["deadline_ms"] == 400
    assert report["startup_ms"] > 0
    (tmp_path / "printed.json").write_text(done.stdout)
    for name in ("new.json", "printed.json"):
        assert run("check", name).stdout == "valid\n"
        again = replan(
            run, name, "--event", '{"kind": "device_throttled", "device": "npu", "speed": 1}', "--json"
        )
        assert json.loads(again.stdout)["replan"]["old"] == pytest.approx(0.02)
        assert json.loads(again.stdout)["objective"]["value"] <= 0.0131
    assert run("replan", plan, "--event", THROTTLED, "--output", "new.json").exit_code == 2


def test_events_come_from_files_and_lists_and_add_up(run, plan, tmp_path):
    (tmp_path / "event.json").write_text(
        '{"format_version": "1.0", "events": [{"kind": "link_changed", "link": "bus", "factor": 0.5}]}'
    )
    done = replan(run, plan, "--event", "event.json", "--event", f"[{THROTTLED}]", "--json")
    assert json.loads(done.stdout)["replan"]["events"] == ["link_changed", "device_throttled"]


def test_a_model_is_added_from_a_file_and_removed_again(run, plan, tmp_path):
    write_instance(load_bundled("tiny/hand"), tmp_path / "hand.json")
    event = {"kind": "model_added", "file": "hand.json", "task": {"name": "second", "model": "hand"}}
    done = replan(run, plan, "--event", json.dumps(event), "--output", "two.json", "--json")
    assert done.exit_code == 0, done.stderr
    tree = json.loads(done.stdout)
    assert {key.split("/")[0] for key in tree["plan"]["placement"]} == {"hand", "second"}
    assert {step["source"] for step in tree["replan"]["moved"] if step["layer"].startswith("second/")} == {
        None
    }
    done = replan(run, "two.json", "--event", '{"kind": "model_removed", "task": "hand"}', "--json")
    assert {key.split("/")[0] for key in json.loads(done.stdout)["plan"]["placement"]} == {"second"}


def test_the_instance_as_it_is_now_instead_of_events(run, plan):
    done = replan(run, plan, "--after", "tiny/hand", "--migration", "free")
    assert done.exit_code == 0
    assert "the plan as it was" in done.stdout


def test_a_plan_without_instance_needs_one(run, hand_plan):
    assert replan(run, hand_plan, "--event", THROTTLED).exit_code == 2
    done = replan(run, hand_plan, "--event", THROTTLED, "--instance", "tiny/hand")
    assert done.exit_code == 0
    assert "before    latency 14 ms" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "say what happened"),
        (("--event", THROTTLED, "--after", "tiny/hand"), "say what happened"),
        (("--event", "{"), "not JSON"),
        (("--event", "nowhere.json"), "neither a file nor JSON"),
        (("--event", '{"kind": "device_lots", "device": "npu"}'), 'did you mean "device_lost"'),
        (("--event", '{"kind": "device_lost", "device": "npx"}'), 'did you mean "npu"'),
        (("--event", '{"kind": "model_added", "file": "nowhere.json"}'), "nowhere.json"),
        (("--event", THROTTLED, "--migration", "cheap"), "--migration cheap"),
        (("--event", THROTTLED, "--limit", "calls_per_device=1"), "calls_per_device"),
        (("--event", THROTTLED, "--output", "plan.txt"), "plan.txt"),
    ],
)
def test_wrong_input_is_named(run, plan, arguments, message):
    done = replan(run, plan, *arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ('{"kind": "device_lost", "device": "cpu"}', "hand/0/score"),
        ('[{"kind": "device_lost", "device": "cpu"}, {"kind": "device_lost", "device": "npu"}]', "last one"),
    ],
)
def test_what_cannot_run_any_more_is_infeasible(run, plan, event, message):
    done = replan(run, plan, "--event", event)
    assert done.exit_code == 3
    assert "infeasible" in done.stderr
    assert message in done.stderr


def test_plans_of_other_problems_are_refused(run, tmp_path):
    (tmp_path / "order.json").write_text(
        '{"format_version": "1.0", "problem": "ordering", "task_order": ["a"]}'
    )
    done = replan(run, "order.json", "--event", THROTTLED, "--instance", "tiny/hand")
    assert done.exit_code == 2
    assert "ordering" in done.stderr


def test_the_schema_of_events_is_printed(run):
    assert json.loads(run("schema", "events").stdout)["title"] == "dnnplan events"
