"""`dnnplan simulate`: table, JSON, traces, pictures, bad input."""

from __future__ import annotations

import json
import math

import pytest
from serving_cases import OPTIONS
from typer.testing import CliRunner

from dnnplan.cli.app import app
from dnnplan.instances.files import read_instance
from dnnplan.serving import runs
from dnnplan.serving.policies import make_policy, policy_names
from dnnplan.serving.runs import BY_NAME

CAMERA = {
    "format_version": "1.2",
    "name": "camera",
    "models": [
        {
            "name": "net",
            "layers": [{"name": "a", "exit": "early"}, {"name": "b"}],
            "tensors": [{"name": "t", "source": "a", "targets": ["b"]}],
        }
    ],
    "costs": {
        "batch_latency": {
            "early": {"1": 0.002, "4": 0.005, "8": 0.009},
            "final": {"1": 0.003, "4": 0.006, "8": 0.010},
        }
    },
    "workload": {
        "streams": [
            {
                "name": "door",
                "task": "net",
                "slo": 0.05,
                "exits": {"early": 0.5},
                "arrivals": {"kind": "poisson", "rate": 300},
            }
        ]
    },
}
FIELDS = {
    *(
        "policy",
        "mean_latency",
        "p50",
        "p95",
        "p99",
        "slo_violation_rate",
        "goodput",
        "utilisation",
        "energy",
    ),
    *(
        "samples_per_second_simulated",
        "bound_mean_latency",
        "drop_rate",
        "load",
        "capacity",
        "samples",
        "seed",
    ),
}
INTERVALS = ("mean_latency", "p50", "p95", "p99", "slo_violation_rate", "drop_rate")
CAPACITY = 1 / (0.009 / 8 + 0.5 * 0.010 / 8)


def _changed(**changes):
    """The instance with fields of its stream changed; None: left out."""
    tree = json.loads(json.dumps(CAMERA))
    stream = tree["workload"]["streams"][0] | changes
    tree["workload"]["streams"][0] = {name: value for name, value in stream.items() if value is not None}
    return tree


