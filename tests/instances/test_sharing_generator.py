"""The generator of tasks that could share: names, shapes, and what it has in common with published tensors."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from benchmarks.data import data_folder
from dnnplan.instances import InputError
from dnnplan.instances.files import dumps
from dnnplan.instances.generators import sharing_by_name, task_sharing
from dnnplan.instances.validation import ensure_valid
from tests.support.data import needs_data


def pairs_of(tensor: np.ndarray) -> np.ndarray:
    """(L, pairs) affinities of different tasks."""
    return tensor[:, *np.triu_indices(tensor.shape[1], 1)]


def statistics(tensor: np.ndarray) -> dict[str, float]:
    """Mean and spread at the first, middle and last branch point, and how alike the last two branch points are."""
    pairs = pairs_of(tensor)
    middle = len(pairs) // 2
    return {
        "first mean": pairs[0].mean(),
        "middle mean": pairs[middle].mean(),
        "last mean": pairs[-1].mean(),
        "first spread": pairs[0].std(),
        "middle spread": pairs[middle].std(),
        "last spread": pairs[-1].std(),
        "last two alike": float(np.corrcoef(pairs[-2], pairs[-1])[0, 1]),
    }


@pytest.mark.parametrize(("tasks", "levels"), [(1, 1), (2, 3), (3, 1), (7, 4), (20, 6)])
def test_instances_are_valid_and_named(tasks: int, levels: int) -> None:
    instance = task_sharing(tasks, levels, seed=2)
    ensure_valid(instance)
    assert instance.name == f"sharing/{tasks}x{levels}-s2"
    affinity = np.array(instance.sharing.affinity)
    assert affinity.shape == (levels, tasks, tasks)
    assert (affinity == affinity.transpose(0, 2, 1)).all()
    assert (affinity <= 1).all()
    assert (affinity[:, range(tasks), range(tasks)] == 1).all()
    assert len(instance.sharing.blocks) == len(instance.sharing.branch_points) == levels
    assert instance.ordering.closed


def test_bytes_and_loading_grow_with_depth() -> None:
    sharing = task_sharing(3, 6, seed=1).sharing
    blocks = [sharing.stem, *sharing.blocks]
    assert [block.bytes for block in blocks] == sorted({block.bytes for block in blocks})
    assert [block.load for block in blocks] == sorted({block.load for block in blocks})
    assert sharing.blocks[-1].compute < sharing.blocks[0].compute
    assert sharing.head.bytes < sharing.blocks[0].bytes


def test_a_seed_gives_one_instance_and_another_seed_another() -> None:
    texts = [dumps(task_sharing(6, 3, seed=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert sharing_by_name("sharing/6x3-s1") == task_sharing(6, 3, seed=1)
    for name in ("sharing/6x3", "sharing/6x3-s1-x", "layered/50x4-ccr1"):
        assert sharing_by_name(name) is None


def test_instances_stay_the_same_from_version_to_version() -> None:
    """Results name instances; a changed generator must take other names."""
    affinity = json.dumps(task_sharing(20, 6, seed=1).sharing.affinity)
    assert hashlib.sha256(affinity.encode()).hexdigest()[:16] == "2fda0ab486eb1ec8"


@pytest.mark.parametrize(("tasks", "levels"), [(0, 1), (501, 1), (3, 0), (3, 101)])
def test_sizes_out_of_range_are_refused(tasks: int, levels: int) -> None:
    with pytest.raises(InputError, match="expected 1 to"):
        task_sharing(tasks, levels)


@needs_data("antler")
def test_statistics_lie_within_those_of_published_tensors() -> None:
    """The mean of each statistic over 30 seeds lies between the extremes of the published tensors of ten tasks."""
    tree = json.loads((data_folder() / "antler" / "affinity_tensors.json").read_text())
    tensors = [np.array(tensor) for tensor in tree.values()]
    published = [statistics(tensor) for tensor in tensors if tensor.shape[:2] == (5, 10)]
    ours = [statistics(np.array(task_sharing(10, 5, seed=seed).sharing.affinity)) for seed in range(30)]
    for name in published[0]:
        values = sorted(row[name] for row in published)
        assert values[0] <= np.mean([row[name] for row in ours]) <= values[-1], name


def test_deep_affinities_can_be_negative() -> None:
    deep = pairs_of(np.array(task_sharing(20, 6, seed=1).sharing.affinity))[-1]
    assert (deep < 0).any()
