"""Published data of grouping and ordering: every file is recognised, and known figures come out."""

from __future__ import annotations

import csv
import itertools
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from dnnplan.costs.ordering.problem import ordering_problem
from dnnplan.costs.sharing.grouping import grouping_problem
from dnnplan.costs.sharing.selection import SelectionProblem, selection_problem
from dnnplan.instances import FormatError, Limits, Ordering
from dnnplan.instances.files import HEAD_BYTES, read_instance
from dnnplan.instances.formats import detect_format, write_with
from tests.support.data import data_folder, needs_data

# -- recognition --

FOLDERS = {
    "sop/tsplib/*.sop": "tsplib",
    "ssp/Catanzaro/*.txt": "ssp",
    "antler/antler_instances.json": "antler",
    "antler/affinity_tensors.json": "affinity",
    "grouping/tag2021/tag_matrices.json": "tag",
    "grouping/standley2020/results*.txt": "standley",
    "sched/fjsp/*.txt": "fjsp",
    "sched/hetero_dag/*.txt": "hetero-dag",
    "sched/hetero_dag_apps/*.dag": "hetero-dag",
    "sched/auckland/*.json": "auckland",
    "saga_instances/*.json": "saga",
    "dnn_partitioning/*-inputs/*/*.json": "dnn-partitioning",
    "hax_conn/layer_groups.csv": "hax-conn",
}
"""Which format the files of the data folder have."""


def recognised(path: Path) -> str | None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    try:
        return detect_format(path, head)
    except FormatError:
        return None


@pytest.mark.parametrize("pattern", FOLDERS)
def test_published_files_are_recognised(pattern: str) -> None:
    files = sorted(data_folder().glob(pattern))
    if not files:
        pytest.skip(f"no data in {data_folder() / pattern}; set DNNPLAN_DATA")
    assert {recognised(path) for path in files} == {FOLDERS[pattern]}


def test_nothing_else_is_taken_for_a_foreign_format() -> None:
    """Tables, texts and other JSON that lie beside the instances."""
    instances = {path for pattern in FOLDERS for path in data_folder().glob(pattern)}
    others = {path for path in data_folder().glob("*/**/*.*") if path.is_file()} - instances
    if not others:
        pytest.skip(f"no data in {data_folder()}; set DNNPLAN_DATA")
    assert {recognised(path) for path in others} <= {None, "native"}


# -- Antler --

ANTLER = data_folder() / "antler" / "antler_instances.json"
SETS: list[dict[str, Any]] = json.loads(ANTLER.read_text())["instances"] if ANTLER.is_file() else []
SI = {"s": 1.0, "mJ": 1e-3}


def depth_first(groups: Sequence[Sequence[Sequence[str]]], tasks: int) -> list[int]:
    """Tasks in an order in which every group stands together."""
    home = [
        [next(g for g, group in enumerate(level) if str(t) in group) for level in groups]
        for t in range(tasks)
    ]
    return sorted(range(tasks), key=lambda task: home[task])


@needs_data("antler")
def test_antler_has_all_sets() -> None:
    assert len(SETS) == 18


@pytest.mark.parametrize("one", SETS, ids=lambda one: f"{one['dataset']}-{one['metric']}")
def test_antler_figures_come_out(one: dict[str, Any]) -> None:
    """The file has the optima of a closed and of an open order (by dynamic programming), and the memory.

    Every depth-first order enters each node once, which is optimal. The published total of Antler is rounded.
    """
    name, scale = f"{one['dataset']}-{one['metric']}", SI[one["unit"]]
    instance = read_instance(ANTLER, select=name)
    assert instance == read_instance(ANTLER, select=f"{name}-{one['platform'].lower()}")
    assert instance.sharing is not None
    problem = ordering_problem(instance)
    assert problem.unit("switching") == ("s" if one["metric"] == "time" else "J")
    order = depth_first(instance.sharing.groups, one["n_tasks"])
    cost = problem.judge(order).value
    assert cost == pytest.approx(scale * one["own_opt_cycle"], rel=1e-9)
    known = instance.extensions["antler"]
    assert known["published_factor"] * cost == pytest.approx(scale * one["own_opt_cycle_x_mult"], rel=1e-9)
    assert known["published_factor"] * cost == pytest.approx(known["published"]["Antler"], rel=5e-4)
    cold = ordering_problem(replace(instance, ordering=Ordering()))
    assert cold.judge(order).value == pytest.approx(scale * one["own_opt_cold_path"], rel=1e-9)
    groups = tuple(
        tuple(tuple(int(t) for t in group) for group in level) for level in instance.sharing.groups
    )
    size = grouping_problem(replace(instance, objective="size")).judge(groups).value
    assert size == pytest.approx(1000 * known["memory_kb"], rel=1e-9)


