"""The command line as a process of its own: signals, pipes, and what it imports."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = str(Path(__file__).parent)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), HERE]), "NO_COLOR": "1"}


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, cwd=cwd, env=_environment(), timeout=120
    )


def _interrupt(solver: str, cwd: Path, times: int = 1) -> subprocess.CompletedProcess[str]:
    """Start `solve` with a solver that waits, and press Ctrl-C when it does."""
    command = [sys.executable, "-m", "cli_solvers", "solve", "tiny/hand", "--solver", solver, "--json"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd, env=_environment()
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    for _ in range(times):
        process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_ctrl_c_returns_the_incumbent(tmp_path):
    done = _interrupt("patient", tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert (result["stop_reason"], result["valid"]) == ("interrupted", True)
    assert "stopping with the best plan so far" in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals are those of POSIX")
def test_ctrl_c_without_a_plan_is_130(tmp_path):
    done = _interrupt("fruitless", tmp_path)
    assert done.returncode == 130
    assert json.loads(done.stdout)["plan"] is None
    assert "Traceback" not in done.stderr


def test_reader_that_stops_early_is_no_error(tmp_path):
    command = [sys.executable, "-m", "dnnplan", "generate", "layered", "--layers", "2000"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=_environment()
    )
    assert process.stdout is not None
    assert process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.wait(timeout=120)


def test_help_and_import_load_nothing_heavy(tmp_path):
    heavy = {"numpy", "scipy", "ortools", "onnx", "matplotlib", "pandas", "numba", "networkx", "highspy"}
    code = f"import sys, dnnplan; print(sorted({heavy} & set(sys.modules)), 'typer' in sys.modules)"
    assert _run("-c", code, cwd=tmp_path).stdout == "[] False\n"
    code = (
        "import sys\nfrom dnnplan.cli import main\nsys.argv = ['dnnplan', '--help']\n"
        f"try:\n    main()\nexcept SystemExit as e:\n    print(e.code, sorted({heavy} & set(sys.modules)))"
    )
    assert _run("-c", code, cwd=tmp_path).stdout.endswith("0 []\n")


def test_module_and_version(tmp_path):
    done = _run("-m", "dnnplan", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()[0]) == (0, "dnnplan")


def test_every_command_has_help(tmp_path):
    names = "import materialise generate instances platforms schema solve compare check explain show solvers"
    code = (
        "from typer.testing import CliRunner\nfrom dnnplan.cli.app import app\n"
        f"for name in '{names} bench'.split():\n"
        "    done = CliRunner().invoke(app, [name, '--help'])\n"
        "    assert done.exit_code == 0 and 'Usage' in done.stdout, name\n"
    )
    done = _run("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_names_that_the_terminal_cannot_print(tmp_path):
    instance = {
        "format_version": "1.0",
        "name": "größe",
        "platform": {"devices": [{"name": "gerät", "peak_flops": {"*": 1}}]},
        "models": [{"name": "netz", "layers": [{"name": "tür", "flops": 1}]}],
    }
    (tmp_path / "x.json").write_text(json.dumps(instance), encoding="utf-8")
    environment = _environment() | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    for arguments in (["show", "x.json", "--layers"], ["solve", "x.json", "--solver", "heft", "--json"]):
        command = [sys.executable, "-m", "dnnplan", *arguments]
        done = subprocess.run(command, capture_output=True, cwd=tmp_path, env=environment, timeout=120)
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode("ascii")
    assert list(json.loads(done.stdout)["plan"]["placement"].values()) == ["gerät"]
