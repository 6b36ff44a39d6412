"""The generator of whole plans: valid, seeded, and with something to trade."""

from __future__ import annotations

import hashlib

import pytest

from dnnplan.instances import InputError
from dnnplan.instances.files import dumps, loads_instance
from dnnplan.instances.generators import whole_by_name, whole_instance
from dnnplan.instances.validation import ensure_valid


@pytest.mark.parametrize(("tasks", "blocks", "devices"), [(1, 3, 1), (2, 3, 2), (5, 9, 4)])
def test_instances_are_valid_and_named(tasks: int, blocks: int, devices: int) -> None:
    instance = whole_instance(tasks, blocks, devices, seed=2, layers=2, memory=1.0)
    ensure_valid(instance)
    assert instance.name == f"whole/{tasks}x{blocks}x{devices}-s2"
    assert len(instance.tasks) == len(instance.models) == tasks
    assert all(len(task.blocks) == blocks for task in instance.tasks)
    assert all(len(model.layers) == 2 * blocks for model in instance.models)
    assert len(instance.platform.devices) == devices
    assert len(instance.sharing.affinity) == blocks - 2
    assert loads_instance(dumps(instance).encode(), syntax="json") == instance


def test_a_seed_gives_one_instance_and_another_seed_another() -> None:
    texts = [dumps(whole_instance(4, 6, 3, seed=seed)) for seed in (1, 1, 2)]
    assert texts[0] == texts[1]
    assert texts[0] != texts[2]
    assert whole_by_name("whole/4x6x3-s2") == whole_instance(4, 6, 3, seed=2)
    for name in ("whole/4x6x3", "whole/4x6-s1", "sharing/6x3-s1"):
        assert whole_by_name(name) is None


def test_instances_stay_the_same_from_version_to_version() -> None:
    """Results name instances; a changed generator must take other names."""
    text = dumps(whole_instance(4, 6, 3, seed=1))
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == "7c2f6c3f2d4716d3"


def test_blocks_correspond_and_devices_differ() -> None:
    instance = whole_instance(3, 5, 3, seed=4)
    tables = list(instance.costs.latency.values())
    assert tables[0] == tables[1] == tables[2]
    assert [m.layers for m in instance.models[1:]] == [instance.models[0].layers] * 2
    seconds = [list(row.values()) for row in tables[0].values()]
    assert all(len(set(row)) == 3 for row in seconds)
    assert len({row.index(min(row)) for row in whole_rows()}) > 1


def whole_rows() -> list[list[float]]:
    """Seconds of blocks of ten instances: blocks have different best devices."""
    tables = [next(iter(whole_instance(2, 6, 3, seed=s).costs.latency.values())) for s in range(10)]
    return [list(row.values()) for table in tables for row in table.values()]


@pytest.mark.parametrize(
    ("sizes", "options"),
    [
        ((0, 3, 1), {}),
        ((2, 2, 1), {}),
        ((2, 3, 0), {}),
        ((2, 3, 1), {"layers": 0}),
        ((2, 3, 1), {"ccr": -1}),
        ((2, 3, 1), {"heterogeneity": 0.5}),
        ((2, 3, 1), {"variety": 1.5}),
        ((2, 3, 1), {"memory": -1}),
    ],
)
def test_numbers_out_of_range_are_refused(sizes: tuple[int, int, int], options: dict[str, float]) -> None:
    with pytest.raises(InputError, match="expected"):
        whole_instance(*sizes, **options)
