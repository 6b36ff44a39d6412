"""Splits of a network between devices."""

from __future__ import annotations

import pytest

from dnnplan.instances.catalogue import load_bundled
from dnnplan.instances.errors import InputError
from dnnplan.serving.splits import compare_splits, splits_of


def test_each_device_has_one_run_of_stages():
    found = splits_of(load_bundled("serving/camera-dsp-npu"))
    # Two single devices, and three cuts in two orders.
    assert len(found) == len(set(found)) == 2 + 3 * 2


def test_one_device_cannot_be_split():
    with pytest.raises(InputError, match="at least two"):
        splits_of(load_bundled("serving/resnet50-os32"))


def test_the_best_split_comes_first():
    found = compare_splits(load_bundled("serving/camera-dsp-npu"), policy="greedy", samples=5000)
    means = [split.figures.mean_latency.value for split in found]
    assert means == sorted(means)
    assert any(split.is_single for split in found)
