"""convert, formats, --option and --set."""

from __future__ import annotations

import json

import pytest

from dnnplan.instances.files import read_instance

GRAPH = "#critical\n0\n#tasks\n0: 5, 10\n1: 4, 2\n#edges\n0: 0, 1, 3\n#end\n"
GROUPS = (
    "network,group,gpu_ms_paper,dla_ms_paper,transition_out_of_gpu_ms,transition_out_of_dla_ms\n"
    "one,a,1,2,0.5,0.5\none,b,3,1,,\ntwo,a,1,1,,\n"
)


@pytest.fixture
def graph(tmp_path):
    """A task graph whose optimum is 9."""
    (tmp_path / "graph.dag").write_text(GRAPH)
    return "graph.dag"


def test_every_command_reads_foreign_formats(run, graph):
    done = run("solve", graph, "--json", "--time-limit", "10", "--output", "plan.json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["objective"]["value"] == 9
    assert run("check", "plan.json", "--instance", graph).stdout == "valid\n"
    assert run("explain", "plan.json", "--instance", graph).exit_code == 0
    assert "machine-1" in run("show", graph).stdout
    done = run("compare", graph, "--solvers", "heft", "--time-limit", "10", "--json")
    assert [row["instance"] for row in json.loads(done.stdout)] == ["graph"]


def test_convert_there_and_back(run, graph, tmp_path):
    assert run("convert", graph, "native.json", "--to", "native").exit_code == 0
    assert run("convert", "native.json", "again.dag", "--to", "hetero-dag").exit_code == 0
    first, second = (read_instance(tmp_path / name) for name in (graph, "again.dag"))
    assert (first.models, first.costs, first.platform) == (second.models, second.costs, second.platform)


def test_convert_names_what_it_cannot_express(run, graph, tmp_path):
    done = run("convert", graph, "x.json", "--to", "saga")
    assert done.exit_code == 2
    assert "format 'saga' cannot express tables of costs" in done.stderr
    assert not (tmp_path / "x.json").exists()
    assert run("convert", graph, graph, "--to", "native").exit_code == 2  # exists
    assert "did you mean" in run("convert", graph, "x", "--to", "hetro-dag").stderr


def test_convert_with_a_change(run, graph, tmp_path):
    done = run("convert", graph, "x.dag", "--to", "hetero-dag", "--set", "links.*.bandwidth=50%")
    assert done.exit_code == 0
    assert "0: 0, 1, 6" in (tmp_path / "x.dag").read_text()


def test_formats_lists_what_can_be_written(run):
    rows = {row["name"]: row for row in json.loads(run("formats", "--json").stdout)}
    assert rows["hax-conn"]["options"] == ["networks", "slowdown", "switches"]
    assert (rows["saga"]["written"], rows["onnx"]["written"]) == (True, False)
    assert all(row["what"] for row in rows.values())
    assert "hetero-dag" in run("formats").stdout


def test_reader_options(run, tmp_path):
    (tmp_path / "groups.csv").write_text(GROUPS)
    done = run(
        "convert",
        "groups.csv",
        "x.json",
        "--to",
        "native",
        "--option",
        "networks=one",
        "--option",
        "switches=0",
    )
    assert done.exit_code == 0
    instance = read_instance(tmp_path / "x.json")
    assert ([model.name for model in instance.models], instance.limits.switches) == (["one"], 0)
    assert "has no option 'colour'" in run("show", "groups.csv", "--option", "colour=1").stderr
    assert "expected NAME=VALUE" in run("show", "groups.csv", "--option", "networks").stderr


def test_solve_with_a_change_mentions_it(run, graph):
    changes = ("--set", "links.*.bandwidth=6x", "--set", "devices.machine-0.overhead=1")
    done = run("solve", graph, "--json", "--time-limit", "10", *changes, "--output", "plan.json")
    tree = json.loads(done.stdout)
    assert tree["objective"]["value"] == 7.5
    assert tree["message"] == "with links.*.bandwidth=6x, devices.machine-0.overhead=1"
    assert "with links.*.bandwidth=6x" in run("solve", graph, "--time-limit", "10", *changes).stdout
    assert run("check", "plan.json", "--instance", graph, *changes).stdout == "valid\n"
    assert run("check", "plan.json", "--instance", graph).exit_code == 1
    explained = run("explain", "plan.json", "--instance", graph, "--json", *changes)
    assert json.loads(explained.stdout)["latency"] == 7.5


def test_a_wrong_change_is_bad_input(run, graph):
    done = run("solve", graph, "--set", "link.x.bandwidth=2x")
    assert done.exit_code == 2
    assert 'did you mean "links"' in done.stderr
