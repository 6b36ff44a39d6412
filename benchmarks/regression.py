"""Two stores compared: what got worse, what got better, and what chance explains.

`python -m benchmarks.regression NEW OLD` compares all that both have; the exit code is 1 where something is worse.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.changes import Change, Pair, changes
from dnnplan.instances import DnnplanError
from dnnplan.reports.runs import Row, Store, newest
from dnnplan.reports.units import percent, readable

if TYPE_CHECKING:
    from rich.table import Table

TOLERANCE = 0.01


class Comparison:
    """What two stores say about the same cases.

    Parameters
    ----------
    pairs
        Rows of the same case (`Row.asked`), new and old, whatever the versions and machines.
    changes
        What differs by more than the tolerances, worst first.
    only_new, only_old
        Cases that the other store does not have.
    changed
        Cases whose instance is another one now: their values say nothing about each other.
    """

    def __init__(
        self, pairs: list[Pair], found: list[Change], only_new: int, only_old: int, changed: list[str]
    ) -> None:
        self.pairs, self.changes = pairs, found
        self.only_new, self.only_old, self.changed = only_new, only_old, changed

    @property
    def worse(self) -> list[Change]:
        """What fails the comparison."""
        return [change for change in self.changes if change.worse]

    def summary(self) -> str:
        """A sentence."""
        counts = Counter(change.worse for change in self.changes)
        text = f"{len(self.pairs)} rows compared: {counts[True]} worse, {counts[False]} better"
        if self.only_new or self.only_old:
            text += f"; only in the new store {self.only_new}, only in the old one {self.only_old}"
        if self.changed:
            text += f"; instances that are others now: {', '.join(sorted(set(self.changed)))}"
        return text


def compare(new: Iterable[Row], old: Iterable[Row], *, tolerance: float = TOLERANCE) -> Comparison:
    """Pair the rows of the same case and find what differs.

    Of several rows for a case, as after other versions, the newest counts.

    Parameters
    ----------
    tolerance
        Relative change of values and bounds, and change of the gap, that does not count.
    """
    theirs = {row.asked: row for row in newest(old)}
    ours = {row.asked: row for row in newest(new)}
    both = [case for case in ours if case in theirs]
    same = {case: ours[case].instance_hash == theirs[case].instance_hash for case in both}
    pairs = [Pair(new=ours[case], old=theirs[case]) for case in both if same[case]]
    return Comparison(
        pairs,
        changes(pairs, tolerance),
        len(ours) - len(both),
        len(theirs) - len(both),
        [ours[case].instance for case in both if not same[case]],
    )


def rows_of(path: str | Path, suite: str | None = None) -> list[Row]:
    """The rows of a store, which is left as it is."""
    with Store(path, read_only=True) as store:
        return store.rows(suite)


def table(comparison: Comparison) -> Table:
    """What changed, for a terminal."""
    from rich.table import Table

    found = Table(title="Changes" if comparison.changes else "No changes")
    for name in ("case", "what", "old", "new", "change", "p", "verdict"):
        found.add_column(name, justify="right" if name in ("old", "new", "change", "p") else "left")
    for change in comparison.changes:
        found.add_row(
            change.case,
            change.what,
            _shown(change.old, change.unit),
            _shown(change.new, change.unit),
            ""
            if change.relative is None
            else f"{'+' if change.relative > 0 else ''}{percent(change.relative)}",
            "" if change.p is None else f"{change.p:.3f}",
            "worse" if change.worse else "better",
            style="red" if change.worse else "green",
        )
    return found


def _shown(value: float | str | None, unit: str | None) -> str:
    return value if isinstance(value, str) else readable(value, unit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two stores that exist."""
    from rich.console import Console

    parser = argparse.ArgumentParser(prog="python -m benchmarks.regression", description=__doc__)
    parser.add_argument("new", metavar="NEW")
    parser.add_argument("old", metavar="OLD")
    parser.add_argument("--suite", help="only this one")
    parser.add_argument(
        "--tolerance", type=float, default=TOLERANCE, help="relative change that does not count"
    )
    asked = parser.parse_args(arguments)
    try:
        found = compare(
            rows_of(asked.new, asked.suite), rows_of(asked.old, asked.suite), tolerance=asked.tolerance
        )
    except (DnnplanError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    # Names are text: brackets in them are no markup.
    console = Console(highlight=False, markup=False)
    console.print(table(found))
    console.print(found.summary())
    return 1 if found.worse else 0


if __name__ == "__main__":
    sys.exit(main())