@needs_data("antler")
def test_a_fresh_input_costs_what_is_shared_by_all_once_more() -> None:
    same, fresh = (read_instance(ANTLER, select="MNIST-time", input=kind) for kind in ("same", "fresh"))
    assert same.sharing is not None
    assert same.sharing.stem is not None
    order = depth_first(same.sharing.groups, 10)
    more = ordering_problem(fresh).judge(order).value - ordering_problem(same).judge(order).value
    # The last task shares nothing but the stem with the first, whose blocks below it are computed in either case.
    assert more == pytest.approx(same.sharing.stem.compute)


@needs_data("antler")
def test_every_affinity_tensor_is_valid() -> None:
    path = data_folder() / "antler" / "affinity_tensors.json"
    tensors = json.loads(path.read_text())
    assert len(tensors) == 50
    for name, tensor in tensors.items():
        instance = read_instance(path, select=name, points="0,2")
        assert instance.sharing is not None
        assert [list(map(list, matrix)) for matrix in instance.sharing.affinity] == [tensor[0], tensor[2]]


# -- choosing networks --


def least_loss(problem: SelectionProblem) -> float:
    """The best value of all choices, by depth-first enumeration; a branch ends where all others cannot help."""
    rest = np.full((problem.m + 1, problem.n), np.inf)
    for c in reversed(range(problem.m)):
        rest[c] = np.minimum(rest[c + 1], problem.score[c])
    best = math.inf

    def extend(start: int, taken: np.ndarray, spent: float, count: int) -> None:
        nonlocal best
        best = min(best, float(taken.sum()))
        for c in range(start, problem.m if count < problem.most else start):
            if np.minimum(taken, rest[c]).sum() >= best:
                return
            if spent + problem.cost[c] <= problem.budget:
                extend(c + 1, np.minimum(taken, problem.score[c]), spent + problem.cost[c], count + 1)

    extend(0, np.full(problem.n, np.inf), 0.0, 0)
    return best


STANDLEY = data_folder() / "grouping" / "standley2020"
SETTINGS = {
    "setting1": "results.txt",
    "setting2": "results_large.txt",
    "setting3": "results_small_data.txt",
    "setting4": "results_alt.txt",
}
"""Which file the settings of `check_optima.json` are about."""


@needs_data("grouping")
@pytest.mark.parametrize("setting", SETTINGS)
def test_standley_optima_come_out(setting: str) -> None:
    """Nine budgets; the file has five decimals, and names the tasks of the chosen networks by number."""
    instance = read_instance(STANDLEY / SETTINGS[setting])
    assert instance.sharing is not None
    assert len(instance.sharing.candidates) == 36
    points = json.loads((STANDLEY / "check_optima.json").read_text())[setting]
    assert len(points) == 9
    for point in points:
        problem = selection_problem(replace(instance, limits=Limits(budget=point["budget"])))
        assert least_loss(problem) == pytest.approx(point["val_opt"], abs=6e-6)
        chosen = [
            next(
                index
                for index, members in enumerate(problem.members)
                if members == tuple(map(int, tasks)) and problem.cost[index] == cost
            )
            for cost, tasks in point["nets"]
        ]
        judged = problem.judge(chosen)
        assert judged.feasible
        assert judged.value == pytest.approx(point["val_opt"], abs=6e-6)