@pytest.fixture
def run(monkeypatch, tmp_path):
    """A function that runs the command in an empty folder; policies that plan do so in a moment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        runs, "make_policy", lambda name, problem: make_policy(name, problem, **OPTIONS.get(name, {}))
    )
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA))
    runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1", "TERM": "dumb"})

    def invoke(*arguments, instance="camera.json"):
        return runner.invoke(app, ["simulate", instance, *arguments], catch_exceptions=False)

    return invoke


def _rows(done):
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def test_json_is_a_list_of_objects_with_plain_numbers(run):
    rows = _rows(
        run("--policy", "all", "--arrivals", "poisson:0.7", "--samples", "3000", "--seed", "1", "--json")
    )
    assert [row["policy"] for row in rows] == [name for name in policy_names() if name not in BY_NAME]
    for row in rows:
        assert set(row) >= FIELDS
        for name in INTERVALS:
            low, high = row[f"{name}_interval"]
            assert low <= row[name] <= high
        assert all(isinstance(row[name], int | float) for name in FIELDS - {"policy"})
        assert row["bound_mean_latency"] <= row["mean_latency"]
        assert row["p50"] <= row["p95"] <= row["p99"]
        assert 0 <= row["utilisation"] <= 1
        assert row["load"] == pytest.approx(0.7)
        assert row["capacity"] == pytest.approx(CAPACITY)
        assert (row["samples"], row["seed"]) == (3000, 1)
        assert row["goodput"] <= row["load"] * row["capacity"] * 1.1


def test_the_same_seed_prints_the_same(run):
    def figures(seed):
        rows = _rows(run("--policy", "greedy,lazy", "--samples", "500", "--seed", seed, "--json"))
        return [
            {name: v for name, v in row.items() if name != "samples_per_second_simulated"} for row in rows
        ]

    assert figures("4") == figures("4")
    assert figures("4") != figures("5")


def test_the_table_has_intervals_bound_load_and_marks(run):
    done = run("--policy", "serial,greedy,clockwork", "--samples", "4000")
    assert done.exit_code == 0
    first, second, *rest = done.stdout.splitlines()
    assert first == "camera: 4,000 samples, arrivals poisson, seed 0"
    assert second.startswith(
        f"load {300 / CAPACITY:.4g} (capacity {CAPACITY:.4g} samples/s); objective 50 ms; no mean"
    )
    text = "\n".join(rest)
    for word in (
        "mean [ms]",
        "p99 [ms]",
        "violated [%]",
        "busy [%]",
        "±",
        "*",
        "serial",
        "greedy",
        "95 % confidence",
    ):
        assert word in text


def test_without_objectives_there_are_no_violations(run, tmp_path):
    (tmp_path / "free.json").write_text(json.dumps(_changed(slo=None)))
    done = run("--samples", "500", instance="free.json")
    assert done.exit_code == 0
    assert "violated" not in done.stdout
    assert "objective" not in done.stdout
    assert "left out: policy 'clockwork' needs a service-level objective" in done.stderr
    rows = _rows(run("--samples", "500", "--json", instance="free.json"))
    assert not {"clockwork", "symphony"} & {row["policy"] for row in rows}
    assert all(row["slo_violation_rate"] == 0 for row in rows)
    done = run("--samples", "500", "--policy", "clockwork", instance="free.json")
    assert done.exit_code == 2
    assert "needs a service-level objective" in done.stderr
    assert _rows(
        run("--samples", "500", "--policy", "clockwork", "--slo", "0.1", "--json", instance="free.json")
    )


def test_few_samples_have_no_intervals(run):
    (row,) = _rows(run("--policy", "greedy", "--samples", "20", "--json"))
    assert row["mean_latency_interval"] is None
    assert math.isfinite(row["mean_latency"])
    done = run("--policy", "greedy", "--samples", "20")
    assert "±" not in done.stdout.splitlines()[4]


def test_a_policy_that_serves_none_has_null_for_a_latency(run):
    (row,) = _rows(run("--policy", "clockwork", "--samples", "300", "--slo", "0.001", "--json"))
    assert (row["drop_rate"], row["slo_violation_rate"], row["goodput"]) == (1, 1, 0)
    assert (
        row["mean_latency"] is row["p99"] is row["bound_mean_latency"] is row["mean_latency_interval"] is None
    )
    done = run("--policy", "clockwork,greedy", "--samples", "300", "--slo", "0.001")
    assert done.exit_code == 0


def test_overload_is_said(run):
    done = run("--policy", "greedy,clockwork", "--arrivals", "poisson:1.2", "--samples", "3000", "--json")
    greedy, clockwork = _rows(done)
    message = " ".join(done.stderr.split())
    assert "load 1.2: more samples come than can be served; drops and violations count" in message
    assert greedy["drop_rate"] == 0
    assert clockwork["drop_rate"] > 0.1
    assert greedy["slo_violation_rate"] > clockwork["slo_violation_rate"] > 0.1
    assert "load" not in run("--policy", "greedy", "--samples", "300", "--json").stderr


def test_a_smaller_batch_is_a_smaller_capacity(run):
    (row,) = _rows(run("--policy", "greedy", "--samples", "300", "--max-batch", "1", "--json"))
    assert row["capacity"] == pytest.approx(1 / (0.002 + 0.5 * 0.003))
    assert row["mean_batch"] == 1


def test_saved_traces_are_replayed_and_give_the_same_figures(run, tmp_path):
    first = _rows(run("--policy", "greedy,lazy", "--samples", "600", "--save-trace", "trace.json", "--json"))
    trace = read_instance(tmp_path / "trace.json")
    arrivals = trace.workload.streams[0].arrivals
    assert arrivals.kind == "trace"
    assert len(arrivals.times) == len(arrivals.exits) == 600
    assert set(arrivals.exits) == {"early", "final"}
    again = _rows(run("--policy", "greedy,lazy", "--json", instance="trace.json"))
    for old, new in zip(first, again, strict=True):
        for name in ("mean_latency", "p99", "energy", "utilisation", "goodput"):
            assert new[name] == old[name], name
    (short,) = _rows(run("--policy", "greedy", "--samples", "100", "--json", instance="trace.json"))
    assert short["samples"] == 100
    done = run("--samples", "10", "--save-trace", "trace.json")
    assert done.exit_code == 2
    assert "trace.json: exists; --force overwrites it" in done.stderr


def test_traces_of_files(run, tmp_path):
    (tmp_path / "times.csv").write_text("time\n" + "\n".join(str(0.01 * k) for k in range(500)))
    (row,) = _rows(run("--policy", "greedy", "--arrivals", "times.csv", "--json"))
    assert row["samples"] == 500
    assert row["load"] == pytest.approx(100 / CAPACITY)
    (row,) = _rows(run("--policy", "greedy", "--arrivals", "times.csv@0.9", "--json"))
    assert row["load"] == pytest.approx(0.9)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures(run, tmp_path, suffix):
    pytest.importorskip("matplotlib")
    done = run("--policy", "all", "--samples", "400", "--figure", f"x.{suffix}", "--window", "0.1,0.2")
    assert done.exit_code == 0, done.stderr
    assert (tmp_path / f"x.{suffix}").stat().st_size > 5000


def test_the_largest_rate_is_a_column(run):
    options = ("--policy", "serial,greedy", "--samples", "1000", "--largest-rate")
    rows = _rows(run(*options, "--json"))
    assert rows[0]["largest_rate"] < rows[1]["largest_rate"] <= CAPACITY * 1.1
    assert rows[1]["largest_rate_load"] == pytest.approx(rows[1]["largest_rate"] / CAPACITY)
    done = run(*options)
    assert "largest rate" in done.stdout
    assert "largest rate [/s]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "gredy"], 'did you mean "greedy"'),
        (["--policy", "greedy,greedy"], "each once"),
        (["--arrivals", "posson:0.5"], "expected poisson:LOAD"),
        (["--arrivals", "gamma:0.5"], "gamma:LOAD,CV"),
        (["--arrivals", "poisson:0"], "load 0"),
        (["--arrivals", "nothing.csv"], "nothing.csv: No such file"),
        (["--arrivals", "empty.csv"], "empty trace"),
        (["--arrivals", "unsorted.csv"], "line 2: 0 s after 1 s, expected times in order"),
        (["--samples", "0"], "samples: 0, expected 1 to"),
        (["--samples", "100000000"], "expected 1 to"),
        (["--slo", "0"], "--slo 0: expected seconds above 0"),
        (["--slo", "nan"], "--slo nan"),
        (["--max-batch", "0"], "--max-batch"),
        (["--max-batch", "99"], "expected one of 99 samples"),
        (["--npu", "fluid"], "--npu fluid: costs.batch_latency"),
        (["--npu", "liquid"], "liquid"),
        (["--figure", "x.txt"], "ends in .png, .svg, .pdf"),
        (["--save-trace", "x.txt"], "ends in .json"),
        (["--save-trace", "no/x.json"], "there is no folder no"),
        (["--window", "1,2"], "--window is for --figure"),
        (["--window", "2,1", "--figure", "x.png"], "expected FROM,TO in seconds"),
        (["--window", "a", "--figure", "x.png"], "expected FROM,TO in seconds"),
    ],
)
def test_bad_input(run, tmp_path, arguments, message):
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "unsorted.csv").write_text("1\n0\n")
    done = run(*arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"exits": {"early": 0.7, "final": 0.7}}, "add up to 1.4"),
        ({"exits": {"erly": 0.5}}, 'did you mean "early"'),
        ({"arrivals": {"kind": "trace", "times": []}}, "times"),
        ({"arrivals": {"kind": "trace", "times": [1, 0.5]}}, "not in order"),
        ({"arrivals": {}}, "stream 'door' has no rate, expected one, or --arrivals"),
        ({"arrivals": {"kind": "mmpp", "rates": [0, 0], "dwell": [1, 1]}}, "rate"),
        ({"slo": -1}, "slo"),
        ({"task": "nt"}, "net"),
    ],
)
def test_bad_instances(run, tmp_path, changes, message):
    (tmp_path / "bad.json").write_text(json.dumps(_changed(**changes)))
    done = run("--samples", "100", instance="bad.json")
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_instance_without_streams(run):
    done = run("--samples", "100", instance="tiny/hand")
    assert done.exit_code == 2
    assert "serving needs at least one stream" in done.stderr


def test_tables_that_fall_are_a_warning(run, tmp_path):
    tree = json.loads(json.dumps(CAMERA))
    tree["costs"]["batch_latency"]["early"]["8"] = 0.004
    (tmp_path / "falls.json").write_text(json.dumps(tree))
    done = run("--policy", "greedy", "--samples", "100", "--json", instance="falls.json")
    assert len(_rows(done)) == 1
    assert "warning: costs.batch_latency.early" in " ".join(done.stderr.split())


def test_bundled_networks_with_three_ways_to_batch(run):
    pytest.importorskip("onnx")
    mean = {}
    for npu in ("plain", "fluid", "stackable"):
        (row,) = _rows(
            run(
                "--policy",
                "greedy",
                "--samples",
                "300",
                "--npu",
                npu,
                "--json",
                instance="serving/resnet50-ws128",
            )
        )
        mean[npu] = row["capacity"]
    assert mean["plain"] < mean["fluid"] <= mean["stackable"]
