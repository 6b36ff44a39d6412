"""The demo runs, writes what it says, and says no more than what is proven."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks import demo
from benchmarks.demo import comparison, conclusion, main, run
from dnnplan.costs.check import check
from dnnplan.instances import ObjectiveValue, Result
from dnnplan.instances.files import read_instance, read_plan, read_result

pytest.importorskip("onnx")


def result(solver: str, value: float | None, bound: float | None = None) -> Result:
    gap = None if value is None or bound is None else (value - bound) / value
    status = "unknown" if value is None else "optimal" if gap == 0 else "feasible"
    return Result(
        status=status,  # type: ignore[arg-type]
        stop_reason="time_limit",
        objective=ObjectiveValue(name="latency", value=value, unit="s"),
        bound=bound,
        gap=gap,
        valid=value is not None,
        solver=solver,
    )


def test_the_last_line_says_what_was_gained_and_what_is_proven() -> None:
    line = conclusion([result("compute_first", 0.02), result("heft", 0.0125), result("auto", 0.01, 0.01)])
    assert line.startswith("Gained: auto takes 10 ms, 50 % less than compute_first, 20 % less than heft. ")
    assert "Proven: the plan keeps all rules, and none is better" in line


def test_a_gap_is_not_called_a_proof_and_a_loss_not_a_gain() -> None:
    line = conclusion([result("heft", 0.008), result("auto", 0.01, 0.009)])
    assert "25 % MORE than heft" in line
    assert "none has less than 9 ms: at most 10 % is left to gain" in line
    assert "nothing to compare with heft" in conclusion([result("heft", None), result("auto", 0.01)])


def test_the_demo_writes_what_it_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo, "SOLVERS", ("compute_first", "heft"))
    monkeypatch.setattr(demo, "NETWORKS", ("squeezenet",))
    text = io.StringIO()
    console = Console(file=text, width=100, highlight=False)
    folder = tmp_path / "new" / "output"
    assert run(folder, 5.0, console) == 0
    # And once more: the files of an earlier demo are replaced.
    assert run(folder, 5.0, console) == 0
    shown = text.getvalue()
    words = "squeezenet phone-soc compute_first heft latency energy traffic bound gap seconds Gained: Proven:"
    for word in words.split():
        assert word in shown
    instance, plan = read_instance(folder / "instance.json"), read_plan(folder / "plan.json")
    stored = read_result(folder / "result.json")
    assert check(instance, plan, cost=stored.cost) == ()
    assert json.loads((folder / "trace.json").read_text())["traceEvents"]
    assert (folder / "gantt.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (folder / "gantt.svg").read_text()


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    text = io.StringIO()
    table = comparison([result("compute_first", 0.018739), result("auto", 0.010139, 0.010138)])
    Console(file=text, width=80, highlight=False).print(table)
    assert len(text.getvalue().splitlines()) == 4
    assert "compute_first" in text.getvalue()


def test_a_folder_that_cannot_be_made_is_said_before_anything_is_planned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert main(["--output", str(tmp_path / "file")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert "planning" not in said.err
    assert (tmp_path / "file").read_text() == "in the way"
