"""What tests of splitting share."""

from __future__ import annotations

import pytest

from tests.support.deploy_networks import early_exit, instance_of, random_plan, saved


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("split")


@pytest.fixture
def case(place):
    path = saved(early_exit(), place, "net")
    instance = instance_of([path], 2)
    return path, instance, random_plan(instance, 1, 0.5)
