"""One clear message on stderr, exit 2, no traceback, nothing written."""

from __future__ import annotations

import json

import pytest

CYCLE = {
    "format_version": "1.0",
    "platform": {"devices": [{"name": "d"}]},
    "models": [
        {
            "name": "m",
            "layers": [{"name": "a"}, {"name": "b"}],
            "tensors": [
                {"name": "t", "source": "a", "targets": ["b"]},
                {"name": "u", "source": "b", "targets": ["a"]},
            ],
        }
    ],
}
BAD_FILES = {
    "truncated.json": b'{"format_version": "1.0", "models": [{"na',
    "cycle.json": json.dumps(CYCLE).encode(),
    "duplicate.json": b'{"format_version": "1.0", "name": "a", "name": "b"}',
    "nan.json": b'{"format_version": "1.0", "limits": {"energy": NaN}}',
    "bomb.yaml": b"format_version: '1.0'\na: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
    "junk.bin": bytes(range(256)) * 50,
    "empty.json": b"",
    "deep.json": b'{"format_version": "1.0", "extensions": ' + b"[" * 5000 + b"]" * 5000 + b"}",
    "newer.json": b'{"format_version": "2.0"}',
    "text.onnx": b"this is no network",
}


@pytest.mark.parametrize("name", BAD_FILES)
@pytest.mark.parametrize("command", ["solve", "compare", "show", "import"])
def test_bad_files(run, tmp_path, name, command):
    if name.endswith(".onnx"):
        pytest.importorskip("onnx")
    (tmp_path / name).write_bytes(BAD_FILES[name])
    extra = ["--output", "out.json"] if command in ("solve", "import") else []
    done = run(command, name, "--platform", "phone-soc", *extra)
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert name in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing.json"], "nothing.json: no such file"),
        (["tiny/hnd"], "did you mean tiny/hand?"),
        (["tiny/hand", "--solver", "hfet"], 'did you mean "heft"?'),
        (["tiny/hand", "--objective", "latncy"], 'did you mean "latency"?'),
        (["tiny/hand", "--limit", "latency=5ms"], "'5ms' is not a finite number"),
        (["tiny/hand", "--limit", "latency=1", "--limit", "latency=2"], "latency is given twice"),
        (["tiny/hand", "--limit", "wealth=1"], "unknown limit 'wealth'"),
        (["tiny/hand", "--platform", "phone-sok"], "did you mean phone-soc"),
        (["tiny/hand", "--select", "3"], "take no option 'select'"),
        (["tiny/hand", "--dim", "batch=0"], "'0' is not a positive whole number"),
        (["tiny/hand", "--dim", "batch=" + "9" * 5000], "is not a positive whole number"),
        (["tiny/hand", "--output", "plan.txt"], "ends in .json, .yaml, .yml"),
        (["tiny/hand", "--output", "nowhere/plan.json"], "there is no folder nowhere"),
        (["tiny/hand", "--warm-start", "nothing.json"], "nothing.json: No such file"),
        (["x.json", "--format", "tgff"], "x.json: no such file"),
        (["."], "is a folder, expected a file"),
    ],
)
def test_bad_arguments_of_solve(run, arguments, message):
    done = run("solve", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_unknown_format_is_named(run, tmp_path):
    (tmp_path / "x.json").write_text('{"format_version": "1.0"}')
    done = run("solve", "x.json", "--format", "tgff")
    assert done.exit_code == 2
    assert '"tgff" is not a format' in done.stderr


@pytest.mark.parametrize("arguments", [["solve"], ["solve", "tiny/hand", "--nope"], ["nope"]])
def test_bad_usage(run, arguments):
    done = run(*arguments)
    assert done.exit_code == 2
    assert "Usage" in done.stderr


def test_all_problems_of_a_file_are_listed(run, tmp_path):
    bad = {
        "format_version": "1.0",
        "platform": {"devices": [{"name": "d", "overhead": -1}]},
        "models": [{"name": "m", "layers": [{"name": "a", "flops": -4}]}],
    }
    (tmp_path / "x.json").write_text(json.dumps(bad))
    done = run("solve", "x.json")
    assert "platform.devices[0].overhead: -1" in done.stderr
    assert "models[0].layers[0].flops: -4" in done.stderr


def test_a_plan_needs_its_instance(run, hand_plan):
    for command in ("show", "check", "explain"):
        done = run(command, hand_plan)
        assert done.exit_code == 2
        assert "--instance" in done.stderr


def test_a_plan_of_another_instance(run, hand_plan):
    done = run("explain", hand_plan, "--instance", "chain/50x4-ccr1")
    assert done.exit_code == 2
    assert "has no device" in done.stderr