@needs_data("grouping")
def test_standley_tests_have_the_candidates_of_their_validation() -> None:
    for name in SETTINGS.values():
        if name == "results_large.txt":  # has no test losses
            continue
        pair = [read_instance(STANDLEY / file) for file in (name, name.replace(".txt", "_test.txt"))]
        tasks = [[c.tasks for c in instance.sharing.candidates] for instance in pair if instance.sharing]
        assert tasks[0] == tasks[1]


TAG = data_folder() / "grouping" / "tag2021" / "tag_matrices.json"
KNOWN: dict[str, Any] = json.loads(TAG.read_text())["own_exhaustive_check"] if TAG.is_file() else {}


@pytest.mark.parametrize("key", KNOWN)
def test_tag_optima_come_out(key: str) -> None:
    """The best k groups, known from an exhaustive search: the value, and the groups."""
    name, _, k = key.rpartition("_k")
    value, groups = KNOWN[key]
    instance = read_instance(TAG, select=name.replace("error", "accuracy"))
    problem = selection_problem(replace(instance, limits=Limits(groups=int(k))))
    number = {frozenset(problem.tasks[t] for t in members): c for c, members in enumerate(problem.members)}
    judged = problem.judge([number[frozenset(group)] for group in groups])
    assert judged.feasible
    assert judged.measures[instance.objective] == pytest.approx(value, rel=1e-9)
    assert least_loss(problem) == pytest.approx(judged.value, rel=1e-9)


@needs_data("grouping")
def test_tag_values_are_those_of_the_facts() -> None:
    rounded = {key: round(value, 6) for key, (value, _) in KNOWN.items()}
    assert rounded["tag_taskonomy_k2"] == 0.321696
    assert rounded["tag_taskonomy_k3"] == 0.34867
    assert (rounded["hoa_taskonomy_loss_k2"], rounded["hoa_taskonomy_loss_k3"]) == (0.10186, 0.09792)


# -- order --


@needs_data("ssp")
def test_optimal_job_sequences_have_their_number_of_switches() -> None:
    """Tasks are named as the sequences name jobs. Rows without a proof can be beaten by the best use of the slots."""
    found = 0
    with (data_folder() / "ssp" / "best_known.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            path = data_folder() / "ssp" / "Catanzaro" / Path(row["instance"]).name
            if "/Catanzaro/" not in row["instance"] or not path.is_file():
                continue
            problem = ordering_problem(read_instance(path))
            index = {name: t for t, name in enumerate(problem.tasks)}
            value = problem.judge([index[str(job)] for job in json.loads(row["sequence"])]).value
            if row["status"] == "optimal":
                assert value == float(row["objective"]), path.name
                found += 1
            assert value <= float(row["objective"]), path.name
    assert found >= 40


SOP = data_folder() / "sop" / "tsplib"


@needs_data("sop")
def test_the_optimum_of_esc07_comes_out() -> None:
    """2125 in the published tables."""
    problem = ordering_problem(read_instance(SOP / "ESC07.sop"))
    orders = [(0, *middle, 8) for middle in itertools.permutations(range(1, 8))]
    assert min(problem.judge(order).value for order in orders if problem.keeps(order)) == 2125


@needs_data("sop")
@pytest.mark.parametrize("name", ["ESC12", "br17.10", "prob.42", "rbg150a"])
def test_sop_precedences_are_those_of_the_matrix(tmp_path: Path, name: str) -> None:
    path = SOP / f"{name}.sop"
    words = path.read_text().partition("EDGE_WEIGHT_SECTION")[2].partition("EOF")[0].split()
    n = int(words[0])
    matrix = np.array(words[1:], dtype=np.int64).reshape(n, n)
    instance = read_instance(path)
    problem = ordering_problem(instance)
    assert (problem.before == (matrix == -1).T).all()
    allowed = matrix >= 0
    allowed[0, -1] = False
    assert (np.isfinite(problem.switch) == allowed).all()
    assert (problem.switch[allowed] == matrix[allowed]).all()
    write_with(instance, tmp_path / f"{name}.sop", "tsplib")
    assert replace(read_instance(tmp_path / f"{name}.sop"), source="") == replace(instance, source="")
