"""Tool switching: the instances of Catanzaro et al., against the best sequences of a public collection."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

from benchmarks.case import Case
from benchmarks.data import data_files, rows
from dnnplan.instances.files import read_instance

SUMMARY = "job sequencing and tool switching, 10 to 40 jobs: auto against best known values"

SECONDS = 5.0


def cases() -> Iterator[Case]:
    """Auto on every instance of the data folder."""
    for path in data_files("ssp/Catanzaro/*.txt"):
        yield Case(
            instance=path.stem,
            build=partial(read_instance, path),
            solver="auto",
            time_limit=SECONDS,
        )


@cache
def _best() -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows("ssp/best_known.csv"):
        if "/Catanzaro/" in row["instance"] and row["objective"]:
            name = row["instance"].rsplit("/", 1)[1].removesuffix(".txt")
            found[name] = min(found.get(name, float("inf")), float(row["objective"]))
    return found


def references(instance: str) -> dict[str, float]:
    """The best value of the collection."""
    return {"best known": _best()[instance]} if instance in _best() else {}
