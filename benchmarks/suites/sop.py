"""Sequential ordering problems of TSPLIB, against best known values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.case import Case
from benchmarks.data import data_files, rows
from dnnplan.instances.files import read_instance

SUMMARY = "TSPLIB's sequential ordering problems: auto against best known values and bounds"

SECONDS = 60.0


def cases() -> Iterator[Case]:
    """Auto on every instance of the data folder."""
    for path in data_files("sop/tsplib/*.sop"):
        yield Case(instance=path.stem, build=partial(read_instance, path), solver="auto", time_limit=SECONDS)


def references(instance: str) -> dict[str, float]:
    """Bounds that are known for an instance."""
    for row in rows("sop/best_known.csv"):
        if row["instance"] == instance and row["set"] == "tsplib":
            return {"lower bound": float(row["lower_bound"]), "upper bound": float(row["best_known"])}
    return {}
