"""What the installed wheel must be able to do; run by .ci/run from a folder without the checkout."""

import importlib
import json
import pkgutil
import sys
from importlib import metadata
from pathlib import Path

import dnnplan
from dnnplan.instances.catalogue import bundled_names, load_bundled, load_platform, platform_names
from dnnplan.instances.formats.onnx import light_network_paths, read_onnx
from dnnplan.instances.generators.sharing import task_sharing
from dnnplan.solvers import solve, solver_names


def main() -> None:
    """Fail loudly where something is missing from the wheel."""
    home = Path(dnnplan.__file__).resolve().parent
    assert Path(sys.prefix).resolve() in home.parents, f"{home} is not the installed copy"
    # Every module comes with its package and can be imported.
    for module in pkgutil.walk_packages(dnnplan.__path__, "dnnplan."):
        # `__main__` runs the command line.
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    # Nothing is installed beside the one package: no global `solvers`, `instances` or `benchmarks`.
    files = metadata.files("dnnplan") or []
    tops = {f.parts[0] for f in files if f.suffix == ".py"}
    assert tops == {"dnnplan"}, tops
    assert (home / "py.typed").is_file()

    result = json.loads(Path(sys.argv[1]).read_text())
    assert (result["status"], result["valid"]) == ("optimal", True), result

    for name in platform_names():
        load_platform(name)
    assert "tiny/hand" in bundled_names()
    model, _ = read_onnx(light_network_paths()["squeezenet"])
    assert len(model.layers) > 20
    for solver in solver_names():
        answer = solve(load_bundled("tiny/hand"), solver, time_limit=5)
        assert answer.valid, (solver, answer.status, answer.message)
        print(f"{solver}: {answer.status} {answer.objective.value}")
    tasks = task_sharing(5, 3, seed=1)
    for problem, objective in (("grouping", "execution_cost"), ("joint", "switching")):
        answer = solve(tasks, problem=problem, objective=objective, limits={"variety": 0.5}, time_limit=20)
        assert (answer.status, answer.valid) == ("optimal", True), (problem, answer.status, answer.message)
        print(f"{problem}: {answer.status} {answer.objective.value}")


if __name__ == "__main__":
    main()
