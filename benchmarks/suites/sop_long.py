"""Those of TSPLIB's sequential ordering problems that are closed in the literature, with ten minutes each."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import data_files
from benchmarks.suites.sop import references
from dnnplan.instances.files import read_instance

SUMMARY = "the same with ten minutes, where the literature knows the optimum"

SECONDS = 600.0


def cases() -> Iterator[Case]:
    """Auto on every closed instance of the data folder."""
    for path in data_files("sop/tsplib/*.sop"):
        known = references(path.stem)
        if known and known["lower bound"] == known["upper bound"]:
            yield Case(
                instance=path.stem, build=partial(read_instance, path), solver="auto", time_limit=SECONDS
            )
