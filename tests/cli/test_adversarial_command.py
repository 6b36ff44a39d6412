"""`dnnplan adversarial`: an instance that other commands read, the same for a seed, as bad as it says."""

from __future__ import annotations

import json

import pytest

from dnnplan.instances.files import read_instance
from dnnplan.solvers.adversarial import latency_of

ASKED = ("adversarial", "--solver", "heft", "--against", "peft", "--tasks", "5", "--devices", "2")


def test_what_is_found_is_written_and_as_bad_as_it_says(run, tmp_path):
    done = run(*ASKED, "--steps", "60", "--seed", "3", "--output", "worst.json", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["solver"], told["against"], told["seed"], told["steps"]) == ("heft", "peft", 3, 60)
    assert told["ratio"] >= told["first"]
    instance = read_instance(tmp_path / "worst.json")
    assert json.loads((tmp_path / "worst.json").read_text()) == told["instance"]
    assert instance.extensions["adversarial"]["ratio"] == pytest.approx(told["ratio"], rel=1e-5)
    assert latency_of(instance, "heft") / latency_of(instance, "peft") == pytest.approx(
        told["ratio"], rel=1e-4
    )
    assert run("solve", "worst.json", "--solver", "heft").exit_code == 0
    again = run(*ASKED, "--steps", "60", "--seed", "3")
    ratio = f"{told['ratio']:.4g}"
    assert again.stdout.startswith(
        f"heft takes {ratio} times as long as peft (at first {told['first']:.4g});"
    )


def test_of_several_starts_the_worst_counts(run):
    def ratio(*more: str) -> tuple[float, int]:
        tree = json.loads(run(*ASKED, "--steps", "20", "--json", *more).stdout)
        return tree["ratio"], tree["seed"]

    single = [ratio("--seed", str(seed)) for seed in range(3)]
    assert ratio("--starts", "3") == max(single)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--solver", "heff"], "heff"),
        (["--tasks", "1"], "tasks: 1, expected 2 to"),
        (["--steps", "0"], "steps: 0"),
        (["--starts", "0"], "starts: 0"),
        (["--output", "there.json"], "--force"),
        (["--output", "worst.txt"], ".json"),
    ],
)
def test_what_is_refused(run, tmp_path, more, said):
    (tmp_path / "there.json").write_text("{}")
    done = run(*ASKED, "--steps", "5", *more)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert done.stdout == ""
