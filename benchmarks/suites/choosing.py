"""Choosing networks: the optimal curves of Standley et al., and TAG's groups."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import data_folder
from dnnplan.instances.files import read_instance

SUMMARY = (
    "networks under a budget (Standley et al. 2020) and at most k groups (TAG 2021), against published optima"
)

STANDLEY, TAG = "grouping/standley2020", "grouping/tag2021/tag_matrices.json"
SETTINGS = {
    "setting1": "results.txt",
    "setting2": "results_large.txt",
    "setting3": "results_small_data.txt",
    "setting4": "results_alt.txt",
}
SECONDS = 5.0
TAG_CHECKS = {
    "tag_taskonomy_k2": ("tag_taskonomy", 2),
    "tag_taskonomy_k3": ("tag_taskonomy", 3),
    "hoa_taskonomy_loss_k2": ("hoa_taskonomy_loss", 2),
    "hoa_taskonomy_loss_k3": ("hoa_taskonomy_loss", 3),
    "tag_celeba_k2": ("tag_celeba", 2),
    "hoa_celeba_error_k2": ("hoa_celeba_accuracy", 2),
}


def cases() -> Iterator[Case]:
    """Auto at every published point."""
    for setting, points in _standley().items():
        for point in points:
            yield Case(
                instance=f"{setting}-{point['budget']}",
                build=partial(read_instance, data_folder() / STANDLEY / SETTINGS[setting]),
                solver="auto",
                time_limit=SECONDS,
                limits={"budget": point["budget"]},
            )
    if (data_folder() / TAG).is_file():
        for name, (matrix, groups) in TAG_CHECKS.items():
            yield Case(
                instance=name,
                build=partial(read_instance, data_folder() / TAG, select=matrix),
                solver="auto",
                time_limit=SECONDS,
                limits={"groups": groups},
            )


def _standley() -> dict[str, list[dict[str, float]]]:
    path = data_folder() / STANDLEY / "check_optima.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def references(instance: str) -> dict[str, float]:
    """The published optimum of a point."""
    if instance in TAG_CHECKS:
        tree = json.loads((data_folder() / TAG).read_text(encoding="utf-8"))
        return {"optimum": float(tree["own_exhaustive_check"][instance][0])}
    setting, _, budget = instance.rpartition("-")
    point = next(p for p in _standley()[setting] if p["budget"] == float(budget))
    return {"optimum": point["val_opt"]}
