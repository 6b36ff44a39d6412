"""What holds for all tests."""

import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _same_cores() -> Iterator[None]:
    """Measuring pins its process to cores; a test that does so in this one leaves it as it was."""
    if not hasattr(os, "sched_getaffinity"):
        yield
        return
    cores = os.sched_getaffinity(0)
    yield
    os.sched_setaffinity(0, cores)
