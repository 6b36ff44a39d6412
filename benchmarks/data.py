"""Where published data of others lie: never part of the project; suites that read them are empty without them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]


def data_folder() -> Path:
    """The folder in the variable DNNPLAN_DATA, by default ``../shared/data`` beside the repository."""
    return Path(os.environ.get("DNNPLAN_DATA", ROOT.parent / "shared" / "data"))


def data_files(pattern: str) -> list[Path]:
    """The files of the data folder that match a pattern, in the order of their names; none without data."""
    return sorted(data_folder().glob(pattern), key=lambda path: (len(path.stem), path.as_posix()))


def rows(name: str) -> Iterator[dict[str, str]]:
    """The rows of a CSV file of the data folder; none where it is absent."""
    path = data_folder() / name
    if path.is_file():
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def best_known(name: str) -> dict[str, float]:
    """Bounds of a file of the folder `sched` by its name there: ``lower bound``, ``upper bound``."""
    for row in rows("sched/best_known.csv"):
        if row["file"] == name:
            return {
                label: float(row[column])
                for label, column in (("lower bound", "lower_bound"), ("upper bound", "upper_bound"))
                if row[column]
            }
    return {}
