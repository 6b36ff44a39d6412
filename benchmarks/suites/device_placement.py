"""Device placement of DNN graphs (Tarnawski et al., NeurIPS 2020): max-load, and latency of one sample."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from benchmarks.case import Case
from benchmarks.data import data_files, data_folder, rows
from dnnplan.instances.files import read_instance

SUMMARY = "device placement of DNN graphs, max-load and single-sample latency: auto against published methods"

FOLDER = "dnn_partitioning"
KINDS = {"max-load": "throughput-inputs", "latency": "latency-inputs"}
SECONDS = 60.0


def cases() -> Iterator[Case]:
    """Auto on every instance of the data folder; ``max-load/LayerGraphs/bert24_inference`` is one of them."""
    for kind, folder in KINDS.items():
        for path in data_files(f"{FOLDER}/{folder}/*/*.json"):
            name = f"{kind}/{path.parent.name}/{path.stem}"
            yield Case(instance=name, build=partial(read_instance, path), solver="auto", time_limit=SECONDS)


def references(instance: str) -> dict[str, float]:
    """Values of other methods, in the numbers of the file; ``best`` is the best of those without a warning.

    ``bound`` is the bound of the reference model for max-load, where there is one.
    """
    kind, _, name = instance.partition("/")
    found = _max_load(name) if kind == "max-load" else _latency(name)
    feasible = [value for method, value in found.items() if "(" not in method and method != "bound"]
    return {**found, "best": min(feasible)} if feasible else found


def _max_load(name: str) -> dict[str, float]:
    found = {
        row["method"].partition(" (")[0]: float(row["max_load"])
        for row in rows(f"{FOLDER}/throughput_results_authors_code.csv")
        if row["instance"] == f"{name}.json" and row["max_load"]
    }
    for row in rows(f"{FOLDER}/milp_noncontiguous_reference.csv"):
        if row["instance"] == name:
            found |= {"MILP": float(row["max_load"]), "bound": float(row["lower_bound"])}
    return found


def _latency(name: str) -> dict[str, float]:
    """Plans that break a limit, or whose method fails its own check, are named with ``(infeasible)``."""
    found = {}
    for row in rows(f"{FOLDER}/latency_results_authors_code.csv"):
        if row["instance"] == name and row["latency"]:
            note = (
                "" if row["status"] == "ok" and not _uses_too_many(name, row["method"]) else " (infeasible)"
            )
            found[row["method"] + note] = float(row["latency"])
    if found and (path := _path(name)).is_file():
        found["all on the CPU"] = _on_the_cpu(path)
    return found


def _path(name: str) -> Path:
    return data_folder() / FOLDER / KINDS["latency"] / f"{name}.json"


def _uses_too_many(name: str, method: str) -> bool:
    """Whether the expert's plan needs more accelerators than there are, which its method does not check."""
    import json

    stem = Path(name).name
    split = data_folder() / FOLDER / "human-experts" / f"{stem}_expert.json"
    if method != "human expert" or not split.is_file() or not _path(name).is_file():
        return False
    used = sum(1 for part in json.loads(split.read_text(encoding="utf-8"))["fpgas"] if part["nodes"])
    return bool(used > json.loads(_path(name).read_text(encoding="utf-8"))["maxFPGAs"])


def _on_the_cpu(path: Path) -> float:
    """Latency with every layer on the CPU, which runs any number of them at once: its longest path."""
    from dnnplan.costs import mapping_problem

    problem = mapping_problem(read_instance(path))
    cpu = problem.devices.index("cpu")
    ends = [0.0] * problem.n
    for i in problem.topological:
        before = [int(problem.source[k]) for k in problem.inputs[i]]
        ends[i] = float(problem.duration[i, cpu]) + max((ends[j] for j in before if j >= 0), default=0.0)
    return max(ends)
