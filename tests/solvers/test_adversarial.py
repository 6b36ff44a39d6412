"""Searching for the worst instance of a solver: the ratio is that of the cost model, and a seed gives one instance."""

from __future__ import annotations

import pytest

from benchmarks.adversary import about, kept_paths
from dnnplan.instances import InputError
from dnnplan.instances.files import dumps, loads_instance, read_instance
from dnnplan.instances.validation import ensure_valid
from dnnplan.solvers.adversarial import find_adversarial, latency_of

KEPT = kept_paths()


def test_the_search_finds_worse_instances_and_the_same_ones_again() -> None:
    found = find_adversarial("heft", "peft", tasks=6, devices=3, steps=150, seed=1)
    again = find_adversarial("heft", "peft", tasks=6, devices=3, steps=150, seed=1)
    assert found == again
    assert found.ratio > max(1.0, found.first)
    ensure_valid(found.instance)
    read = loads_instance(dumps(found.instance), syntax="json")
    assert latency_of(read, "heft") / latency_of(read, "peft") == pytest.approx(found.ratio)


def test_a_solver_is_never_worse_than_itself_and_never_better_than_the_optimum() -> None:
    assert find_adversarial("heft", "heft", tasks=4, devices=2, steps=20).ratio == 1.0
    assert find_adversarial("cpsat", "heft", tasks=3, devices=2, steps=3).ratio <= 1 + 1e-9


def test_sizes_are_bounded() -> None:
    for wrong in ({"tasks": 1}, {"tasks": 1000}, {"devices": 0}, {"steps": 0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            find_adversarial("heft", "peft", **wrong)


def test_instances_are_kept() -> None:
    assert KEPT
    pairs = {(about(path)["solver"], about(path)["against"]) for path in KEPT}
    assert len(pairs) == len(KEPT)


@pytest.mark.parametrize("path", KEPT, ids=lambda path: path.stem)
def test_kept_instances_are_small_and_as_bad_as_recorded(path) -> None:
    assert path.stat().st_size < 20_000
    found, instance = about(path), read_instance(path)
    ratio = latency_of(instance, str(found["solver"])) / latency_of(instance, str(found["against"]))
    assert ratio == pytest.approx(found["ratio"], rel=1e-5)
